"""One module a row; each defines `ROW`."""

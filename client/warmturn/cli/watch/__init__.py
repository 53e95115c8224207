"""`warmturn watch`: a server's figures, live."""

"""The `warmturn` command, one file per group of subcommands; `app.py` puts them together."""

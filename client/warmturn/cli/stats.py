"""`warmturn stats`: what the server counted."""

from warmturn.cli.console import answer, answer_json
from warmturn.cli.options import ApiKey, AsJson, Url, connect
from warmturn.cli.stats_view import stats_lines


def stats(as_json: AsJson = False, url: Url = None, api_key: ApiKey = None) -> None:
    """Show the server's figures: turns, reuse, tiers, time saved."""
    with connect(url, api_key) as client:
        figures = client.stats()
    if as_json:
        answer_json(figures)
        return
    for line in stats_lines(figures):
        answer(line)

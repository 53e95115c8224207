"""A look-back in 80 columns: whose state the reply looked at, and which tokens of it, with bars."""

from collections.abc import Iterator, Sequence
from functools import partial

from rich.cells import cell_len, set_cell_size

from warmturn.lookback import AtDepth, Look, Lookback, Source

_LABEL_CELLS = 44
_BAR_CELLS = 22
_TOKEN_CELLS = 22
_MOST_ROWS = 14
_WORTH = 0.03
"""Of a look's attention; less is not worth a line."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_NAMES = {"template": "the template", "reply": "the answer so far", "sink": "no token (sink)"}


def lookback_lines(lookback: Lookback, layer: int | None = None) -> Iterator[str]:
    """Of one layer, or of all of them together."""
    where = "all layers" if layer is None else f"layer {layer} alone"
    yield f"what the {_tokens(lookback)} of the answer looked at, {where}:"
    shares = lookback.layers[layer].shares if layer is not None else _mean(lookback)
    yield from _table(lookback.sources, shares)
    yield from _favourites(lookback, layer)
    if layer is None:
        yield f"/lookback 0 to /lookback {len(lookback.layers) - 1} show one layer: each sees only its own depth"


def bar(share: float, cells: int = _BAR_CELLS) -> str:
    """`share` of `cells`, to the eighth of one; whatever is not nothing is seen."""
    eighths = max(round(share * cells * 8), 1 if share >= 0.001 else 0)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


def _tokens(lookback: Lookback) -> str:
    looks = len(lookback.looks)
    return f"{looks} tokens" if looks == lookback.output_tokens else f"first {looks} of {lookback.output_tokens} tokens"


def _mean(lookback: Lookback) -> list[float]:
    columns = zip(*(layer.shares for layer in lookback.layers), strict=True)
    return [sum(column) / len(lookback.layers) for column in columns]


def _table(sources: Sequence[Source], shares: Sequence[float]) -> Iterator[str]:
    """In the order of the conversation; of a long one the rows with most, and what the others have together."""
    rows = [number for number, source in enumerate(sources) if source.kind in ("item", "instructions")]
    shown = set(sorted(rows, key=lambda number: -shares[number])[:_MOST_ROWS])
    rest = [number for number in rows if number not in shown]
    for number in sorted(shown):
        yield _row(_label(sources[number]), shares[number])
    if rest:
        yield _row(f"{len(rest)} other items", sum(shares[number] for number in rest))
    for number, source in enumerate(sources):
        if source.kind in _NAMES and (source.kind != "sink" or shares[number]):
            yield _row(_NAMES[source.kind], shares[number])


def _row(label: str, share: float) -> str:
    return f"  {_cut(label, _LABEL_CELLS)} {share:>5.1%} {bar(share)}".rstrip()


def _label(source: Source) -> str:
    """`turn 3 you: My cat is called Mirelo.`"""
    who = {"user": "you", "assistant": "answer"}.get(source.role or "", source.role or "")
    turn = "       " if source.turn is None else f"turn {source.turn:<2}"
    return f"{turn} {who:<6} {' '.join(source.text.split())}"


def _favourites(lookback: Lookback, layer: int | None) -> Iterator[str]:
    """For the tokens of the answer that looked back most, the earlier token that got most of it, and in which layer."""
    favourite = partial(_favourite, layer=layer)
    found = [(look, best) for look in lookback.looks if (best := favourite(look)) and best[1].token.share >= _WORTH]
    strongest = sorted(found, key=lambda pair: -pair[1][1].token.share)[:_MOST_ROWS]
    if not strongest:
        yield f"none of them gave {_WORTH:.0%} of its attention to one token of an earlier turn"
        return
    yield "the tokens that looked back most, and where to:"
    for look, (at, depth) in sorted(strongest, key=lambda pair: pair[0].position):
        turn = lookback.sources[depth.token.source].turn
        token = f"{_quoted(look.text)} {_quoted(depth.token.text)}"
        yield f"  {token} turn {turn or '-':<3} layer {at:<2} {depth.token.share:>4.0%} {bar(depth.token.share, 10)}"


def _favourite(look: Look, layer: int | None) -> tuple[int, AtDepth] | None:
    """The layer that looked hardest at one token, or the given one, and what it looked at."""
    depths = [(at, depth) for at, depth in enumerate(look.by_layer) if depth and layer in (None, at)]
    return max(depths, key=lambda pair: pair[1].token.share, default=None)


def _quoted(text: str) -> str:
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    return set_cell_size(f"“{_cut(shown, min(cell_len(shown), _TOKEN_CELLS - 3))}”", _TOKEN_CELLS)


def _cut(text: str, cells: int) -> str:
    """To exactly so many columns, with a sign where something is missing; some characters take two."""
    return set_cell_size(text, cells) if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "…"

"""The words of which everything is made up."""

from random import Random

_TEXT = """
apple arm autumn baker bank basket beach bell bench bird blanket boat book bottle bowl bread bridge brother bucket
butter button candle carpet castle cellar chair cherry city clock cloud coat coffee corner cotton country cousin cup
curtain daughter desk dinner doctor door dream dress driver drum earth egg engine evening farm father feather field
finger fire fish flag floor flower forest fork friend fruit game garden gate glass glove grass guest guitar hammer
harbour hat heart hill horse hotel house ice island jacket journey kettle key kitchen knife ladder lake lamp
language leaf lemon letter library light lion market meadow meal milk mirror money month moon morning mother
mountain mouse museum music nail name neighbour nest night nose notebook ocean office onion orange oven owl page
paint paper park pencil pepper piano picture pillow plate pocket poem potato quarter queen question rabbit radio
rain ribbon ring river road roof room rope rose sail salt sand school scissors season shadow ship shirt shoe
shoulder silver singer sister sky snow soap song soup spoon spring stairs star station stone storm story street
sugar summer sun table tailor teacher tent thunder ticket tiger tower town train tree trumpet uncle valley village
violin voice wall watch water weather week wheel wind window winter wood wool word yard year
"""
_WORDS = _TEXT.split()


def words(rng: Random, count: int) -> str:
    """Sentences of `count` words in all, at least one."""
    chosen = [rng.choice(_WORDS) for _ in range(max(count, 1))]
    for end in range(9, len(chosen), 10):
        chosen[end] += "."
    return " ".join(chosen)

"""What the model chooses where tokens were drafted: the same as without drafts, some of it sooner."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as Items
from itertools import zip_longest

import torch

from ...engine_api.report import TokenLogprobs
from ...errors import NoNextToken
from ..sampling.sampler import most_likely
from ..sequence import Sequence
from ..share import Share

Chosen = tuple[int, TokenLogprobs | None]


def chosen_tokens(shares: Items[Share], logits: torch.Tensor) -> Iterator[tuple[Sequence, Iterator[Chosen]]]:
    """Sequence by sequence, from logits `[chosen rows of all shares, vocabulary]`."""
    best, first = most_likely(logits), 0
    for share in shares:
        rows = slice(first, first + len(share.chosen_rows))
        first = rows.stop
        yield share.sequence, _chosen(share, best[rows], logits[rows])


def _chosen(share: Share, best: Items[int | None], logits: torch.Tensor) -> Iterator[Chosen]:
    """One token of each row, `best` its likeliest, as long as the row was computed behind tokens that were chosen.

    Each is chosen when the one before it has been accepted, from the logits and with the luck that it would have had
    in a step of its own. State of what was refused is cut off before anybody can keep or copy it.
    """
    sequence = share.sequence
    sequence.num_drafted += len(share.drafts)
    for drafted, likeliest, row in zip_longest(share.drafts, best, logits):
        if likeliest is None:
            raise NoNextToken
        plain = sequence.sampler.settles_for(likeliest)
        chosen: Chosen = (likeliest, None) if plain else sequence.sampler.sample(row)
        sequence.kv.length = len(sequence.token_ids)
        sequence.num_accepted += chosen[0] == drafted
        yield chosen
        if chosen[0] != drafted:
            return

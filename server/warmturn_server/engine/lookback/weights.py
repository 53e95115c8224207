"""What a later token looked at: the attention weights of chosen positions over the state of all earlier ones.

Only layer l's own keys answer layer l's query: a token sees earlier ones at its own depth and no other. Queries are
kept while the turn runs, keys are the saved ones; weights are made of both after the reply, on a thread of low
priority, in float32, in the model's own way (scale, window, cap, sinks). Nothing is computed twice, nothing is written.

A *look* is the attention of the position that chose an output token: the one just before it. Of each layer's weights
the mean over its heads is taken; a look's own figures are also means over the layers, a layer's over the looks.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ...engine_api.lookback import AtDepth, LayerLooks, Look, Lookback, LookbackRequest, Seen
from ...kvcache import KVSnapshot
from ..model.attention import attention_weights, visibility_mask
from ..model.capture import Queries, Scoring

TOP_OF_LAYER = 8
TOP_OF_LOOK = 3
_WEIGHTS_AT_A_TIME = 2**22
"""Of one layer, over its heads: 16 MB."""


@torch.inference_mode()
def look_back(queries: Queries, snapshot: KVSnapshot, request: LookbackRequest) -> Lookback:
    """Weigh the saved keys with the queries kept. `snapshot` holds every position that has a query, and all before."""
    groups = _groups_of_keys(request, queries.stop).to(snapshot.device)
    owned = (groups > 0) & (groups < request.num_groups)
    over_layers = torch.zeros(queries.stop - queries.first, queries.stop, device=snapshot.device)
    shares = torch.zeros(
        len(queries.scoring), len(over_layers), request.num_groups + 2, dtype=torch.float64, device=snapshot.device
    )
    tops, depths = list[tuple[Seen, ...]](), list[list[AtDepth | None]]()
    for layer, scoring in sorted(queries.scoring.items()):
        weights, sinks = _weights(queries, snapshot.keys(layer)[:, : queries.stop], layer, scoring)
        shares[layer].index_add_(1, groups, weights.double())
        shares[layer, :, -1] = sinks
        tops.append(next(_top(weights.mean(0, keepdim=True), owned, TOP_OF_LAYER)))
        depths.append(_at_depth(weights, shares[layer], groups, request))
        over_layers += weights / len(queries.scoring)
    return Lookback(
        tuple(map(LayerLooks, _rows(shares.mean(1)), tops)),
        tuple(
            Look(queries.first + number, row, top, tuple(depth[number] for depth in depths))
            for number, (row, top) in enumerate(
                zip(_rows(shares.mean(0)), _top(over_layers, owned, TOP_OF_LOOK), strict=True)
            )
        ),
    )


def _groups_of_keys(request: LookbackRequest, num_keys: int) -> torch.Tensor:
    groups = torch.full((num_keys,), request.num_groups)
    groups[: len(request.groups)] = torch.tensor(request.groups)
    return groups


def _weights(queries: Queries, keys: torch.Tensor, layer: int, scoring: Scoring) -> tuple[torch.Tensor, torch.Tensor]:
    """Means over heads: weights `[looks, keys]`, and what the sinks take `[looks]`."""
    query, keys = queries.of_layer(layer).float(), keys.float()
    at_a_time = max(1, _WEIGHTS_AT_A_TIME // (query.shape[0] * keys.shape[1]))
    pieces = []
    for begin in range(0, query.shape[1], at_a_time):
        some = query[:, begin : begin + at_a_time]
        start = queries.first + begin
        mask = visibility_mask(start, some.shape[1], 0, keys.shape[1], scoring.window, keys.device)
        pieces.append(attention_weights(some, keys, mask, scoring).mean(0))
    weights = torch.cat(pieces)
    return weights[:, : keys.shape[1]], weights[:, keys.shape[1] :].sum(1)


def _top(weights: torch.Tensor, wanted: torch.Tensor, count: int) -> Iterator[tuple[Seen, ...]]:
    """Of each row of `weights` `[rows, keys]` the wanted keys with the most, best first, none with nothing."""
    best = torch.where(wanted, weights, 0.0).topk(min(count, weights.shape[1]))
    for shares, positions in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        yield tuple(Seen(at, share) for at, share in zip(positions, shares, strict=True) if share > 0)


def _at_depth(
    weights: torch.Tensor, shares: torch.Tensor, groups: torch.Tensor, request: LookbackRequest
) -> list[AtDepth | None]:
    """One layer's favourites among the earlier turns, for each look."""
    if not request.earlier:
        return [None] * len(weights)
    earlier = torch.tensor(sorted(request.earlier), device=groups.device)
    group = shares[:, earlier].max(1)
    token = torch.where(torch.isin(groups, earlier), weights, 0.0).max(1)
    found = (earlier[group.indices], group.values, token.indices, token.values)
    return [
        AtDepth(which, share, Seen(position, most)) if most > 0 else None
        for which, share, position, most in zip(*(column.tolist() for column in found), strict=True)
    ]


def _rows(table: torch.Tensor) -> list[tuple[float, ...]]:
    return [tuple(row) for row in table.tolist()]

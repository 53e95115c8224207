"""How likely each token of a prompt was to the model: it takes the logits of every row, so none of them is reused."""

from __future__ import annotations

from collections.abc import Sequence as Items

import torch

from ..engine_api.report import TokenLogprobs
from .hooks import NoHook
from .sequence import Sequence


class PromptLogprobsHook(NoHook):
    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:
        """Those of the prompt that another of its tokens follows."""
        if sequence.request.prompt_logprobs is None:
            return range(0)
        return range(max(min(count, sequence.num_prompt_tokens - 1 - start), 0))

    def logits(self, sequence: Sequence, positions: Items[int], logits: torch.Tensor) -> None:
        """Whatever others wanted to see besides, each row once and in order."""
        if sequence.request.prompt_logprobs is None:
            return
        told = len(sequence.prompt_logprobs)
        rows = [row for row, at in enumerate(positions) if told <= at < sequence.num_prompt_tokens - 1]
        if rows:
            following = [sequence.token_ids[positions[row] + 1] for row in rows]
            sequence.prompt_logprobs += _logprobs_of(logits[rows], following, sequence.request.prompt_logprobs)


def _logprobs_of(logits: torch.Tensor, token_ids: Items[int], count: int) -> list[TokenLogprobs]:
    """Of one token for each row of logits `[rows, vocabulary]`, with the `count` best ones there."""
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    own = logprobs.gather(-1, torch.tensor(token_ids, device=logits.device)[:, None])[:, 0].tolist()
    best = logprobs.topk(min(count, logprobs.shape[-1]))
    ranked = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [
        TokenLogprobs(token_id, logprob, tuple(zip(ids, values, strict=True)))
        for token_id, logprob, (ids, values) in zip(token_ids, own, ranked, strict=True)
    ]

"""The executor for any transformers model: its own modules, with this engine's attention in place of theirs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from .attention import Chunk, InPlaceAttention
from .device import finish
from .executor import Work


class GenericExecutor:
    """Flattens a step into one row of tokens. Takes every step."""

    def __init__(self, model: PreTrainedModel, device: torch.device) -> None:
        self._model = model
        self._device = device
        self._attention = InPlaceAttention()
        self._takes_rows = "logits_to_keep" in inspect.signature(model.forward).parameters
        model.set_attn_implementation(self._attention.name)

    def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
        return True

    @torch.inference_mode()
    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """See `Executor`."""
        chunks = list[Chunk]()
        token_ids, positions, rows = list[int](), list[int](), list[int]()
        for work in step:
            start, count = work.buffer.length, len(work.token_ids)
            work.buffer.reserve(start + count)
            chunks.append(Chunk(work.buffer, len(token_ids), start, count, work.queries))
            token_ids.extend(work.token_ids)
            positions.extend(range(start, start + count))
            rows.extend(len(token_ids) - count + row for row in work.rows)
            if work.wants_logits:
                rows.append(len(token_ids) - 1)
        logits = self.run(chunks, token_ids, positions, rows)
        finish(self._device)
        for chunk in chunks:
            chunk.buffer.length = chunk.start + chunk.num_tokens
        return logits

    def run(
        self, chunks: Sequence[Chunk], token_ids: Sequence[int], positions: Sequence[int], rows: Sequence[int]
    ) -> torch.Tensor:
        """The forward pass alone; the buffers' lengths stay as they are."""
        kept = torch.tensor(rows or [len(token_ids) - 1], device=self._device)
        with self._attention.over(chunks):
            logits = self._model(
                input_ids=torch.tensor([token_ids], device=self._device),
                position_ids=torch.tensor([positions], device=self._device),
                use_cache=False,
                **({"logits_to_keep": kept} if self._takes_rows else {}),
            ).logits[0]
        if not self._takes_rows:
            logits = logits[kept]
        return logits[: len(rows)].float()  # type: ignore[no-any-return]

"""The executor for any transformers model: its own modules, with this engine's attention in place of theirs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from .attention import InPlaceAttention
from .batch import Batch
from .device import finish
from .executor import Work


class GenericExecutor:
    """Flattens a step into one row of tokens. Takes every step."""

    kind = "generic"

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
        batch = Batch.of(step)
        logits = self.run(batch)
        finish(self._device)
        batch.computed()
        return logits

    def run(self, batch: Batch) -> torch.Tensor:
        """The forward pass alone; the buffers' lengths stay as they are."""
        kept = torch.tensor(batch.kept or [len(batch.token_ids) - 1], device=self._device)
        with self._attention.over(batch.chunks):
            logits = self._model(
                input_ids=torch.tensor([batch.token_ids], device=self._device),
                position_ids=torch.tensor([batch.positions], device=self._device),
                use_cache=False,
                **({"logits_to_keep": kept} if self._takes_rows else {}),
            ).logits[0]
        if not self._takes_rows:
            logits = logits[kept]
        return logits[: len(batch.kept)].float()  # type: ignore[no-any-return]

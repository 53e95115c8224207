"""One forward pass for many sequences at once."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import ModelRefused
from ...kvcache import KVBuffer, KVLayout
from ..lookback.capture import Queries
from .attention import Chunk, InPlaceAttention
from .device import finish
from .loader import LoadedModel, as_attention
from .prepack import prepack

_CHECK_TOKENS = 48
_LONGEST_CHECK = 160
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


@dataclass(slots=True)
class Work:
    """The next `token_ids` of the sequence that owns `buffer`; logits of its last token and of `rows` on request.

    `queries` collects those that it wants.
    """

    buffer: KVBuffer
    token_ids: Sequence[int]
    wants_logits: bool = True
    queries: Queries | None = None
    rows: Sequence[int] = ()


class ModelRunner:
    """Runs a loaded model over flattened rows of tokens, with this engine's attention."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.name = loaded.name
        self.device = loaded.device
        self.dtype = loaded.dtype
        self.context_length = loaded.context_length
        self.num_threads = torch.get_num_threads()
        self.layout = KVLayout.of(loaded.layers, loaded.dtype)
        text = loaded.model.config.get_text_config(decoder=True)
        self.vocab_size = int(text.vocab_size)
        self._model = loaded.model
        self._attention = InPlaceAttention()
        self._takes_rows = "logits_to_keep" in inspect.signature(loaded.model.forward).parameters
        prepack(loaded.model)
        self._refuse_if_wrong(loaded.windows)
        self._model.set_attn_implementation(self._attention.name)

    @torch.inference_mode()
    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """Append each item's tokens to its buffer; logits `[rows wanted, vocabulary]` in float32, item by item.

        They are there when it returns, on a GPU too: whoever takes the time takes that of the work.
        """
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
        logits = self._run(chunks, token_ids, positions, rows)
        finish(self.device)
        for chunk in chunks:
            chunk.buffer.length = chunk.start + chunk.num_tokens
        return logits

    def buffer(self, capacity: int = 0) -> KVBuffer:
        """An empty K/V buffer for a new sequence of this model."""
        return KVBuffer(self.layout, self.device, capacity)

    def _run(
        self, chunks: Sequence[Chunk], token_ids: Sequence[int], positions: Sequence[int], rows: Sequence[int]
    ) -> torch.Tensor:
        kept = torch.tensor(rows or [len(token_ids) - 1], device=self.device)
        with self._attention.over(chunks):
            logits = self._model(
                input_ids=torch.tensor([token_ids], device=self.device),
                position_ids=torch.tensor([positions], device=self.device),
                use_cache=False,
                **({"logits_to_keep": kept} if self._takes_rows else {}),
            ).logits[0]
        if not self._takes_rows:
            logits = logits[kept]
        return logits[: len(rows)].float()  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _refuse_if_wrong(self, windows: Sequence[int | None]) -> None:
        """Compare with the model's own eager attention: two sequences together, in chunks, beyond a short window."""
        longest_window = max((window or 0 for window in windows), default=0)
        wanted = max(_CHECK_TOKENS, longest_window + 16 if longest_window + 16 <= _LONGEST_CHECK else 0)
        count = min(wanted, self.context_length)
        generator = torch.Generator().manual_seed(0)
        sequences = torch.randint(self.vocab_size, (2, count), generator=generator).tolist()
        with as_attention(self._model, "eager"):
            positions = torch.arange(count, device=self.device)[None]
            expected = [
                self._model(
                    input_ids=torch.tensor([ids], device=self.device), position_ids=positions, use_cache=False
                ).logits[0, -1]
                for ids in sequences
            ]
        with as_attention(self._model, self._attention.name):
            got = self._in_chunks(sequences, count)
        difference = (torch.stack(expected).float() - got).norm() / torch.stack(expected).float().norm()
        if not difference <= _TOLERANCE.get(self.dtype, _LOW_PRECISION_TOLERANCE):
            raise ModelRefused(
                f"{self.name} gives other logits here than with its own attention (off by {difference:.1%}); "
                "serving it would be silently wrong"
            )

    def _in_chunks(self, sequences: Sequence[Sequence[int]], count: int) -> torch.Tensor:
        buffers = [self.buffer(count) for _ in sequences]
        logits = torch.empty(0)
        for start, stop in ((0, count // 3), (count // 3, count - 1), (count - 1, count)):
            step = [
                Work(buffer, ids[start:stop]) for buffer, ids in zip(buffers, sequences, strict=True) if stop > start
            ]
            logits = self.forward(step) if step else logits
        return logits

"""Which rows of a GGUF file's tensors a model's weights are, told by their numbers.

So nothing has to be known of what transformers makes of a file: it renames tensors, orders rows anew and joins or
splits them. What it multiplies or merges into a weight makes other numbers, which are not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from xxhash import xxh3_64_intdigest

from ..gguf import GgufTensor

_NUMBERS_AT_ONCE: Final = 2**23


@dataclass(frozen=True, slots=True)
class _Rows:
    """All of one kind and one width, by their hashes `[rows]` in ascending order."""

    tensors: Sequence[GgufTensor]
    hashes: np.ndarray
    tensor: np.ndarray
    row: np.ndarray

    @classmethod
    def of(cls, tensors: Sequence[GgufTensor], dtype: torch.dtype) -> _Rows:
        hashes = [_hashes_of(tensor, dtype) for tensor in tensors]
        tensor = np.repeat(np.arange(len(tensors)), [len(some) for some in hashes])
        row = np.concatenate([np.arange(len(some)) for some in hashes])
        together = np.concatenate(hashes)
        order = np.argsort(together, kind="stable")
        return cls(tensors, together[order], tensor[order], row[order])

    def find(self, wanted: np.ndarray) -> np.ndarray | None:
        """The bytes of the rows with these hashes `[rows]`, or None where one is missing: uint8 `[rows, bytes]`."""
        at = np.searchsorted(self.hashes, wanted).clip(max=len(self.hashes) - 1)
        if not np.array_equal(self.hashes[at], wanted):
            return None
        tensor, row = self.tensor[at], self.row[at]
        found = np.empty((len(wanted), self.tensors[0].shape[-1]), np.uint8)
        for number in np.unique(tensor):
            found[tensor == number] = self.tensors[number].read()[row[tensor == number]]
        return found


class GgufRows:
    """Rows of those of a file's `tensors` that are of `kinds`, for weights of `dtype`."""

    def __init__(self, tensors: Sequence[GgufTensor], kinds: Sequence[str], dtype: torch.dtype) -> None:
        alike = defaultdict[tuple[str, int], list[GgufTensor]](list)
        for tensor in tensors:
            if tensor.kind in kinds:
                alike[tensor.kind, tensor.row_numbers].append(tensor)
        self._rows = {key: _Rows.of(some, dtype) for key, some in alike.items()}

    def find(self, weight: torch.Tensor) -> Iterator[tuple[str, np.ndarray]]:
        """Kinds that hold every row of weight `[rows, inputs]`, each with the rows' bytes, uint8 `[rows, bytes]`."""
        alike = {kind: rows for (kind, inputs), rows in self._rows.items() if inputs == weight.shape[1]}
        wanted = _hashes(weight) if alike else np.empty(0)
        for kind, rows in alike.items():
            if (found := rows.find(wanted)) is not None:
                yield kind, found


def _hashes_of(tensor: GgufTensor, dtype: torch.dtype) -> np.ndarray:
    """As transformers unpacks it."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    rows, kind = tensor.read(), GGMLQuantizationType[tensor.kind]
    at_once = max(_NUMBERS_AT_ONCE // tensor.row_numbers, 1)
    parts = (rows[start : start + at_once] for start in range(0, len(rows), at_once))
    return np.concatenate([_hashes(torch.from_numpy(dequantize(part, kind)).to(dtype)) for part in parts])


def _hashes(weight: torch.Tensor) -> np.ndarray:
    """Of each row's bytes, uint64 `[rows]`."""
    rows = weight.contiguous().view(torch.uint8).numpy()
    return np.fromiter(map(xxh3_64_intdigest, rows), np.uint64, len(rows))

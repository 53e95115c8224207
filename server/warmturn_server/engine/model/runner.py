"""A loaded model, ready to run: what is known about it, and who computes its steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...kvcache import KVBuffer, KVLayout
from .executor import Executor, WithFallback, Work
from .flops import pair_cost
from .generic import GenericExecutor
from .loader import LoadedModel
from .products.dense import dense
from .products.in_model import replace_linears
from .verify import refuse_if_wrong


class ModelRunner:
    """Runs a model over the next tokens of many sequences at once: an `Executor` that takes every step."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.name = loaded.name
        self.device = loaded.device
        self.dtype = loaded.dtype
        self.context_length = loaded.context_length
        self.vocab_size = loaded.vocab_size
        self.num_threads = torch.get_num_threads()
        self.layout = KVLayout.of(loaded.layers, loaded.dtype)
        self.pair_cost = pair_cost(loaded.model, loaded.layers)
        self._loaded = loaded
        self.products = replace_linears(loaded.model, dense)
        self.generic = GenericExecutor(loaded.model, loaded.device)
        self._executor: Executor = self.generic
        refuse_if_wrong(self.generic, loaded, self.buffer)

    def prefer(self, executor: Executor) -> None:
        """Have it compute the steps that it takes from now on, once it is proved right; else `ModelRefused`."""
        both = WithFallback(executor, self.generic)
        refuse_if_wrong(both, self._loaded, self.buffer)
        self._executor = both

    def takes(self, step: Sequence[Work]) -> bool:  # noqa: ARG002
        return True

    def forward(self, step: Sequence[Work]) -> torch.Tensor:
        """See `Executor`."""
        return self._executor.forward(step)

    def buffer(self, capacity: int = 0) -> KVBuffer:
        """An empty K/V buffer for a new sequence of this model."""
        return KVBuffer(self.layout, self.device, capacity)

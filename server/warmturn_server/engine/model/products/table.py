"""A table of embeddings that is in memory once, although the head that shares it is packed."""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from .packed import PackedProduct
from .product import Product


class PackedTable(nn.Module):
    """Stands where an `nn.Embedding` stood whose weight the head's product has packed."""

    def __init__(self, product: PackedProduct) -> None:
        super().__init__()
        self._product = product

    @property
    def weight(self) -> torch.Tensor:
        """`[vocabulary, width]`, unpacked anew; for code that wants to know its dtype or its numbers."""
        return self._product.rows(torch.arange(self._product.outputs))

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """`[...]` -> `[..., width]`."""
        return self._product.rows(token_ids)


def tied_head(model: PreTrainedModel) -> str | None:
    """The path of the head whose weight the embeddings are looked up in as they are, if there is one."""
    table, head = model.get_input_embeddings(), model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if type(table) is not nn.Embedding or not isinstance(head, nn.Linear) or table.weight is not head.weight:
        return None
    paths: dict[nn.Module, str] = {module: path for path, module in model.named_modules()}
    return paths[head]


def share_table(model: PreTrainedModel, head: Product) -> None:
    """Have embeddings looked up in what was made of their `tied_head`; where that is not packed they stay."""
    if isinstance(head, PackedProduct):
        model.set_input_embeddings(PackedTable(head))

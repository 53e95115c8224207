"""Reads a loaded model's configuration and module tree as a `Description`; whatever looks unknown is declined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from ....kvcache import LayerShape
from ..capture import Scoring
from ..loader import LoadedModel
from ..products.product import Product
from .description import Attention, Description, Head, Layer, Norm, Rope

_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_GEMMA_NORMS = {"pre_feedforward_layernorm", "post_feedforward_layernorm"}
_ATTENTION = {"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "q_norm", "k_norm"}
_MLP = {"gate_proj", "up_proj", "gate_up_proj", "down_proj", "act_fn", "activation_fn"}

Products = Mapping[str, Product]
"""By the path of the first linear layer that each computes."""


class NotTaken(Exception):
    """The model is not of this family; says why."""


def decoder_layers(model: PreTrainedModel) -> list[nn.Module]:
    """The decoder's layers, one for each state; none where the model keeps them elsewhere."""
    layers = getattr(_decoder(model), "layers", None)
    return list(layers) if isinstance(layers, nn.ModuleList) else []


def _decoder(model: PreTrainedModel) -> nn.Module:
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    return decoder


def describe(loaded: LoadedModel, products: Products) -> Description:
    """Raises `NotTaken`. That the description says what the model means is not proved yet."""
    decoder = _decoder(loaded.model)
    layers = decoder_layers(loaded.model)
    if loaded.device.type != "cpu":
        raise NotTaken(f"it is made for the CPU, the model is on {loaded.device.type}")
    if len(layers) != len(loaded.layers):
        raise NotTaken("its layers are not where the Llama family has them")
    reader = _Reader(loaded, products, layers, decoder)
    return Description(
        embed=partial(_embed, _child(decoder, "embed_tokens"), float(getattr(decoder, "embedding_multiplier", 1.0))),
        layers=tuple(reader.layer(number) for number in range(len(layers))),
        head=reader.head(),
        ropes=reader.ropes,
        activation=_activation(_child(layers[0], "mlp")),
        residual_scale=float(getattr(layers[0], "residual_multiplier", 1.0)),
    )


class _Reader:
    def __init__(self, loaded: LoadedModel, products: Products, layers: list[nn.Module], decoder: nn.Module) -> None:
        self._loaded, self._products, self._layers, self._decoder = loaded, products, layers, decoder
        self._config = loaded.model.config.get_text_config(decoder=True)
        self._paths = {module: path for path, module in loaded.model.named_modules()}
        rotary = _child(decoder, "rotary_emb")
        takes_type = "layer_type" in inspect.signature(rotary.forward).parameters
        self._rope_types = sorted(set(self._config.layer_types)) if takes_type else [""]
        self.ropes = tuple(_rope(rotary, kind, loaded.dtype) for kind in self._rope_types)

    def layer(self, number: int) -> Layer:
        module = self._layers[number]
        _refuse_unknown(module, _LAYER | _GEMMA_NORMS)
        mlp = _child(module, "mlp")
        _refuse_unknown(mlp, _MLP)
        after = _child(module, "post_attention_layernorm")
        four = hasattr(module, "pre_feedforward_layernorm")  # Gemma: what is added to the stream is normed as well
        return Layer(
            attention=self._attention(number, _child(module, "self_attn")),
            gate_up=self._product(mlp, "gate_up_proj", "gate_proj"),
            down=self._product(mlp, "down_proj"),
            norm=read_norm(_child(module, "input_layernorm")),
            out_norm=read_norm(after) if four else None,
            mlp_norm=read_norm(_child(module, "pre_feedforward_layernorm") if four else after),
            mlp_out_norm=read_norm(_child(module, "post_feedforward_layernorm")) if four else None,
        )

    def _attention(self, number: int, module: nn.Module) -> Attention:
        _refuse_unknown(module, _ATTENTION)
        shape, scoring = self._loaded.layers[number], self._loaded.scorings[number]
        _refuse_unusual(shape, scoring)
        return Attention(
            qkv=self._product(module, "qkv_proj", "q_proj"),
            out=self._product(module, "o_proj"),
            heads=int(self._config.num_attention_heads),
            shape=shape,
            scoring=scoring,
            rope=self._rope_number(number, module),
            query_norm=_optional_norm(module, "q_norm"),
            key_norm=_optional_norm(module, "k_norm"),
        )

    def _rope_number(self, number: int, attention: nn.Module) -> int | None:
        if not getattr(attention, "use_rope", True):
            return None
        kind = self._config.layer_types[number] if len(self._rope_types) > 1 else self._rope_types[0]
        return self._rope_types.index(kind)

    def head(self) -> Head:
        module = self._loaded.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        cap = getattr(self._config, "final_logit_softcapping", None)
        return Head(
            norm=read_norm(_child(self._decoder, "norm")),
            product=self._at(self._paths.get(module, "")),
            divisor=float(getattr(self._config, "logits_scaling", 1.0)),
            cap=None if cap is None else float(cap),
        )

    def _product(self, module: nn.Module, *names: str) -> Product:
        found = next((name for name in names if hasattr(module, name)), names[0])
        return self._at(f"{self._paths[module]}.{found}")

    def _at(self, path: str) -> Product:
        if path not in self._products:
            raise NotTaken(f"it has no plain linear layer {path}")
        return self._products[path]


def read_norm(module: nn.Module) -> Norm:
    """Which of the known norms a module computes is told by what it makes of a row."""
    weight, eps = getattr(module, "weight", None), getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(weight, torch.Tensor) or not isinstance(eps, float):
        raise NotTaken(f"its {type(module).__name__} has no weight and epsilon")
    weight = weight.detach()
    row = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)).to(weight)
    with torch.inference_mode():
        got, unweighted = module(row).float(), functional.rms_norm(row.float(), row.shape, None, eps)
    for norm in (Norm(weight, eps, rounds_first=True), Norm(1.0 + weight.float(), eps, rounds_first=False)):
        if torch.allclose(got, unweighted * norm.weight.float(), rtol=0.02, atol=0.02):
            return norm
    raise NotTaken(f"its {type(module).__name__} is no norm that is known")


def _optional_norm(module: nn.Module, name: str) -> Norm | None:
    return read_norm(_child(module, name)) if hasattr(module, name) else None


def _activation(mlp: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return cast(nn.Module, getattr(mlp, "act_fn", None) or _child(mlp, "activation_fn"))


def _embed(table: nn.Module, multiplier: float, token_ids: torch.Tensor) -> torch.Tensor:
    embedded: torch.Tensor = table(token_ids)
    return embedded if multiplier == 1.0 else embedded * multiplier


def _rope(rotary: nn.Module, kind: str, dtype: torch.dtype) -> Rope:
    typed = torch.empty(0, dtype=dtype)

    def tables(positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = rotary(typed, positions[None], **({"layer_type": kind} if kind else {}))
        return cos[0], sin[0]

    return tables


def _refuse_unknown(module: nn.Module, known: set[str]) -> None:
    for name, child in module.named_children():
        if name not in known and any(True for _ in (*child.parameters(), *child.buffers())):
            raise NotTaken(f"its {type(module).__name__} has a part {name} that is not known")
    if own := [name for name, _ in module.named_parameters(recurse=False)]:
        raise NotTaken(f"its {type(module).__name__} has weights {own[0]} that are not known")


def _refuse_unusual(shape: LayerShape, scoring: Scoring) -> None:
    if scoring.sinks is not None:
        raise NotTaken("its attention has sinks")
    if shape.key_dim != shape.value_dim:
        raise NotTaken("its keys and values are not of the same size")


def _child(module: nn.Module, name: str) -> nn.Module:
    child = getattr(module, name, None)
    if not isinstance(child, nn.Module):
        raise NotTaken(f"its {type(module).__name__} has no {name}")
    return child

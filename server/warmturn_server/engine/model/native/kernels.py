"""The compiled kernels as Python calls them; `kernels.cpp` says what each does."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_float, c_int32, c_int64, c_void_p

import torch

from ....kvcache import KVLayout
from ..attention import Chunk
from ..compiled.compiling import compiled
from ..lean.description import Attention, Layer, Norm
from ..lean.rope import RopeTable
from ..products.packed import CompiledProduct, ProductStruct
from ..products.product import Product

MOST_QUERIES, MOST_DIM = 48, 256
"""As in `attention.h`."""


class _Norm(ctypes.Structure):
    _fields_ = (("weight", c_void_p), ("eps", c_float), ("rounds_first", c_int32))


class _Heads(ctypes.Structure):
    _fields_ = (
        ("query_norm", _Norm),
        ("key_norm", _Norm),
        ("cos", c_void_p),
        ("sin", c_void_p),
        *((name, c_int64) for name in ("heads", "kv_heads", "dim", "rotated", "window")),
        *((name, c_int64) for name in ("key_slab", "key_first", "value_slab", "value_first")),
        ("scale", c_float),
        ("cap", c_float),
    )


class _Step(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("chunks", "rows", "slabs")),
        *((name, c_void_p) for name in ("row", "start", "count", "capacity", "slab", "position")),
        ("blocks", c_int64),
        ("block", c_void_p),
    )


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("norm", "out_norm", "mlp_norm", "mlp_out_norm", "heads")),
        *((name, ProductStruct) for name in ("qkv", "out", "gate_up", "down")),
        ("activation", c_int32),
    )


class _Room(ctypes.Structure):
    _fields_ = tuple(
        (name, c_void_p) for name in ("normed", "qkv", "attended", "more", "gate_up", "activated", "added")
    )


class NormOf:
    """A norm where the kernels find it; none does nothing."""

    def __init__(self, norm: Norm | None) -> None:
        self._weight = None if norm is None else norm.weight.contiguous()
        eps, rounds_first = (0.0, False) if norm is None else (norm.eps, norm.rounds_first)
        self.struct = _Norm(None if self._weight is None else self._weight.data_ptr(), eps, rounds_first)
        self.address = ctypes.addressof(self.struct)


class HeadsOf:
    """One layer's attention where the kernels find it."""

    def __init__(self, attention: Attention, layout: KVLayout, number: int) -> None:
        self._norms = NormOf(attention.query_norm), NormOf(attention.key_norm)
        shape, scoring = attention.shape, attention.scoring
        keys, values = layout.keys[number], layout.values[number]
        sizes = (attention.heads, shape.kv_heads, shape.key_dim, 0, scoring.window or 0)
        places = (keys.slab, keys.first, values.slab, values.first)
        norms = (norm.struct for norm in self._norms)
        self._struct = _Heads(*norms, None, None, *sizes, *places, scoring.scale, scoring.softcap or 0.0)
        self.address = ctypes.addressof(self._struct)

    def rotate_by(self, table: RopeTable) -> None:
        """From now on by the numbers that the table has now."""
        self._held = table.cos, table.sin  # the table makes longer ones, and lets go of these
        self._struct.cos, self._struct.sin = table.cos.data_ptr(), table.sin.data_ptr()
        self._struct.rotated = table.cos.shape[1]


class StepOf:
    """The chunks of a step where the kernels find them, in blocks of rows whose queries are few enough together."""

    def __init__(self, chunks: Sequence[Chunk], positions: Sequence[int], group: int) -> None:
        layout, rows = chunks[0].buffer.layout, max(1, MOST_QUERIES // group)
        blocks = [
            (number, first, min(rows, chunk.num_tokens - first))
            for number, chunk in enumerate(chunks)
            for first in range(0, chunk.num_tokens, rows)
        ]
        self._held = (
            _longs([chunk.row for chunk in chunks]),
            _longs([chunk.start for chunk in chunks]),
            _longs([chunk.num_tokens for chunk in chunks]),
            _longs([chunk.buffer.capacity for chunk in chunks]),
            (c_void_p * (len(chunks) * len(layout.slabs)))(*(at for chunk in chunks for at in chunk.buffer.addresses)),
            _longs(positions),
            _longs([number for block in blocks for number in block]),
        )
        *arrays, block = (ctypes.addressof(array) for array in self._held)
        self._struct = _Step(len(chunks), len(positions), len(layout.slabs), *arrays, len(blocks), block)
        self.address = ctypes.addressof(self._struct)


class LayersOf:
    """All layers of a model where the kernels find them, to be run in one go; all products of it are packed."""

    def __init__(
        self, layers: Sequence[Layer], heads: Sequence[HeadsOf], norms: Sequence[Sequence[NormOf]], activation: int
    ) -> None:
        """norms: of each layer, in the order of `Layer`."""
        self._structs = (_Layer * len(layers))(
            *(
                _Layer(*(norm.address for norm in own), at.address, *_structs(layer), activation)
                for layer, at, own in zip(layers, heads, norms, strict=True)
            )
        )
        self.count, self.address = len(layers), ctypes.addressof(self._structs)
        self._widths = [max(widths) for widths in zip(*map(_widths, layers), strict=True)]

    def room(self, rows: int, like: torch.Tensor) -> tuple[_Room, list[torch.Tensor]]:
        """For what a step of so many rows leaves in between; the last one is what the last layer adds."""
        tensors = [like.new_empty(rows, width) for width in self._widths]
        return _Room(*(tensor.data_ptr() for tensor in tensors)), tensors


def all_packed(layers: Sequence[Layer]) -> bool:
    return all(isinstance(product, CompiledProduct) for layer in layers for product in _products(layer))


def _products(layer: Layer) -> tuple[Product, ...]:
    return layer.attention.qkv, layer.attention.out, layer.gate_up, layer.down


def _structs(layer: Layer) -> list[ProductStruct]:
    return [product.struct for product in _products(layer) if isinstance(product, CompiledProduct)]


def _widths(layer: Layer) -> tuple[int, ...]:
    """In the order of `_Room`."""
    qkv, out, gate_up, down = _structs(layer)
    return qkv.inputs, qkv.outputs, out.inputs, out.outputs, gate_up.outputs, down.inputs, down.outputs


class Kernels:
    """Raises `NotCompiled` where there are none for this number format on this machine."""

    def __init__(self, dtype: torch.dtype) -> None:
        library = compiled(dtype)
        self._add_and_norm = library.add_and_norm
        self._add_and_norm.argtypes = (c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_float, c_int64, c_int64)
        self._activate = library.activate
        self._activate.argtypes = (c_void_p, c_void_p, c_int32, c_int64, c_int64)
        self._turn_and_keep, self._look = library.turn_and_keep, library.look
        self._turn_and_keep.argtypes = (c_void_p, c_void_p, c_void_p)
        self._look.argtypes = (c_void_p, c_void_p, c_void_p, c_void_p)
        self._run = library.run
        self._run.argtypes = (c_void_p, c_int64, c_void_p, c_int64, c_float, c_void_p, c_void_p)
        for function in (self._add_and_norm, self._activate, self._turn_and_keep, self._look, self._run):
            function.restype = None

    def add_and_norm(
        self, x: torch.Tensor, added: torch.Tensor | None, norms: tuple[NormOf, NormOf], scale: float, out: torch.Tensor
    ) -> None:
        """`x += scale * norms[0](added)`, then `out = norms[1](x)`, all `[rows, width]`; x changes in place."""
        after, before = norms
        added = None if added is None else added.contiguous()
        more = None if added is None else added.data_ptr()
        rows, width = x.shape
        self._add_and_norm(x.data_ptr(), more, out.data_ptr(), after.address, before.address, scale, rows, width)

    def activate(self, gate_up: torch.Tensor, out: torch.Tensor, activation: int) -> None:
        """`[rows, 2 * width]` -> `[rows, width]`."""
        gate_up = gate_up.contiguous()
        self._activate(gate_up.data_ptr(), out.data_ptr(), activation, *out.shape)

    def turn_and_keep(self, qkv: torch.Tensor, heads: HeadsOf, step: StepOf) -> None:
        """Norms and rotates in place, contiguous as it must be, and puts keys and values into the buffers."""
        self._turn_and_keep(qkv.data_ptr(), heads.address, step.address)

    def look(self, qkv: torch.Tensor, out: torch.Tensor, heads: HeadsOf, step: StepOf) -> None:
        """After that: what the rows see, `[rows, heads * dim]`."""
        self._look(qkv.data_ptr(), out.data_ptr(), heads.address, step.address)

    def run(self, layers: LayersOf, x: torch.Tensor, scale: float, step: StepOf) -> torch.Tensor:
        """All layers over `x` `[rows, width]`, which changes in place; returns what the last of them adds to it."""
        room, tensors = layers.room(len(x), x)
        where = ctypes.addressof(room)
        self._run(layers.address, layers.count, x.data_ptr(), x.shape[1], scale, where, step.address)
        return tensors[-1]


def _longs(values: Sequence[int]) -> ctypes.Array[c_int64]:
    return (c_int64 * len(values))(*values)

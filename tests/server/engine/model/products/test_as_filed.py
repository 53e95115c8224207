"""Layers of a GGUF file keep the very bits that it has for them, whatever transformers did to names and rows."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from tests.support.gguf_files import KindOf, wide_llama, write_gguf
from transformers import LlamaForCausalLM

from warmturn_server.engine import ModelRunner, Work, load_model
from warmturn_server.engine.model.compiled.amx import kernels_multiply
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.products.few_bits import FewBits, WeightKind, few_bits
from warmturn_server.engine.model.products.gguf_blocks import FOUR_BITS, codes_of
from warmturn_server.engine.model.products.in_model import linear_groups
from warmturn_server.engine.model.products.int4 import Int4Codes
from warmturn_server.engine.model.products.int8_in_groups import Int8GroupCodes

CPU = torch.device("cpu")
ROUNDING = {"Q4_K": 2**-21}
LINEARS = 2 * 7 + 1
PROMPT = tuple(range(10, 40))
KINDS = [*FOUR_BITS, "Q8_0"]
pytestmark = pytest.mark.filterwarnings("ignore:(divide by zero|invalid value)")


def asked(kind: str) -> WeightKind:
    return "int8" if kind == "Q8_0" else "int4"


def all_in(kind: str, **others: str) -> KindOf:
    """`others`: kinds of those whose name contains the key, dots left out."""

    def kind_of(name: str) -> GGMLQuantizationType:
        return GGMLQuantizationType[
            next((other for part, other in others.items() if part in name.replace(".", "")), kind)
        ]

    return kind_of


def made(folder: Path, kind_of: KindOf, model: LlamaForCausalLM | None = None) -> Path:
    """Embeddings, which are looked up, are in full unless they are the head too."""
    model = wide_llama() if model is None else model
    plain, tied = GGMLQuantizationType.F32, model.config.tie_word_embeddings
    return write_gguf(
        folder / "wide.gguf", model, kind_of=lambda name: plain if "token_embd" in name and not tied else kind_of(name)
    )


def load(path: Path, dtype: str = "float32") -> LoadedModel:
    return load_model(str(path), device="cpu", dtype=dtype, max_context=None)


def bits_of(loaded: LoadedModel, kind: WeightKind, *, compiled: bool = True) -> FewBits:
    return FewBits(loaded.model, kind, loaded.checkpoint.gguf, compiled=compiled)


def codes_by_path(loaded: LoadedModel, bits: FewBits) -> dict[str, Any]:
    return {path: bits._codes[module] for path, module in loaded.model.named_modules() if module in bits._codes}


def needs_kernels(dtype: torch.dtype) -> None:
    if not kernels_multiply(dtype):
        pytest.skip("this processor's weights are not packed")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_is_what_the_file_says(tmp_path: Path, kind: str, dtype: str) -> None:
    """Also those of llama.cpp's permuted rows, q and k; and to more bits than a model in bfloat16 has."""
    needs_kernels(getattr(torch, dtype))
    file = made(tmp_path, all_in(kind))
    loaded, exact = load(file, dtype), load(file).model
    bits = bits_of(loaded, asked(kind))
    assert bits.as_filed == {kind: LINEARS}
    for path, codes in codes_by_path(loaded, bits).items():
        weight = exact.get_parameter(f"{path}.weight").detach()
        off = float((codes.dequantised() - weight).abs().max() / weight.abs().max())
        assert off <= ROUNDING.get(kind, 0.0), path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_what_is_served_is_what_the_file_says(tmp_path: Path, kind: str, dtype: str) -> None:
    needs_kernels(getattr(torch, dtype))
    file = made(tmp_path, all_in(kind))
    meant = load(file).model(input_ids=torch.tensor([PROMPT]), use_cache=False).logits[0, -1]
    runner = ModelRunner(load(file, dtype), weights=asked(kind))
    said = runner.forward([Work(runner.buffer(), PROMPT)])[0]
    assert (said - meant).norm() < {"float32": 1e-5, "bfloat16": 0.06}[dtype] * meant.norm()
    assert runner.about()["layers_as_filed"] == {kind: LINEARS}
    assert kind in runner.arithmetic


def test_a_head_that_shares_its_weights_is_filed_with_the_embeddings(tmp_path: Path) -> None:
    needs_kernels(torch.float32)
    loaded = load(made(tmp_path, all_in("Q4_0", token_embd="Q8_0"), wide_llama(tied=True)))
    bits = bits_of(loaded, "int4")
    assert bits.as_filed == {"Q4_0": LINEARS - 1, "Q8_0": 1}
    assert isinstance(codes_by_path(loaded, bits)["lm_head"], Int8GroupCodes)


def test_what_the_file_has_in_more_bits_gets_eight_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All of a group, for it is one product: of q, k and v, if one of them is filed otherwise."""
    kind_of = all_in("Q4_1", blk0attn_k="Q5_0", blk1attn_v="Q8_0", output="Q5_1", blk0ffn_up="Q4_0")
    loaded = load(made(tmp_path, kind_of))
    with caplog.at_level(logging.INFO):
        bits = few_bits(loaded.model, "it", "int4", CPU, loaded.checkpoint.gguf)
    assert bits.as_filed == {"Q4_1": LINEARS - 6 - 3 - 1, "Q4_0": 1}
    others = {path for path, codes in codes_by_path(loaded, bits).items() if not isinstance(codes, Int4Codes)}
    attention = {f"model.layers.{number}.self_attn.{name}_proj" for number in range(2) for name in "qkvo"}
    assert others == {*attention, "lm_head"}
    assert "the file's own bits: 1 Q4_0, 5 Q4_1; 9 others" in caplog.text


@pytest.mark.parametrize("embeddings", ["Q8_0", "Q4_0"])
def test_without_layers_of_the_kind_it_is_as_of_any_model(tmp_path: Path, embeddings: str) -> None:
    """Embeddings are looked up, not multiplied."""
    kind_of = all_in("Q8_0", ffn_up="Q5_0", token_embd=embeddings)
    loaded = load(write_gguf(tmp_path / "wide.gguf", wide_llama(), kind_of=kind_of))
    bits, plain = bits_of(loaded, "int4"), FewBits(loaded.model, "int4")
    assert (bits.version, bits.as_filed) == (plain.version, {})
    assert all(isinstance(codes, Int4Codes) for codes in bits._codes.values())
    assert all(torch.equal(bits._codes[linear].codes, codes.codes) for linear, codes in plain._codes.items())


def test_state_depends_on_whose_bits_they_are(tmp_path: Path) -> None:
    loaded = load(made(tmp_path, all_in("Q4_1")))
    assert bits_of(loaded, "int4").version != FewBits(loaded.model, "int4").version


@torch.no_grad()
def test_layers_that_were_changed_are_not_taken_for_the_files(tmp_path: Path) -> None:
    """As by an adapter that was merged: one number is enough."""
    loaded = load(made(tmp_path, all_in("Q4_0")), "bfloat16")
    loaded.model.get_parameter("model.layers.0.mlp.down_proj.weight")[100, 7] += 0.1
    bits = bits_of(loaded, "int4")
    assert bits.as_filed == {"Q4_0": LINEARS - 1}
    assert not isinstance(codes_by_path(loaded, bits)["model.layers.0.mlp.down_proj"], Int4Codes)


def test_codes_that_say_something_else_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(kind: str, rows: np.ndarray) -> Int4Codes:
        codes = codes_of(kind, rows)
        assert isinstance(codes, Int4Codes)
        codes.codes[-1, -1] ^= 1
        return codes

    monkeypatch.setattr("warmturn_server.engine.model.products.as_filed.codes_of", wrong)
    assert bits_of(load(made(tmp_path, all_in("Q4_0")), "bfloat16"), "int4").as_filed == {}


def test_rows_that_are_alike_are_told_by_their_kind(tmp_path: Path) -> None:
    """Rows of zeros are in tensors of every kind."""
    model = wide_llama()
    for path in ("model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"):
        model.get_parameter(f"{path}.weight")[::2] = 0.0
    loaded = load(made(tmp_path, all_in("Q4_1", blk0ffn_down="Q4_0")))
    assert bits_of(loaded, "int4").as_filed == {"Q4_1": LINEARS - 1, "Q4_0": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_kernel_gets_scales_that_it_can_take(tmp_path: Path, kind: str) -> None:
    """The file's codes, with scales of the model's dtype; in eight bits the file's groups are more than it can."""
    loaded = load(made(tmp_path, all_in(kind)), "bfloat16")
    bits = bits_of(loaded, asked(kind), compiled=False)
    assert bits.as_filed == ({} if kind == "Q8_0" else {kind: LINEARS})
    assert {codes.scales.dtype for codes in bits._codes.values()} == {torch.bfloat16}
    product = bits(linear_groups(loaded.model)[0].linears)
    assert product.num_bytes > 0


@pytest.mark.parametrize(("kind", "hint"), [("Q4_K", "--weights int4"), ("Q8_0", "--weights int8"), ("Q5_0", "")])
def test_by_default_it_is_said_how_they_are_kept(
    tmp_path: Path, kind: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load(made(tmp_path, all_in(kind)))
    with caplog.at_level(logging.INFO):
        few_bits(loaded.model, "it", "auto", CPU, loaded.checkpoint.gguf)
    assert ("keeps the file's own bits" in caplog.text) is bool(hint)
    assert hint in caplog.text


def test_a_tensor_of_many_rows_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmturn_server.engine.model.products.gguf_rows._NUMBERS_AT_ONCE", 3000)
    monkeypatch.setattr("warmturn_server.engine.model.products.as_filed._ROWS_AT_ONCE", 100)
    assert bits_of(load(made(tmp_path, all_in("Q4_0"))), "int4").as_filed == {"Q4_0": LINEARS}

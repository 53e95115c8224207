"""Quantised checkpoints: served as transformers unpacks them, or refused with what is missing."""

import json
import random
import shutil
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.reference import random_ids
from torch import nn
from transformers import AutoModelForCausalLM

from warmturn_server.engine import load_model
from warmturn_server.engine.model import loader
from warmturn_server.engine.model.products.in_model import linear_groups
from warmturn_server.errors import ModelRefused

Tensors = dict[str, torch.Tensor]
BLOCK: Final = 32
LARGEST_FLOAT8: Final = 448.0
FLOAT8: Final = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}
INT4: Final = {"bits": 4, "group_size": 128}
COMPRESSED: Final = {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32, "strategy": "group"}}
_HQQ: Final = {"weight_quant_params": {"nbits": 4, "group_size": 64, "axis": 1}}

# What config.json says, the package that is missing where it is not installed, and what the refusal has to name.
UNAVAILABLE: Final[tuple[tuple[Mapping[str, Any], str, str], ...]] = (
    ({**INT4, "quant_method": "gptq"}, "gptqmodel", "gptqmodel"),
    ({**INT4, "quant_method": "awq", "version": "gemm"}, "gptqmodel", "gptqmodel"),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes", "bitsandbytes"),
    ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsandbytes", "bitsandbytes"),
    (
        {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": COMPRESSED}},
        "compressed_tensors",
        "compressed-tensors",
    ),
    ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, "torchao", "pip install torchao"),
    ({"quant_method": "hqq", "quant_config": _HQQ}, "hqq", "HQQ"),
    ({"quant_method": "aqlm", "nbits_per_codebook": 16}, "aqlm", "pip install aqlm"),
    ({"quant_method": "quanto", "weights": "int8"}, "optimum", "optimum-quanto"),
    ({**INT4, "quant_method": "auto-round", "sym": True}, "auto_round", "auto-round"),
    ({"quant_method": "vptq", "config_for_layers": {}, "shared_layer_config": {}}, "vptq", "pip install -U vptq"),
    ({"quant_method": "sinq", "nbits": 4}, "sinq", "pip install sinq"),
    ({"quant_method": "quark", "export": {}}, "quark", "Quark"),
    ({"quant_method": "eetq", "weights": "int8"}, "kernels", "kernels"),
    ({"quant_method": "fouroversix"}, "fouroversix", "fouroversix"),
    ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, "", "requires a GPU"),
    ({"quant_method": "fp_quant", "hadamard_group_size": 32}, "", "only supported on GPU"),
    ({"quant_method": "higgs", "bits": 4, "p": 2}, "", "only supported on GPU"),
    ({"quant_method": "spqr", "bits": 3, "beta1": 16, "beta2": 16, "shapes": {}}, "", "GPU is required"),
    ({"quant_method": "nvfp4"}, "", "not supported yet"),
)


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells what is missing without a GPU")
@pytest.mark.parametrize(
    ("packing", "module", "named"),
    UNAVAILABLE,
    ids=[f"{packing['quant_method']}-{number}" for number, (packing, *_) in enumerate(UNAVAILABLE)],
)
def test_what_is_missing_is_named(
    tiny_models: TinyModels, tmp_path: Path, packing: Mapping[str, Any], module: str, named: str
) -> None:
    if module and find_spec(module):
        pytest.skip(f"{module} is installed")
    with pytest.raises(ModelRefused, match=r"is quantised by .* and cannot be loaded here: ") as refused:
        load(checkpoint(tiny_models(), tmp_path / "model", packing))
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("packing", "said"),
    [
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "quantised by modelopt, which transformers"),
        ({"quant_method": "exl3", "bits": 4.0}, "quantised by exl3, which transformers"),
        ({"group_size": 64, "bits": 4}, "quantised by a method that its config.json does not name"),
        ({"quant_method": ["fp8"]}, "cannot unpack"),
        ("int4", "quantization_config in its config.json that is no object"),
    ],
)
def test_a_method_that_is_not_known_is_refused(
    tiny_models: TinyModels, tmp_path: Path, packing: object, said: str
) -> None:
    """Transformers would take packed numbers for weights."""
    with pytest.raises(ModelRefused, match=said):
        load(checkpoint(tiny_models(), tmp_path / "model", packing))


def test_float8_is_served_as_transformers_unpacks_it(tiny_models: TinyModels, tmp_path: Path) -> None:
    model = checkpoint(tiny_models(), tmp_path / "model", FLOAT8, in_float8)
    prompt = random_ids(random.Random(3), 40)
    own = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    expected = own.generate(torch.tensor([prompt]), max_new_tokens=12, do_sample=False)[0, len(prompt) :].tolist()
    with running_engine(model, tmp_path / "data") as engine:
        assert list(engine.generate(greedy(prompt, 12)).token_ids) == expected


def test_float8_without_scales_is_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    def unscaled(tensors: Tensors) -> None:
        in_float8(tensors)
        del tensors["model.layers.1.mlp.up_proj.weight_scale_inv"]

    with pytest.raises(ModelRefused, match=r"lacks the scale of model\.layers\.1\.mlp\.up_proj\.weight"):
        load(checkpoint(tiny_models(), tmp_path / "model", FLOAT8, unscaled))


def test_packed_weights_where_plain_ones_are_said_to_be_are_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    def packed(tensors: Tensors) -> None:
        name = "model.layers.0.mlp.up_proj.weight"
        tensors[name] = tensors[name].to(torch.int8).view(torch.int32)

    with pytest.raises(ModelRefused, match=r"its weights have other shapes than its config\.json says"):
        load(checkpoint(tiny_models(), tmp_path / "model", None, packed))


@pytest.mark.parametrize("left", ["weight_scale", "bias"])
def test_tensors_of_a_layer_that_find_no_place_are_refused(tiny_models: TinyModels, tmp_path: Path, left: str) -> None:
    """As they do where config.json does not say that weights are quantised."""
    model = checkpoint(tiny_models(), tmp_path / "model", None, adding(f"model.layers.0.self_attn.q_proj.{left}"))
    with pytest.raises(ModelRefused, match=rf"makes no use of, model\.layers\.0\.self_attn\.q_proj\.{left}"):
        load(model)


def test_what_is_not_part_of_a_layer_is_passed_over(tiny_models: TinyModels, tmp_path: Path) -> None:
    for name in ("model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.self_attn.q_proj.input_scale"):
        load(checkpoint(tiny_models(), tmp_path / name, None, adding(name)))


def test_layers_that_compute_otherwise_than_their_weights_say_stay_as_they_are() -> None:
    """As those of compressed-tensors do, and the tensors of torchao."""

    class Codes(torch.Tensor):
        pass

    model = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("plain", "own_forward", "hooked", "codes", "integers")})
    model["own_forward"].forward = lambda x: x
    model["hooked"].register_forward_pre_hook(lambda *_: None)
    model["codes"].weight = nn.Parameter(torch.zeros(4, 4).as_subclass(Codes))
    model["integers"].weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
    assert [group.path for group in linear_groups(model)] == ["plain"]


def test_a_model_that_computes_in_a_dtype_of_its_own_is_refused(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As layers of bitsandbytes do: keys in bfloat16 do not go into a buffer of float32."""
    monkeypatch.setattr(
        loader, "load_weights", lambda *_: AutoModelForCausalLM.from_pretrained(tiny_models()).bfloat16()
    )
    with pytest.raises(ModelRefused, match=r"llama computes in bfloat16, .*: serve it with --dtype bfloat16"):
        load(tiny_models())


def load(model: Path) -> None:
    load_model(str(model), device="cpu", dtype="float32", max_context=None)


def checkpoint(source: Path, folder: Path, packing: object, change: Callable[[Tensors], None] = lambda _: None) -> Path:
    """`source` with other weights, and config.json saying that they are packed so."""
    shutil.copytree(source, folder)
    if packing is not None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "quantization_config": packing}))
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def in_float8(tensors: Tensors) -> None:
    """Blocks of weights in eight bits with a scale each, as DeepSeek's and Qwen's are."""
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        rows, columns = (size // BLOCK for size in tensors[name].shape)
        blocks = tensors[name].view(rows, BLOCK, columns, BLOCK)
        scales = blocks.abs().amax((1, 3)) / LARGEST_FLOAT8
        codes = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
        tensors[name] = codes.view(rows * BLOCK, columns * BLOCK)
        tensors[f"{name}_scale_inv"] = scales


def adding(name: str) -> Callable[[Tensors], None]:
    def add(tensors: Tensors) -> None:
        tensors[name] = torch.full((64,), 0.5)

    return add

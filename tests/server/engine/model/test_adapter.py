"""A LoRA adapter is part of the model: of what it says, and of what its state is valid for."""

import json
import random
import shutil
from pathlib import Path
from typing import Any, Final

import peft
import pytest
import torch
from gguf import GGMLQuantizationType
from tests.support.engines import greedy, running_engine
from tests.support.gguf_files import wide_llama, write_gguf
from tests.support.models import TinyModels
from tests.support.reference import random_ids
from transformers import AutoModelForCausalLM

from warmturn_server.engine import ModelRunner, Work, load_model
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.errors import ModelRefused, StartRefused

IDS: Final = random_ids(random.Random(2), 40)


@pytest.fixture(scope="module")
def adapter(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(tiny_models(), tmp_path_factory.mktemp("adapter") / "terse", seed=1)


def make_adapter(base: Path, folder: Path, *, seed: int, **options: Any) -> Path:
    """One that changes attention and the MLP, as if it had been trained."""
    torch.manual_seed(seed)
    modules = ["q_proj", "v_proj", "down_proj"]
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=modules, init_lora_weights=False, **options)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    model.save_pretrained(str(folder))
    return folder


def load(model: Path, adapter: Path | None = None) -> LoadedModel:
    return load_model(str(model), device="cpu", dtype="float32", max_context=None, adapter=adapter)


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    found = model(input_ids=torch.tensor([IDS]), use_cache=False).logits
    assert isinstance(found, torch.Tensor)
    return found


def test_it_is_merged(tiny_models: TinyModels, adapter: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_models(), dtype=torch.float32)
    plain = logits(base)
    together = logits(peft.PeftModel.from_pretrained(base, str(adapter)).eval())
    assert torch.allclose(logits(load(tiny_models(), adapter).model), together, atol=1e-4)
    assert not torch.allclose(plain, together, atol=1e-1)


@pytest.mark.parametrize("weights", ["auto", "int4"])
def test_it_is_merged_into_a_gguf_files_model(tmp_path: Path, weights: WeightKind) -> None:
    """Layers that it changes are no longer the file's; the others keep the bits that they have there."""
    base = wide_llama()
    base.save_pretrained(tmp_path / "base")
    adapter = make_adapter(tmp_path / "base", tmp_path / "terse", seed=1)
    file = write_gguf(tmp_path / "wide.gguf", base, kind_of=lambda _: GGMLQuantizationType.Q4_1)
    exact = load(file).model
    together = logits(peft.PeftModel.from_pretrained(exact, str(adapter)).eval())[0, -1]
    runner = ModelRunner(load(file, adapter), weights=weights)
    said = runner.forward([Work(runner.buffer(), IDS)])[0]
    assert (said - together).norm() < {"auto": 1e-4, "int4": 0.05}[weights] * together.norm()
    assert runner.bits.as_filed == ({} if weights == "auto" else {"Q4_1": 2 * 3 + 1})


def test_state_of_one_is_not_taken_for_the_others(tiny_models: TinyModels, adapter: Path, tmp_path: Path) -> None:
    for given, cached in ((None, 0), (adapter, 0), (adapter, 32)):
        with running_engine(tiny_models(), tmp_path, adapter=given) as engine:
            report = engine.generate(greedy(IDS, 2, known_tokens=len(IDS))).report
        assert (report.cached_tokens >= cached, report.cached_tokens > 0) == (True, cached > 0)


def test_an_adapter_alone_is_named_as_such(tiny_models: TinyModels, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=f"holds an adapter alone, made for {tiny_models()}: --model .* --adapter "):
        load(adapter)
    with pytest.raises(StartRefused, match="is no adapter: a folder with "):
        load(tiny_models(), tmp_path)


def test_one_that_does_not_fit_is_refused(tiny_models: TinyModels, adapter: Path) -> None:
    with pytest.raises(ModelRefused, match="does not fit qwen3"):
        load(tiny_models("qwen3"), adapter)


def test_a_missing_extra_is_named(tiny_models: TinyModels, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmturn_server.engine.model.needs.find_spec", lambda _: None)
    with pytest.raises(ModelRefused, match=r"--adapter needs peft: pip install 'warmturn\[lora\]'"):
        load(tiny_models(), adapter)


@pytest.mark.parametrize(
    "options",
    [{"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}],
    ids=lambda value: next(iter(value)),
)
def test_other_kinds_of_lora_are_merged_too(tiny_models: TinyModels, tmp_path: Path, options: dict[str, Any]) -> None:
    folder = make_adapter(tiny_models(), tmp_path / "adapter", seed=2, **options)
    base = AutoModelForCausalLM.from_pretrained(tiny_models(), dtype=torch.float32)
    together = logits(peft.PeftModel.from_pretrained(base, str(folder)).eval())
    assert torch.allclose(logits(load(tiny_models(), folder).model), together, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_modules": ["q_proj"]}, "no layer takes its base_model"),
        ({"target_modules": ["q_proj", "v_proj", "down_proj", "up_proj"]}, "it has nothing for .*up_proj"),
        ({"peft_type": "NEWTUNE"}, "does not fit llama: KeyError"),
        ({"r": 8}, "size mismatch"),
    ],
)
def test_one_that_is_not_what_it_says_is_refused(
    tiny_models: TinyModels, adapter: Path, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    """peft would leave layers at random numbers, or tensors out."""
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ModelRefused, match=said):
        load(tiny_models(), folder)


def test_one_without_weights_is_refused(tiny_models: TinyModels, adapter: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    (folder / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelRefused, match=rf"the adapter {folder}, made for .* does not fit"):
        load(tiny_models(), folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelRefused, match=r"has no adapter_model\.safetensors; fetch it again"):
        load(tiny_models(), folder)


def test_what_is_no_part_of_the_weights_is_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_models(), dtype=torch.float32)
    prompt = peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
    peft.get_peft_model(base, prompt).save_pretrained(str(tmp_path))
    with pytest.raises(ModelRefused, match="is no LoRA but PROMPT_TUNING, which cannot be merged"):
        load(tiny_models(), tmp_path)

"""A GGUF file says what the model that it was made of says; what would be lost on the way is refused."""

import random
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tests.support.device import DEVICE
from tests.support.engines import greedy, running_engine
from tests.support.gguf_files import More, taught_llama, tiny_llama, write_gguf
from tests.support.models import CONTEXT_LENGTH, IM_END, TinyModels
from tests.support.reference import Reference, random_ids
from tests.support.tokenizer import chat_tokenizer, tiny_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from warmturn_server.engine import load_model
from warmturn_server.engine.model.gguf_package import headers_read_once
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.tokenizer import backend_of, eos_token_ids, load_tokenizer
from warmturn_server.engine_api import ReuseMode
from warmturn_server.errors import ModelRefused, StartRefused

IDS = random_ids(random.Random(1), 60)


def load(path: Path) -> LoadedModel:
    return load_model(str(path), device=str(DEVICE), dtype="float32", max_context=None)


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    device = next(model.parameters()).device
    found = model(input_ids=torch.tensor([IDS], device=device), use_cache=False).logits[0]
    assert isinstance(found, torch.Tensor)
    return found.cpu()


def test_it_says_what_the_model_said_that_it_was_made_of(tiny_models: TinyModels, tmp_path: Path) -> None:
    loaded = load(write_gguf(tmp_path / "tiny-F32.gguf", tiny_llama(tiny_models)))
    assert torch.allclose(logits(loaded.model), Reference(tiny_models()).logits(IDS), atol=1e-4)
    assert (loaded.name, loaded.context_length, loaded.dtype) == ("tiny-F32", CONTEXT_LENGTH, torch.float32)


def test_tokenizer_template_and_ends_are_in_the_file(tiny_models: TinyModels, tmp_path: Path) -> None:
    loaded = load(write_gguf(tmp_path / "tiny.gguf", tiny_llama(tiny_models)))
    tokenizer = load_tokenizer(loaded)
    text = "<|im_start|>user\nMy cat's name is Müsli, 2026!<|im_end|><think>the other</think>\n  日本"
    assert backend_of(tokenizer).encode(text).ids == tiny_tokenizer().encode(text).ids
    assert tokenizer.chat_template == chat_tokenizer(str(tokenizer.chat_template)).chat_template
    assert eos_token_ids(loaded, tokenizer) == {IM_END}


def test_its_header_is_read_once_for_all_that_is_in_it(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, build = list[gguf.GGUFReader](), gguf.GGUFReader._build_fields

    def noted(reader: gguf.GGUFReader, offset: int, count: int) -> int:
        opened.append(reader)
        return int(build(reader, offset, count))

    path = write_gguf(tmp_path / "tiny.gguf", tiny_llama(tiny_models))
    monkeypatch.setattr(gguf.GGUFReader, "_build_fields", noted)
    apart = load(path)
    backend = backend_of(load_tokenizer(apart)).to_str()
    assert len(opened) > 3
    opened.clear()
    functions = gguf.GGUFReader, gguf.get_tensor_name_map
    with headers_read_once():
        loaded = load(path)
        assert backend_of(load_tokenizer(loaded)).to_str() == backend
        assert len(opened) == 1
    assert (gguf.GGUFReader, gguf.get_tensor_name_map) == functions
    assert torch.equal(logits(loaded.model), logits(apart.model))


def test_llama_3s_stretched_rope_is_in_the_file_as_divisors(tiny_models: TinyModels, tmp_path: Path) -> None:
    divisors = np.linspace(1.0, 8.0, 8, dtype=np.float32)
    model = tiny_llama(tiny_models)
    loaded = load(write_gguf(tmp_path / "stretched.gguf", model, _with_divisors(divisors)))
    plain = logits(model)
    frequencies = model.model.rotary_emb.inv_freq
    frequencies.div_(torch.from_numpy(divisors))
    assert torch.allclose(logits(loaded.model), logits(model), atol=1e-4)
    assert not torch.allclose(logits(loaded.model), plain, atol=1e-2)


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_other_ways_to_stretch_it_are_in_its_metadata(tiny_models: TinyModels, tmp_path: Path, kind: str) -> None:
    def stretched(writer: gguf.GGUFWriter) -> None:
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(4.0)
        writer.add_rope_scaling_orig_ctx_len(512)

    model = tiny_llama(tiny_models)
    loaded = load(write_gguf(tmp_path / "stretched.gguf", model, stretched))
    rope = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 512}
    again = LlamaForCausalLM(LlamaConfig.from_dict({**model.config.to_dict(), "rope_parameters": rope}))
    again.load_state_dict(model.state_dict())
    assert torch.allclose(logits(loaded.model), logits(again), atol=1e-4)


def _with_divisors(divisors: np.ndarray) -> More:
    return lambda writer: writer.add_tensor("rope_freqs.weight", divisors)


def _with_unknown_scaling(writer: gguf.GGUFWriter) -> None:
    writer.add_string("llama.rope.scaling.type", "longrope")


def _with_a_tensor_too_many(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("blk.0.attn_q.bias", np.ones(64, dtype=np.float32))


def _as_one_of_three(writer: gguf.GGUFWriter) -> None:
    writer.add_uint16("split.count", 3)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (_with_unknown_scaling, "scales its rope in a way that is unknown here: longrope"),
        (_with_a_tensor_too_many, "serve the model's safetensors form"),
        (_as_one_of_three, "one of 3 parts; join them"),
        (_with_divisors(np.ones(3, dtype=np.float32)), "has no place for that"),
    ],
)
def test_what_would_be_lost_is_refused(tiny_models: TinyModels, tmp_path: Path, more: More, why: str) -> None:
    with pytest.raises(ModelRefused, match=why):
        load(write_gguf(tmp_path / "more.gguf", tiny_llama(tiny_models), more))


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data[:100], lambda _: b"", lambda _: b"GGUX" * 99]
)
def test_a_file_that_is_not_all_there_is_refused(
    tiny_models: TinyModels, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = write_gguf(tmp_path / "whole.gguf", tiny_llama(tiny_models))
    (tmp_path / "damaged.gguf").write_bytes(damage(whole.read_bytes()))
    with pytest.raises(ModelRefused, match="damaged or not all there"):
        load(tmp_path / "damaged.gguf")


def test_a_model_without_sense_is_not_served(tiny_models: TinyModels, tmp_path: Path) -> None:
    nonsense = write_gguf(tmp_path / "nonsense.gguf", tiny_llama(tiny_models))
    with pytest.raises(ModelRefused, match="as unlikely as its shuffled words"), running_engine(nonsense, tmp_path):
        pass


def test_it_is_served_and_its_state_is_its_own(tiny_models: TinyModels, tmp_path: Path) -> None:
    """Another file in the same folder is another model: nothing saved of one is taken for the other's."""
    model = taught_llama(tiny_models)
    file = write_gguf(tmp_path / "taught.gguf", model)
    with running_engine(file, tmp_path / "data") as engine:
        first = engine.generate(greedy(IDS, 8))
        engine.flush()
    with running_engine(file, tmp_path / "data") as engine:
        again = engine.generate(greedy(IDS, 8, known_tokens=len(IDS)))
    assert (again.token_ids, again.report.cached_by_tier["disk"] > 0) == (first.token_ids, True)
    model.lm_head.weight.mul_(1.01)
    other = write_gguf(tmp_path / "other.gguf", model)
    with running_engine(other, tmp_path / "data") as engine:
        assert engine.generate(greedy(IDS, 8, known_tokens=len(IDS))).report.cached_tokens == 0
        assert engine.generate(greedy(IDS, 8, ReuseMode.PROMPT)).token_ids == first.token_ids


def test_a_missing_extra_is_named(tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", tiny_llama(tiny_models))
    monkeypatch.setattr("warmturn_server.engine.model.needs.find_spec", lambda _: None)
    with pytest.raises(ModelRefused, match=r"needs gguf and accelerate: pip install 'warmturn\[gguf\]'"):
        load(file)


def test_a_folder_with_one_gguf_file_is_that_file(tiny_models: TinyModels, tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", tiny_llama(tiny_models))
    assert load(tmp_path).name == tmp_path.name
    write_gguf(tmp_path / "b.gguf", tiny_llama(tiny_models))
    with pytest.raises(ModelRefused, match="holds 2 GGUF files; name one, such as --model "):
        load(tmp_path)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(StartRefused, match="takes the folder"):
        load(tmp_path / "model.safetensors")
    with pytest.raises(StartRefused, match="there is no "):
        load(Path("nothing.gguf"))

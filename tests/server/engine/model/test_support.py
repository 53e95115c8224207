"""What cannot be served correctly is refused at start, in words that say why."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]
from safetensors.torch import load_file, save_file
from tests.support.device import DEVICE
from tests.support.engines import greedy, running_engine
from tests.support.models import REFUSED, SERVED, WITHIN_BASE, TinyModels
from tests.support.reference import Reference
from tests.support.server import ServerProcess

from warmturn_server import hub
from warmturn_server.engine import load_model
from warmturn_server.engine.model.attention import InPlaceAttention
from warmturn_server.engine.model.checkpoint import find_checkpoint
from warmturn_server.engine.model.runner import ModelRunner
from warmturn_server.engine_api import ReuseMode
from warmturn_server.errors import ContextLengthExceeded, ModelRefused, StartRefused


def load(model: Path) -> ModelRunner:
    return ModelRunner(load_model(str(model), device=str(DEVICE), dtype="float32", max_context=None))


@pytest.mark.parametrize("architecture", REFUSED)
def test_other_state_than_attention_is_refused(tiny_models: TinyModels, architecture: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        load(tiny_models(architecture))
    message = str(refused.value)
    assert len(message.split()) > 5
    assert "Error" not in message


@pytest.mark.parametrize("architecture", SERVED)
def test_plain_attention_is_served(tiny_models: TinyModels, architecture: str) -> None:
    assert load(tiny_models(architecture)).context_length > 1000


@pytest.mark.parametrize("architecture", WITHIN_BASE)
def test_rope_that_changes_with_length_is_served_up_to_where_it_changes(
    tiny_models: TinyModels, tmp_path: Path, architecture: str
) -> None:
    """Beyond its base all earlier keys would be rotated otherwise, and saved ones would be wrong."""
    model = tiny_models(architecture)
    turns = Reference(model).conversation(3, user_tokens=9, reply_tokens=10)
    with running_engine(model, tmp_path) as engine:
        assert engine.context_length == 64
        for turn in turns:
            told = {engine.generate(greedy(turn.prompt, len(turn.reply), reuse)).token_ids for reuse in ReuseMode}
            assert told == {turn.reply}
        with pytest.raises(ContextLengthExceeded):
            engine.generate(greedy(range(3, 60), 10))


def test_attention_that_computes_something_else_is_refused(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof at start compares with the model's own attention; here ours forgets the sliding window."""
    call = InPlaceAttention.__call__

    def forgetful(self: InPlaceAttention, *given: object, **named: object) -> object:
        return call(self, *given, **{**named, "sliding_window": None})  # type: ignore[arg-type]

    monkeypatch.setattr(InPlaceAttention, "__call__", forgetful)
    with pytest.raises(ModelRefused, match="silently wrong"):
        load(tiny_models("mistral_sliding"))


def test_a_setting_that_nobody_knows_is_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    """A config of an architecture that transformers does not have."""
    model = shutil.copytree(tiny_models(), tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "model_type": "unheard_of", "architectures": ["Unheard"]}))
    with pytest.raises(StartRefused, match="cannot load"):
        load(model)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_something_is_refused(tiny_models: TinyModels, tmp_path: Path, missing: str) -> None:
    model = shutil.copytree(tiny_models(), tmp_path / "model")
    (model / missing).unlink()
    with pytest.raises(StartRefused):
        load(model)


def test_torn_weights_are_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    model = shutil.copytree(tiny_models(), tmp_path / "model")
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(StartRefused):
        load(model)


def test_missing_tensors_are_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    """transformers would fill them with random numbers and say so in a log line."""
    model = shutil.copytree(tiny_models(), tmp_path / "model")
    tensors = load_file(model / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StartRefused):
        load(model)


@pytest.mark.parametrize("model", ["/no/such/folder", "./nowhere"])
def test_a_folder_that_is_not_there_is_named(model: str) -> None:
    with pytest.raises(StartRefused, match=model):
        load_model(model, device=str(DEVICE), dtype="float32", max_context=None)


def test_the_server_says_it_in_a_line_and_ends(tiny_models: TinyModels, tmp_path: Path) -> None:
    server = ServerProcess(tiny_models("lfm2"), tmp_path / "data")
    with pytest.raises(AssertionError, match="before it was ready"):
        server.start()
    (said,) = (line for line in server.stderr().splitlines() if not line.endswith(" ..."))
    assert said.startswith("warmturn: lfm2")
    assert server.stdout() == ""


def test_only_what_a_folder_is_loaded_from_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Repositories often have the weights in a second form, as large as the first."""
    wanted = ["config.json", "generation_config.json", "tokenizer.json", "chat_template.jinja", "merges.txt"]
    wanted += ["tokenizer.model", "model.safetensors.index.json", "model-00001-of-00002.safetensors"]
    others = ["original/consolidated.00.pth", "original/model.safetensors", "onnx/config.json", "README.md"]
    others += ["consolidated.safetensors", "consolidated.safetensors.index.json", "pytorch_model.bin"]
    fetched: list[str] = []

    def snapshot(_: str, *, allow_patterns: list[str], ignore_patterns: list[str] | None = None) -> str:
        found = filter_repo_objects([*wanted, *others], allow_patterns=allow_patterns, ignore_patterns=ignore_patterns)
        fetched.extend(found)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    assert find_checkpoint("somebody/some-model").folder == tmp_path
    assert fetched == wanted

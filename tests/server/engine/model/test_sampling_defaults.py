"""How a model's makers want it sampled is what a request leaves open."""

import json
from pathlib import Path

import pytest

from warmturn_server.engine.model.checkpoint import Checkpoint
from warmturn_server.engine.model.gguf import GgufFile
from warmturn_server.engine.model.sampling_defaults import sampling_defaults
from warmturn_server.engine_api import SamplingParams


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (  # Qwen3
            {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": [1, 2]},
            SamplingParams(temperature=0.6, top_k=20, top_p=0.95),
        ),
        (
            {"do_sample": True, "min_p": 0.15, "repetition_penalty": 1.05},
            SamplingParams(min_p=0.15, repetition_penalty=1.05),
        ),
        ({"eos_token_id": 2}, SamplingParams()),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, SamplingParams(temperature=0.0, top_p=0.9)),
        (
            {"temperature": "hot", "top_p": 0, "top_k": -3, "min_p": True, "repetition_penalty": None},
            SamplingParams(),
        ),
        ([], SamplingParams()),
    ],
)
def test_of_a_generation_config(said: object, found: SamplingParams, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(said))
    assert sampling_defaults(Checkpoint(tmp_path, "some-model")) == found


def test_a_gguf_file_says_it_too_and_a_config_beside_it_goes_first(tmp_path: Path) -> None:
    metadata = {"general.sampling.temp": 0.7, "general.sampling.top_k": 40, "general.sampling.penalty_repeat": 1.1}
    checkpoint = Checkpoint(tmp_path, "file", GgufFile(tmp_path / "file.gguf", metadata, 1))
    assert sampling_defaults(checkpoint) == SamplingParams(temperature=0.7, top_k=40, repetition_penalty=1.1)
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.2}')
    assert sampling_defaults(checkpoint) == SamplingParams(temperature=0.2, top_k=40, repetition_penalty=1.1)

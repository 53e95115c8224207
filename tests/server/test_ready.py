"""What a start says about weights, when it is ready."""

from pathlib import Path

import pytest
from gguf import GGMLQuantizationType
from tests.support.engines import running_engine
from tests.support.gguf_files import taught_llama, write_gguf
from tests.support.models import TinyModels

from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.serve import _weights


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("auto", "float32 in 1 MiB; --weights int4 keeps the file's own bits"),
        ("int4", "float32 with the file's own weights in 0 MiB"),
        ("int8", "float32 with int8 weights in 0 MiB"),
    ],
)
def test_a_gguf_files_bits_are_told(tiny_models: TinyModels, tmp_path: Path, weights: WeightKind, said: str) -> None:
    file = write_gguf(tmp_path / "it.gguf", taught_llama(tiny_models), kind_of=lambda _: GGMLQuantizationType.Q4_1)
    with running_engine(file, tmp_path / "data", weights=weights, executor="auto") as engine:
        assert _weights(engine.stats()) == said


def test_of_other_models_the_dtype_is(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models(), tmp_path) as engine:
        assert _weights(engine.stats()) == "float32"

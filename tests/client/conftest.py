"""A model that never ends its reply by itself: somebody has to stop it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.support.models import END_OF_TEXT, IM_END, TinyModels
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def endless_server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("endless")
    model = Path(shutil.copytree(tiny_models(), folder / "model"))
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"][[END_OF_TEXT, IM_END]] = 0
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with ServerProcess(model, folder / "data") as server:
        yield server

"""What is pulled from the hub: all there, or an error in a line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support.hub import running_hub

pytestmark = pytest.mark.slow

WEIGHTS: Final = os.urandom(2**20)
GGUF: Final = os.urandom(2**12)
FILES: Final = {
    "somebody/tiny": {"config.json": b"{}", "model.safetensors": WEIGHTS, "README.md": b"", "onnx/config.json": b""},
    "somebody/packed": {"a-Q4.gguf": GGUF, "a-Q8.gguf": GGUF},
}
PULLING: Final = """
import json, sys
from pathlib import Path
from warmturn_server.pulling import PullFailed, listing, pull
for name in sys.argv[2:]:
    try:
        print(json.dumps(str(pull(name, Path(sys.argv[1])))))
    except PullFailed as error:
        print(json.dumps({"error": str(error)}))
print(json.dumps([[model.name, model.origin] for model in listing(Path(sys.argv[1]))]))
"""


def pulled(home: Path, endpoint: str, *names: str) -> list[Any]:
    """In a process of its own: the hub's library reads its settings once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PULLING, str(home / "models"), *names],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_model_comes_whole_though_the_connection_breaks(tmp_path: Path) -> None:
    with running_hub(FILES) as hub:
        hub.cut_after = len(WEIGHTS) // 2
        folder, again, file, absent, listed = pulled(
            tmp_path, hub.url, "somebody/tiny", "somebody/tiny", "somebody/packed/a-Q4.gguf", "somebody/none"
        )
    assert hub.num_cut == 1
    assert {path.name for path in Path(folder).iterdir()} == {"config.json", "model.safetensors"}
    assert (Path(folder) / "model.safetensors").read_bytes() == WEIGHTS
    assert (again, Path(file).read_bytes()) == (folder, GGUF)
    assert [name for name, _ in hub.asked_from].count("config.json") == 1
    assert "a-Q8.gguf" not in {name for name, _ in hub.asked_from}
    assert absent["error"].endswith("not to be had from the hub: the hub does not have it, or not for this HF_TOKEN")
    assert ["somebody/tiny", "hub"] in listed


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    failed, _ = pulled(tmp_path, "http://127.0.0.1:9", "somebody/tiny")
    assert "the hub cannot be reached" in failed["error"]
    assert "\n" not in failed["error"]

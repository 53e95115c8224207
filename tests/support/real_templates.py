"""Chat templates of real models, as a source distribution of llama.cpp's carries 70 of them; none is kept here."""

import hashlib
import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

import httpx
import pytest

VARIABLE: Final = "WARMTURN_TESTS_TEMPLATES"
_PROJECT, _FILE = "llama-cpp-python", "llama_cpp_python-0.3.36.tar.gz"
_SHA256: Final = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
_SECONDS: Final = 300


def real_template(name: str) -> str:
    """Fetched once into the folder that `WARMTURN_TESTS_TEMPLATES` names: 77 MB."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE}=FOLDER fetches real chat templates into it, once")
    path = Path(folder) / f"{name}.jinja"
    if not path.exists():
        _fetch(Path(folder))
    return path.read_text(encoding="utf-8")


def _fetch(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    archive = httpx.get(_address(), timeout=_SECONDS, follow_redirects=True).raise_for_status().content
    assert hashlib.sha256(archive).hexdigest() == _SHA256
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            path = PurePosixPath(member.name)
            if path.match("models/templates/*.jinja") and (content := files.extractfile(member)):
                (folder / path.name).write_bytes(content.read())


def _address() -> str:
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    page = httpx.get(f"{index}/{_PROJECT}/", headers=accept, timeout=_SECONDS, follow_redirects=True)
    files = page.raise_for_status().json()["files"]
    address = next(file["url"] for file in files if file["filename"] == _FILE)
    return str(page.url.join(address))

"""What is shipped: the wheel, the source distribution, the image."""

import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Final

import pytest
from tests.project.conftest import ROOT

pytestmark = pytest.mark.slow

PACKAGES: Final = ("client/warmturn", "client/warmturn_bench", "server/warmturn_server")
STATIC: Final = "server/warmturn_server/api/page/static"
LICENCES: Final = {"LICENSE", *(f"{STATIC}/vendor/{name}/LICENSE" for name in ("markdown-it", "uplot"))}
CANONICAL_APACHE_2: Final = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
TO_RUN_THE_TESTS: Final = {
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "docker-compose.yml",
    ".ci/run",
    ".ci/test-command",
    ".github/workflows/ci.yml",
    ".pre-commit-config.yaml",
    "server/deploy/Dockerfile.dockerignore",
    "tests/conftest.py",
}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, made from this tree without a network."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.fixture(scope="session")
def code(wheel: zipfile.ZipFile) -> set[str]:
    """Names in the wheel but for its own records."""
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="session")
def metadata(wheel: zipfile.ZipFile) -> Message:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


@pytest.fixture(scope="session")
def sdist(built: Path) -> set[str]:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def _files_of(package: str) -> set[str]:
    folder = ROOT / package
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder.parent).as_posix() for path in files}


def test_the_wheel_holds_the_packages_and_nothing_else(code: set[str]) -> None:
    assert code == set().union(*map(_files_of, PACKAGES))


def test_of_the_bundled_model_the_wheel_holds_what_serving_needs(code: set[str]) -> None:
    bundled = {name for name in code if name.startswith("warmturn_server/bundled/")}
    weights = {name for name in bundled if name.startswith("warmturn_server/bundled/model/")}
    assert "warmturn_server/bundled/model/model.safetensors" in weights
    assert {PurePosixPath(name).name for name in bundled - weights} == {"__init__.py", "README.md", "demo_script.json"}


def test_the_wheel_carries_every_licence(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT AND BSD-2-Clause"
    assert set(metadata.get_all("License-File") or ()) == LICENCES
    for licence in LICENCES:
        carried = next(name for name in wheel.namelist() if name.endswith(f".dist-info/licenses/{licence}"))
        assert wheel.read(carried) == (ROOT / licence).read_bytes()


def test_what_was_written_by_others_has_its_licence_beside_it(code: set[str]) -> None:
    vendored = {PurePosixPath(name).parent for name in code if "/vendor/" in name}
    assert {f"server/{folder}/LICENSE" for folder in vendored} == LICENCES - {"LICENSE"}


def test_the_wheel_has_all_that_the_page_asks_for(code: set[str]) -> None:
    """What its HTML names, and what its scripts import, one after the other."""
    static = STATIC.removeprefix("server/")
    named = set(re.findall(r'(?:src|href)="page/([^"]+)"', (ROOT / STATIC / "index.html").read_text()))
    wanted = sorted(named)
    for name in wanted:
        if name.endswith(".js"):
            imported = re.findall(r'from "\./([^"]+)"', (ROOT / STATIC / name).read_text())
            wanted += [each for each in imported if each not in wanted]
    assert {"app.js", "markdown.js", "vendor/markdown-it/markdown-it.umd.min.js"} <= set(wanted)
    assert {f"{static}/{name}" for name in wanted} <= code


def test_the_licence_is_the_whole_text_of_apache_2() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == CANONICAL_APACHE_2


def test_the_metadata_say_who_and_where(metadata: Message) -> None:
    assert metadata["Author"] == "The Warmturn authors"
    classifiers = metadata.get_all("Classifier") or []
    assert "Operating System :: POSIX" in classifiers
    assert not [line for line in classifiers if line.startswith("License ::")], "the expression says it"


def test_the_description_shows_no_picture_that_lies_beside_it(metadata: Message) -> None:
    """A package index shows the README without the repository around it."""
    shown = str(metadata.get_payload())
    assert shown.startswith("# Warmturn\n")
    assert re.findall(r"!\[[^]]*\]\((?!https:)", shown) == []


def test_the_source_distribution_is_the_repository(sdist: set[str], tracked: set[str]) -> None:
    assert tracked - sdist == set()


def test_tests_run_from_the_source_distribution(sdist: set[str]) -> None:
    assert sdist >= TO_RUN_THE_TESTS
    assert not [name for name in sdist if "__pycache__" in name or name.startswith(".venv")]


def test_the_image_is_built_from_what_the_build_reads() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "server/deploy/Dockerfile").read_text(), re.MULTILINE)
    sources = " ".join(copied).split()
    assert {"pyproject.toml", "README.md", "LICENSE", "client", "server"} <= set(sources)
    lines = (ROOT / "server/deploy/Dockerfile.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert [source for source in sources if not any(fnmatch(source, pattern) for pattern in kept)] == []

"""Where a model's files lie: in a folder of the hub's format, or in one GGUF file."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from ...errors import ModelRefused, StartRefused
from ...hub import fetch
from .adapter import base_of
from .gguf import GgufFile, read_gguf

_WEIGHTS = ("*.safetensors", "*.bin")
_TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`gguf`: the file in `folder` that weights, tokenizer and template come from; None where it is the whole folder.
    `adapter`: the folder of what was trained on top of it, to be merged.
    """

    folder: Path
    name: str
    gguf: GgufFile | None = None
    adapter: Path | None = None

    @property
    def from_pretrained(self) -> dict[str, str]:
        """What transformers is told besides the folder."""
        return {"gguf_file": self.gguf.path.name} if self.gguf else {}

    @property
    def weight_files(self) -> list[tuple[Path, tuple[str, ...]]]:
        """Folders, and the patterns of those of their files that make the model what it is."""
        own = (self.folder, (glob.escape(self.gguf.path.name),) if self.gguf else _WEIGHTS)
        return [own] if self.adapter is None else [own, (self.adapter, ("adapter_*",))]

    @property
    def tokenizer_files(self) -> tuple[str, ...]:
        return (glob.escape(self.gguf.path.name),) if self.gguf else _TOKENIZER


def find_checkpoint(model: str, *, pulled: Path | None = None, adapter: Path | None = None) -> Checkpoint:
    """Of a folder, a GGUF file, a name below `pulled`, or a hub id, fetched first if need be. Raises `StartRefused`."""
    path = Path(model)
    if path.is_file():
        return _of_file(path, adapter)
    if path.is_dir():
        return _of_folder(path, path.resolve().name, adapter)
    if pulled is not None and "/" not in model and not model.startswith(".") and (pulled / model).is_dir():
        return _of_folder(pulled / model, model, adapter)
    is_of_hub = "/" in model or path.suffix != ".gguf"
    if path.is_absolute() or model.startswith((".", "~")) or not is_of_hub:
        raise StartRefused(
            f"there is no {model}; --model takes 'bundled', a name that `warmturn models` lists, a folder, a GGUF "
            "file, or a hub id"
        )
    fetched = fetch(model)
    return _of_file(fetched, adapter) if fetched.is_file() else _of_folder(fetched, model, adapter)


def _of_file(path: Path, adapter: Path | None) -> Checkpoint:
    if path.suffix != ".gguf":
        raise StartRefused(f"{path} is no GGUF file; for safetensors, --model takes the folder that they are in")
    return Checkpoint(path.parent, path.stem, read_gguf(path), _checked(adapter))


def _of_folder(folder: Path, name: str, adapter: Path | None) -> Checkpoint:
    if (folder / "config.json").exists():
        return Checkpoint(folder, name, adapter=_checked(adapter))
    if (folder / "adapter_config.json").exists():
        base = base_of(folder)
        raise ModelRefused(f"{folder} holds an adapter alone, made for {base}: --model {base} --adapter {folder}")
    files = sorted(folder.glob("*.gguf"))
    if len(files) > 1:
        raise ModelRefused(f"{folder} holds {len(files)} GGUF files; name one, such as --model {files[0]}")
    return Checkpoint(folder, name, read_gguf(files[0]) if files else None, _checked(adapter))


def _checked(adapter: Path | None) -> Path | None:
    if adapter is not None and not (adapter / "adapter_config.json").exists():
        raise StartRefused(f"--adapter {adapter} is no adapter: a folder with adapter_config.json is one")
    return adapter

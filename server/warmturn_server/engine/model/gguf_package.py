"""The package `gguf`, which takes seconds for a header with a vocabulary, and is asked for it again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


@contextlib.contextmanager
def headers_read_once() -> Iterator[None]:
    """Meanwhile everybody in this process, transformers too, is given the same reader of a file.

    transformers makes one for the config, the tokenizer and the weights each, and a table of all names for every
    module of the model. Readers are only read from, and files do not change while a model is loaded.
    """
    try:
        import gguf
    except ImportError:  # whoever needs it says so
        yield
        return
    reader, names = gguf.GGUFReader, gguf.get_tensor_name_map

    class Reader(reader):  # type: ignore[misc, valid-type]
        """Its pieces are plain arrays: a memory map makes a memory map of each, of half a million here."""

        @property
        def data(self) -> np.ndarray:
            return self._data

        @data.setter
        def data(self, mapped: np.ndarray) -> None:
            self._data = np.asarray(mapped)

    @cache
    def reader_of(path: Path) -> Any:
        return Reader(path)

    with contextlib.ExitStack() as stack:
        stack.callback(setattr, gguf, "GGUFReader", reader)
        stack.callback(setattr, gguf, "get_tensor_name_map", names)
        setattr(gguf, "GGUFReader", lambda path: reader_of(Path(path)))  # noqa: B010
        setattr(gguf, "get_tensor_name_map", cache(names))  # noqa: B010
        yield

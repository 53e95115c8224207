"""Watches what an engine computes, step by step."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch

from warmturn_server.engine import ModelRunner, Work


@dataclass(frozen=True)
class Item:
    """One sequence's part of a step."""

    buffer: int
    start: int
    num_tokens: int
    token_ids: tuple[int, ...]


class Steps:
    """The steps of every engine since; can hold the engine still before its next one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[list[Item]] = []
        self._may_run = threading.Event()
        self._may_run.set()
        forward = ModelRunner.forward

        def watched(runner: ModelRunner, step: Sequence[Work]) -> torch.Tensor:
            assert self._may_run.wait(30)
            self.seen.append([_item(work) for work in step])
            return forward(runner, step)

        patch.setattr(ModelRunner, "forward", watched)

    def hold(self) -> None:
        self._may_run.clear()

    def go_on(self) -> None:
        self._may_run.set()

    def with_tokens(self, token_ids: Sequence[int]) -> list[int]:
        """Numbers of the steps that compute a part of this prompt."""
        wanted = set(token_ids)
        return [n for n, step in enumerate(self.seen) if any(wanted & set(item.token_ids) for item in step)]


def _item(work: Work) -> Item:
    return Item(id(work.buffer), work.buffer.length, len(work.token_ids), tuple(work.token_ids))

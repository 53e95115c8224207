"""An engine in a process of its own, as a server has it: engines that share one also share OpenMP's deadline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from typing import cast

from warmturn_server.build import build_engine
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams, TurnReport
from warmturn_server.settings import Settings


class EngineProcess:
    """What the benchmarks ask of it; on this side a proxy."""

    def __init__(self, settings: Settings) -> None:
        self._engine = build_engine(settings)
        self._engine.start()

    def say(
        self, prompt: tuple[int, ...], mode: ReuseMode, *, reply_tokens: int = 1, known_tokens: int = 0
    ) -> TurnReport:
        """A turn to its end: its prompt, and a greedy reply of exactly so many tokens."""
        request = GenerationRequest(prompt, greedy(reply_tokens), mode, known_tokens=known_tokens)
        return self._engine.generate(request).report

    def generate(self, request: GenerationRequest) -> Generated:
        """A whole turn."""
        return self._engine.generate(request)

    def generate_timed(self, request: GenerationRequest) -> tuple[Generated, float]:
        """A whole turn, and the seconds of processor time that the process took meanwhile."""
        begun = time.process_time()
        generated = self._engine.generate(request)
        return generated, time.process_time() - begun

    def flush(self) -> None:
        self._engine.flush()

    def is_available(self, tier: str) -> bool:
        tiers = self._engine.stats()["tiers"]
        assert isinstance(tiers, dict)
        return bool(tiers[tier]["available"])

    def close(self) -> None:
        self._engine.close()


def greedy(max_tokens: int) -> SamplingParams:
    """Exactly so many tokens, always the same ones."""
    return SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)


class _Manager(BaseManager):
    pass


_Manager.register("EngineProcess", EngineProcess)


@contextmanager
def engine_process(settings: Settings) -> Iterator[EngineProcess]:
    """Started anew, not forked; closed at the end."""
    with _Manager(ctx=get_context("spawn")) as manager:
        engine = cast(EngineProcess, manager.EngineProcess(settings))  # type: ignore[attr-defined]
        try:
            yield engine
        finally:
            engine.close()

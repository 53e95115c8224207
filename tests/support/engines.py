"""Engines over tiny models, put together by the server's own composition root."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.device import DEVICE, EXECUTOR

from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams, TokenDelta
from warmturn_server.settings import Settings

BLOCK_SIZE: Final = 8


@contextmanager
def running_engine(model: Path, data_dir: Path, **settings: object) -> Iterator[Engine]:
    """A started engine in float32 on one thread, with small blocks and small prefill chunks; closed at the end."""
    chosen: dict[str, object] = {"device": str(DEVICE), "dtype": "float32", "block_size": BLOCK_SIZE}
    chosen |= {"prefill_budget": 16, "control_rate": 0.0, "executor": EXECUTOR, **settings}
    engine = build_engine(Settings(model=str(model), data_dir=data_dir, threads=1, **chosen))  # type: ignore[arg-type]
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def greedy(
    prompt: Sequence[int],
    max_tokens: int,
    reuse: ReuseMode = ReuseMode.STATE,
    *,
    known_tokens: int = 0,
    tenant: str = "",
) -> GenerationRequest:
    """A request whose answer has exactly `max_tokens` tokens and no luck in it."""
    sampling = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True, logprobs=2)
    continues = known_tokens > 0
    return GenerationRequest(
        tuple(prompt), sampling, reuse, tenant=tenant, known_tokens=known_tokens, continues=continues
    )


async def collect(engine: Engine, request: GenerationRequest) -> Generated:
    """Submit and read to the end, as the chat layer does."""
    generation = engine.submit(request)
    deltas: list[TokenDelta] = [delta async for delta in generation]
    finish = deltas[-1].finish
    assert finish is not None
    return Generated(
        tuple(token_id for delta in deltas for token_id in delta.token_ids),
        "".join(delta.text for delta in deltas),
        finish.reason,
        finish.report,
        tuple(logprob for delta in deltas for logprob in delta.logprobs),
        await generation.lookback(),
    )


def all_at_once(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Generated]:
    """Run the requests in one batch."""

    async def submit_all() -> list[Generated]:
        return await asyncio.gather(*(collect(engine, request) for request in requests))

    return asyncio.run(submit_all())

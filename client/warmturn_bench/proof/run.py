"""Asks everything twice, has the server restarted, asks everything again."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from warmturn.errors import WarmturnError
from warmturn_bench.machine import machine
from warmturn_bench.proof.answers import Answer, Difference, Prompt, difference
from warmturn_bench.proof.peer import Peer
from warmturn_bench.proof.restart import Restart
from warmturn_bench.proof.result import ProofResult, Setting
from warmturn_bench.targets.openai import OpenAITarget
from warmturn_bench.targets.target import connected, measure_sizes
from warmturn_bench.workload.scenario import Lengths, Scenario
from warmturn_bench.workload.script import ScenarioScripts, Script, Sizes
from warmturn_bench.workload.vocabulary import words

_KIND = Scenario(
    "restart",
    "Chats that are asked, and asked again after the server was restarted.",
    system_tokens=100,
    user=Lengths(60, 0.5, most=400),
    answer=Lengths(24, 0.3, least=16, most=48),
    turns=3,
    conversations=6,
    opening=Lengths(500, 0.3, most=2000),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """As on the command line."""

    url: str
    model: str | None
    conversations: int | None
    turns: int | None
    seed: int
    command: str


class Progress(Protocol):
    def doing(self, what: str) -> None: ...


async def prove(asked: Asked, api_key: str | None, restart: Restart, progress: Progress) -> ProofResult:
    """Raises `WarmturnError` where it cannot be found out."""
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    http, model, context = await connected(asked.url, api_key, asked.model)
    peer = Peer(http, model)
    try:
        sizes = await measure_sizes(OpenAITarget(http, model, ignore_eos=False), context)
        prompts = _prompts(asked, sizes)
        first, again = [await _ask_all(peer, prompts, progress, which) for which in ("before", "before, once more")]
        progress.doing("restarting")
        seen_down = await _restart(peer, restart)
        after, failed = await _ask_again(peer, prompts, progress)
    finally:
        await peer.close()
    seconds, count = time.monotonic() - began, asked.conversations or _KIND.conversations
    setting = Setting(peer.url, model, asked.command, asked.seed, count, started, seconds, machine())
    differ, unsteady = _judged(prompts, first, again, after)
    by_token = all(answer.tokens is not None for answer in [*first, *after.values()])
    told = [answer.cached_tokens for answer in after.values()]
    cached = None if None in told else sum(filter(None, told))
    return ProofResult(setting, len(prompts), by_token, differ, unsteady, failed, seen_down, cached)


def _judged(
    prompts: Sequence[Prompt], first: Sequence[Answer], again: Sequence[Answer], after: dict[int, Answer]
) -> tuple[list[Difference], list[Difference]]:
    """What differs after the restart, and what did before already: that is held against nobody."""
    differ, unsteady = list[Difference](), list[Difference]()
    for number, prompt in enumerate(prompts):
        if found := difference(prompt, first[number], again[number]):
            unsteady.append(found)
        elif number in after and (found := difference(prompt, first[number], after[number])):
            differ.append(found)
    return differ, unsteady


async def _ask_all(peer: Peer, prompts: Sequence[Prompt], progress: Progress, when: str) -> list[Answer]:
    answers = list[Answer]()
    for number, prompt in enumerate(prompts, 1):
        progress.doing(f"{when}: {number} of {len(prompts)}")
        answers.append(await peer.ask(prompt))
    return answers


async def _ask_again(
    peer: Peer, prompts: Sequence[Prompt], progress: Progress
) -> tuple[dict[int, Answer], list[dict[str, object]]]:
    """A refusal is an answer too, and not the same one."""
    answers, failed = dict[int, Answer](), list[dict[str, object]]()
    for number, prompt in enumerate(prompts):
        progress.doing(f"after: {number + 1} of {len(prompts)}")
        try:
            answers[number] = await peer.ask(prompt)
        except WarmturnError as error:
            failed.append({"conversation": prompt.conversation, "turn": prompt.turn, "error": str(error)})
    return answers, failed


async def _restart(peer: Peer, restart: Restart) -> bool:
    """Whether it was seen to be away."""
    watching = asyncio.create_task(peer.await_down())
    try:
        await restart()
        await peer.await_ready()
        return watching.done()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def _prompts(asked: Asked, sizes: Sizes) -> list[Prompt]:
    scripts = ScenarioScripts(_KIND, asked.turns or _KIND.turns, asked.seed, sizes)
    numbers = range(asked.conversations or _KIND.conversations)
    found = [prompt for number in numbers for prompt in _of_script(scripts.script(number), sizes, asked.seed)]
    if not found:
        raise WarmturnError(f"not one turn fits into the model's context of {sizes.context_tokens:,} tokens")
    return found


def _of_script(script: Script, sizes: Sizes, seed: int) -> list[Prompt]:
    rng = Random(f"{seed} answers {script.conversation}")
    said = [{"role": "system", "content": script.system}] if script.system else []
    prompts = list[Prompt]()
    for number, turn in enumerate(script.turns):
        said.append({"role": "user", "content": turn.text})
        prompts.append(Prompt(script.conversation, number + 1, tuple(said), turn.max_output_tokens))
        said.append({"role": "assistant", "content": words(rng, sizes.words(turn.max_output_tokens))})
    return prompts

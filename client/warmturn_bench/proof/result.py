"""What the comparison came to: its JSON document, its exit code, and what a person reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from warmturn_bench.proof.answers import Difference

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Setting:
    """How the run was made."""

    url: str
    model: str
    command: str
    seed: int
    conversations: int
    started: str
    seconds: float
    machine: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProofResult:
    """`unsteady`: prompts that were answered in two ways before the restart already, which are not judged; `failed`:
    those that were refused after it, and how. `cached_tokens`: of all prompts after it, where the server tells.
    """

    setting: Setting
    num_prompts: int
    by_token: bool
    differences: Sequence[Difference]
    unsteady: Sequence[Difference]
    failed: Sequence[dict[str, Any]]
    seen_down: bool
    cached_tokens: int | None

    @property
    def num_judged(self) -> int:
        return self.num_prompts - len(self.unsteady)

    @property
    def holds(self) -> bool:
        """All that could be judged was the same; and there was something to judge."""
        return not self.differences and not self.failed and self.num_judged > 0

    def notes(self) -> Iterator[str]:
        if not self.seen_down:
            yield "Nobody saw the server go away: if it was not restarted, this says nothing."
        if not self.num_judged:
            yield "Not one prompt was answered the same way twice before the restart: there is nothing to judge."
        if not self.by_token:
            yield "The server tells no tokens (logprobs), so texts were compared."
        if self.cached_tokens == 0:
            yield "After the restart the server reused nothing (cached_tokens 0): saved state was not tried."

    def as_dict(self) -> dict[str, Any]:
        there = self.setting
        return {
            "scenario": "restart",
            "url": there.url,
            "model": there.model,
            "same_after_restart": self.holds,
            "compared_by": "token" if self.by_token else "text",
            "prompts": self.num_prompts,
            "judged": self.num_judged,
            "different": len(self.differences),
            "failed": len(self.failed),
            "not_deterministic_before": len(self.unsteady),
            "cached_tokens_after": self.cached_tokens,
            "seen_down": self.seen_down,
            "differences": [one.as_dict() for one in self.differences],
            "failures": list(self.failed),
            "differences_before": [one.as_dict() for one in self.unsteady],
            "run": {
                "command": there.command,
                "seed": there.seed,
                "conversations": there.conversations,
                "machine": there.machine,
                "started": there.started,
                "seconds": round(there.seconds, 3),
                "notes": list(self.notes()),
            },
        }


def show(console: Console, result: ProofResult) -> None:
    for line in lines(result):
        console.print(line, markup=False, soft_wrap=not console.is_terminal, highlight=False)


def lines(result: ProofResult) -> Iterator[str]:
    there, what = result.setting, "token by token" if result.by_token else "by their texts"
    yield f"restart: {there.model} at {there.url}, {result.num_prompts} prompts, {what}"
    for one in result.differences[:_SHOWN]:
        yield f"  DIFFERENT: {_in_words(one)}"
    for failure in result.failed[:_SHOWN]:
        yield f"  FAILED: conversation {failure['conversation']}, turn {failure['turn']}: {failure['error']}"
    for one in result.unsteady[:_SHOWN]:
        yield f"  not deterministic before the restart: {_in_words(one)}"
    yield from (f"  {note}" for note in result.notes())
    same = result.num_judged - len(result.differences) - len(result.failed)
    yield f"{same} of {result.num_judged} answers are the same after the restart."


def _in_words(one: Difference) -> str:
    place = f"conversation {one.conversation}, turn {one.turn}, {one.unit} {one.at}"
    return f"{place}, behind {one.common!r}: {_piece(one.before)} before, {_piece(one.after)} after"


def _piece(piece: str | None) -> str:
    return "the end" if piece is None else repr(piece)

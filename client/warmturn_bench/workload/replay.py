"""Conversations from a published trace, in either of two formats, told apart by their fields."""

from itertools import takewhile
from pathlib import Path
from random import Random

from warmturn.errors import SettingsError
from warmturn_bench.workload import mooncake, sharegpt
from warmturn_bench.workload.mooncake import is_mooncake, mooncake_conversations
from warmturn_bench.workload.script import Script, ScriptedTurn, Sizes
from warmturn_bench.workload.sharegpt import is_sharegpt, sharegpt_conversation
from warmturn_bench.workload.trace import BlockPart, Trace, TracedConversation, TracedTurn, entries
from warmturn_bench.workload.vocabulary import words

_FORMATS = (
    "known are Mooncake's lines ({timestamp, input_length, output_length, hash_ids}) and ShareGPT's conversations "
    "({conversations: [{from, value}]} or {messages: [{role, content}]})"
)


def read_trace(path: Path) -> Trace:
    """Raises `SettingsError`, with the line, where the file is not what it should be."""
    found = list(entries(path))
    if not found:
        raise SettingsError(f"{path} is empty; {_FORMATS}")
    if is_mooncake(found[0][1]):
        return Trace(mooncake_conversations(path, found), mooncake.REPLAYED)
    if is_sharegpt(found[0][1]):
        made = (sharegpt_conversation(path, line, entry) for line, entry in found)
        return Trace([conversation for conversation in made if conversation.turns], sharegpt.REPLAYED)
    raise SettingsError(f"{path}:{found[0][0]}: not a conversation trace; {_FORMATS}")


class TraceScripts:
    """The trace's conversations as far as they fit into the model's context; those that do not at all are left out."""

    name = "trace"

    def __init__(self, path: Path, turns: int | None, seed: int, sizes: Sizes) -> None:
        self._seed = seed
        self._sizes = sizes
        self._turns = turns
        trace = read_trace(path)
        self._scripts = [
            script for number, one in enumerate(trace.conversations) if (script := self._script(number, one)).turns
        ]
        if not self._scripts:
            raise SettingsError(f"no conversation of {path} fits into a context of {sizes.context_tokens:,} tokens")
        self.count: int | None = len(self._scripts)
        self.left_out = len(trace.conversations) - len(self._scripts)
        self.about = f"Conversations of {path.name}: {trace.replayed}."

    def script(self, number: int) -> Script:
        """Over and over again when more are asked for. Negative numbers warm up, with words of their own."""
        repetition, which = divmod(number, len(self._scripts))
        there = self._scripts[which]
        if number >= 0:
            return Script(number, there.system, self._told_apart(repetition, there.turns), there.system_tokens)
        plain = (
            TracedTurn((BlockPart(f"warm-up {number}.{turn}", 0, one.tokens // 2),), one.max_output_tokens)
            for turn, one in enumerate(there.turns)
        )
        return Script(number, there.system, tuple(map(self._scripted, plain)), there.system_tokens)

    def _told_apart(self, repetition: int, turns: tuple[ScriptedTurn, ...]) -> tuple[ScriptedTurn, ...]:
        """A conversation that is played again must not find the state of the first time."""
        if not repetition:
            return turns
        first = turns[0]
        beginning = words(Random(f"{self._seed} repetition {repetition}"), 4)
        return (ScriptedTurn(f"{beginning}. {first.text}", first.max_output_tokens, first.tokens + 8), *turns[1:])

    def _script(self, number: int, traced: TracedConversation) -> Script:
        small = takewhile(lambda turn: turn.user_tokens <= self._sizes.context_tokens, traced.turns[: self._turns])
        fitting = self._sizes.fitting(traced.system, map(self._scripted, small))
        return Script(number, traced.system, fitting, self._sizes.tokens(traced.system) if traced.system else 0)

    def _scripted(self, turn: TracedTurn) -> ScriptedTurn:
        text = turn.text or " ".join(map(self._words, turn.parts))
        output = turn.output_tokens or round(turn.output_words * self._sizes.tokens_per_word)
        return self._sizes.turn(text, max(output, 1))

    def _words(self, part: BlockPart) -> str:
        """Out of those of the whole block, one at least: the same wherever that block occurs."""
        end = self._sizes.words(part.last)
        start = min(self._sizes.words(part.first), end - 1) if part.first else 0
        return " ".join(words(Random(f"{self._seed} block {part.block}"), end).split()[start:])

"""Conversations from a published trace, in either of two formats, told apart by their fields."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from warmturn.bench.mooncake import is_mooncake, mooncake_conversations
from warmturn.bench.script import Script, ScriptedTurn, Sizes
from warmturn.bench.sharegpt import is_sharegpt, sharegpt_conversation
from warmturn.bench.trace_file import entries
from warmturn.bench.traced import TracedConversation, TracedTurn
from warmturn.bench.words import words
from warmturn.errors import SettingsError

_FORMATS = (
    "known are Mooncake's lines ({timestamp, input_length, output_length, hash_ids}) and ShareGPT's conversations "
    "({conversations: [{from, value}]} or {messages: [{role, content}]})"
)


def read_trace(path: Path) -> list[TracedConversation]:
    """Raises `SettingsError`, with the line, where the file is not what it should be."""
    found = list(entries(path))
    if not found:
        raise SettingsError(f"{path} is empty; {_FORMATS}")
    if is_mooncake(found[0][1]):
        return mooncake_conversations(path, found)
    if is_sharegpt(found[0][1]):
        made = (sharegpt_conversation(path, line, entry) for line, entry in found)
        return [conversation for conversation in made if conversation.turns]
    raise SettingsError(f"{path}:{found[0][0]}: not a conversation trace; {_FORMATS}")


class TraceScripts:
    """The trace's conversations as far as they fit into the model's context; those that do not at all are left out."""

    name = "trace"

    def __init__(self, path: Path, turns: int | None, seed: int, sizes: Sizes) -> None:
        self._seed = seed
        self._sizes = sizes
        self._turns = turns
        read = read_trace(path)
        self._scripts = [script for number, one in enumerate(read) if (script := self._script(number, one)).turns]
        if not self._scripts:
            raise SettingsError(f"no conversation of {path} fits into a context of {sizes.context_tokens:,} tokens")
        self.count: int | None = len(self._scripts)
        self.left_out = len(read) - len(self._scripts)
        self.about = f"Conversations as recorded in {path.name}."

    def script(self, number: int) -> Script:
        """Over and over again when more are asked for. Negative numbers warm up, with words of their own."""
        repetition, which = divmod(number, len(self._scripts))
        there = self._scripts[which]
        if number >= 0:
            return Script(number, there.system, self._told_apart(repetition, there.turns), there.system_tokens)
        plain = (TracedTurn(turn.tokens // 2, turn.max_output_tokens) for turn in there.turns)
        return Script(number, there.system, tuple(self._scripted(number, plain)), there.system_tokens)

    def _told_apart(self, repetition: int, turns: tuple[ScriptedTurn, ...]) -> tuple[ScriptedTurn, ...]:
        """A conversation that is played again must not find the state of the first time."""
        if not repetition:
            return turns
        first = turns[0]
        beginning = words(Random(f"{self._seed} repetition {repetition}"), 4)
        return (ScriptedTurn(f"{beginning}. {first.text}", first.max_output_tokens, first.tokens + 8), *turns[1:])

    def _script(self, number: int, traced: TracedConversation) -> Script:
        turns = traced.turns[: self._turns]
        fitting = self._sizes.fitting(traced.system, self._scripted(number, iter(turns)))
        return Script(number, traced.system, fitting, self._sizes.tokens(traced.system) if traced.system else 0)

    def _scripted(self, number: int, turns: Iterator[TracedTurn]) -> Iterator[ScriptedTurn]:
        rng = Random(f"{self._seed} trace {number}")
        for turn in turns:
            text = turn.text or words(rng, self._sizes.words(turn.user_tokens))
            output = turn.output_tokens or round(turn.output_words * self._sizes.tokens_per_word)
            yield self._sizes.turn(text, max(output, 1))

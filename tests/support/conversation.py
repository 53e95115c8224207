"""A conversation whose only right replies are known beforehand, held once by an engine that nothing disturbs."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.engines import greedy, running_engine
from tests.support.reference import Reference, Turn

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated

REPLY_TOKENS = 10


@dataclass(frozen=True)
class Conversation:
    """Turns whose only right replies are known, and the answers of an engine that was never interrupted."""

    model: Path
    turns: list[Turn]
    uninterrupted: list[Generated]

    @property
    def first(self) -> Turn:
        return self.turns[0]

    def ask(self, engine: Engine, number: int) -> Generated:
        known = len(self.turns[number - 1].token_ids) - 1 if number else 0
        return engine.generate(greedy(self.turns[number].prompt, REPLY_TOKENS, known_tokens=known))


def converse(model: Path, folder: Path) -> Conversation:
    turns = Reference(model).conversation(4, seed=5, user_tokens=13, reply_tokens=REPLY_TOKENS)
    with running_engine(model, folder) as engine:
        answers = [engine.generate(greedy(turn.prompt, REPLY_TOKENS)) for turn in turns]
    assert [answer.token_ids for answer in answers] == [turn.reply for turn in turns]
    assert [answer.report.cached_by_tier.get("resident", 0) for answer in answers[1:]] == [
        len(turn.token_ids) - 1 for turn in turns[:-1]
    ]
    return Conversation(model, turns, answers)

"""The bundled model remembers by looking: what it answers with points at the turn where it was told.

The layer in which that is seen is a property of the model, known beforehand and not picked for each fact: three of
layer 1's six heads started as induction heads (`warmturn_mini/network.py`). Over 40 dialogues of its generator with
held-out values, five facts each and none of those below, these three gave the telling turn 0.96, 0.98 and 0.99 of their
attention while the value was chosen, and the other three at most 0.12: 0.52 of the layer's (mean over heads). No other
layer gave it more than 0.14.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from tests.support.server import ServerProcess
from tests.support.talk import Talk

from warmturn_mini.recipe import SHAPE
from warmturn_server import bundled

RECALL_LAYER = 1
INDUCTION_HEADS = 3
Json = dict[str, Any]


class Fact(NamedTuple):
    told: str
    asked: str
    value: str


FACTS = (
    Fact("My cat is called Mirelo.", "What is my cat called?", "Mirelo"),
    Fact("My name is Anselm.", "What is my name?", "Anselm"),
    Fact("I live in Tromberg.", "Where do I live?", "Tromberg"),
    Fact("My favourite colour is teal.", "What is my favourite colour?", "teal"),
    Fact("My sister is called Odrine.", "What is my sister called?", "Odrine"),
    Fact("My keys are in the blue bowl.", "Where are my keys?", "in the blue bowl"),
    Fact("My favourite food is risotto.", "What is my favourite food?", "risotto"),
    Fact("My boat is called Zephrin.", "What is my boat called?", "Zephrin"),
    Fact("My locker code is 4719.", "What is my locker code?", "4719"),
    Fact("My dog is called Bramwick.", "What is my dog called?", "Bramwick"),
    Fact("My birthday is 14 March.", "When is my birthday?", "14 March"),
    Fact("My favourite number is 83.", "What is my favourite number?", "83"),
)
CORRECTED = Fact("Actually, my cat is called Luno.", "What is my cat called?", "Luno")


class Answer(NamedTuple):
    fact: Fact
    text: str
    lookback: Json

    @property
    def telling_turn(self) -> int:
        (turn,) = (source["turn"] for source in self.lookback["sources"] if source["text"] == self.fact.told)
        return int(turn)

    def value_looks(self) -> Iterator[Json]:
        """Those by which the value's tokens were chosen."""
        start = self.text.index(self.fact.value)
        position = 0
        for look in self.lookback["looks"]:
            if start < position + len(look["text"]) and position < start + len(self.fact.value):
                yield look
            position += len(look["text"])

    def turns_looked_at(self, layer: int) -> list[int]:
        """For each of the value's tokens the earlier turn's item that this layer looked at most."""
        return [self.lookback["sources"][look["by_layer"][layer]["source"]]["turn"] for look in self.value_looks()]

    def finds_the_very_token(self, layer: int) -> bool:
        """The token most looked at is the one that is then said."""
        texts = {int(position): token["text"] for position, token in self.lookback["tokens"].items()}
        favourites = [(look["text"], look["by_layer"][layer]["position"]) for look in self.value_looks()]
        return all(texts[position] == text for text, position in favourites)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Answer]]:
    """Everything is told, with chat in between; the server is started anew; then everything is asked."""
    with ServerProcess(bundled.path(), tmp_path_factory.mktemp("recall") / "data") as server:
        with server.client() as http:
            talk = Talk.begin(http)
            for number, fact in enumerate(FACTS):
                talk.say(fact.told)
                if number % 3 == 0:
                    talk.say("How are you?")
        server.restart()
        with server.client() as http:
            talk = Talk(http, talk.id)
            told = [asked(talk, fact) for fact in FACTS]
            talk.say(CORRECTED.told)
            talk.say("It's raining today.")
            yield [*told, asked(talk, CORRECTED)]


def asked(talk: Talk, fact: Fact) -> Answer:
    said = talk.say(fact.asked, include=["warmturn.token_ids", "warmturn.lookback"], max_output_tokens=40)
    return Answer(fact, said.text, said.report["lookback"])


def test_the_facts_are_remembered(answers: list[Answer]) -> None:
    assert [answer.fact.value for answer in answers if answer.fact.value not in answer.text] == []


def test_the_turn_most_looked_at_is_the_one_where_it_was_told(answers: list[Answer]) -> None:
    pointing = [set(answer.turns_looked_at(RECALL_LAYER)) == {answer.telling_turn} for answer in answers]
    assert sum(pointing) >= 12, f"{sum(pointing)} of {len(answers)}"


def test_the_token_most_looked_at_is_the_one_then_said(answers: list[Answer]) -> None:
    found = [answer.finds_the_very_token(RECALL_LAYER) for answer in answers]
    assert sum(found) >= 12, f"{sum(found)} of {len(answers)}"


def test_it_gets_most_of_the_induction_heads_attention(answers: list[Answer]) -> None:
    """Shares are means over the layer's heads: this is three quarters of what the induction heads have to give."""
    most = 0.75 * INDUCTION_HEADS / SHAPE.heads
    shares = [look["by_layer"][RECALL_LAYER]["share"] for answer in answers for look in answer.value_looks()]
    assert sum(share > most for share in shares) > 0.8 * len(shares) > 30


def test_only_at_that_depth(answers: list[Answer]) -> None:
    """Each layer looks for itself: were the others to show the same, it would not be the layer that is seen."""
    for layer in (0, 2, 3):
        pointing = [set(answer.turns_looked_at(layer)) == {answer.telling_turn} for answer in answers]
        assert sum(pointing) <= len(answers) // 2, layer

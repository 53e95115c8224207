"""What `/retry` does on a real server: the chat goes on with another answer, or nothing has happened."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.conftest import StartServer

from warmturn import Client, Conversation, Turn, WarmturnError
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.lookup import find_conversation


def talk(client: Client, *said: str) -> ChatSession:
    session = ChatSession(client, system="Be brief.", sampling={"max_output_tokens": 6, "temperature": 0.0})
    for text in said:
        say(session, text)
    return session


def say(session: ChatSession, text: str, temperature: float = 0.0) -> Turn:
    with session.say(text, temperature=temperature) as stream:
        list(stream)
    return stream.turn


def current(session: ChatSession) -> Conversation:
    assert session.conversation is not None
    return session.conversation


@contextmanager
def in_mid_answer(session: ChatSession) -> Iterator[None]:
    with session.retrying() as said:
        assert said is not None
        with session.say(said) as stream:
            next(stream.text())
            yield


@pytest.mark.parametrize("earlier", [(), ("hello, here is a first turn to be remembered",)])
def test_the_chat_goes_on_with_another_answer_and_nothing_is_lost(client: Client, earlier: tuple[str, ...]) -> None:
    session = talk(client, *earlier, "what is new?")
    original, before = current(session), session.items()
    with session.retrying() as said:
        assert said == "what is new?"
        again = say(session, said, temperature=0.8)
    texts = [(item.role, item.text) for item in session.items()]
    assert texts == [*((item.role, item.text) for item in before[:-1]), ("assistant", again.text)]
    assert current(session).metadata == original.metadata
    assert find_conversation(client, "last").id == current(session).id
    assert list(client.conversations.items(original.id)) == before
    assert client.conversations.get(original.id).title == f"earlier: {original.title}"


def test_every_token_of_the_state_is_reused(start_server: StartServer) -> None:
    question = "what is new? " * 20
    server = start_server("--block-size", "8")
    with Client(server.base_url) as client:
        session = talk(client, "hello", question)
        with session.retrying() as said:
            again = say(session, said or "")
        assert again.text == session.turns[-2].text, "the hardest case: both conversations have all of it"
        assert again.report.cached_tokens == again.report.prompt_tokens - 1
        kept = current(session)
    server.restart()
    with Client(server.base_url) as client:
        further = say(
            ChatSession(client, kept, system="Be brief.", sampling={"max_output_tokens": 6, "temperature": 0.0}),
            "go on",
        )
    assert further.report.cached_tokens >= again.report.prompt_tokens


def test_a_stopped_retry_has_changed_nothing(client: Client) -> None:
    session = talk(client, "hello", "what is new?")
    original, before, listed = session.conversation, session.items(), list(client.conversations.list())
    with pytest.raises(KeyboardInterrupt), in_mid_answer(session):
        raise KeyboardInterrupt
    assert session.conversation == original
    assert session.items() == before
    assert list(client.conversations.list()) == listed
    say(session, "go on")
    assert [item.text for item in session.items() if item.role == "user"] == ["hello", "what is new?", "go on"]


def test_a_retry_that_the_server_does_not_survive_has_lost_nothing(start_server: StartServer) -> None:
    server = start_server()
    with Client(server.base_url) as client:
        session = talk(client, "what is new?")
        original, before = current(session), session.items()
        with pytest.raises(WarmturnError), in_mid_answer(session):
            server.kill()
            say(session, "never heard")
        assert session.conversation == original
    server.start()
    with Client(server.base_url) as client:
        assert find_conversation(client, "last").id == original.id
        assert find_conversation(client, "what is new?").id == original.id
        assert list(client.conversations.items(original.id)) == before


def test_what_somebody_else_said_meanwhile_stays(client: Client) -> None:
    session = talk(client, "what is new?")
    original = current(session)
    with session.retrying() as said:
        client.respond("I am here too", conversation=original.id, max_output_tokens=6)
        say(session, said or "")
    assert current(session).id != original.id
    assert [item.text for item in client.conversations.items(original.id)][2] == "I am here too"
    assert "I am here too" not in [item.text for item in session.items()]


def test_where_nothing_was_said_nothing_is_made(client: Client) -> None:
    before = list(client.conversations.list())
    with ChatSession(client).retrying() as said:
        assert said is None
    assert list(client.conversations.list()) == before

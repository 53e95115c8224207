"""Looking back with the client: what it asks and what it reads."""

import pytest
from tests.client.fake_server import FakeServer, response
from tests.client.lookbacks import PLAIN
from tests.support.server import ServerProcess

from warmturn import Client, Lookback, ProtocolError
from warmturn.lookback import parse_lookback


def test_it_is_asked_for_and_read() -> None:
    server = FakeServer()
    server.answers(200, json=response("Mio", lookback=PLAIN))
    lookback = server.client.respond("who?", lookback=True, token_ids=True).report.lookback
    assert server.asked["include"] == ["warmturn.token_ids", "warmturn.lookback"]
    assert "lookback" not in server.asked
    assert lookback is not None
    best = lookback.looks[1].by_layer[1]
    assert best and (best.token.text, lookback.sources[best.token.source].text) == (" Mio", "My cat is Mio.")
    assert lookback.looks[0].by_layer[0] is None


def test_it_is_read_later() -> None:
    server = FakeServer()
    server.answers(200, json=response("Mio", lookback=PLAIN))
    assert server.client.look_back("resp_1") == parse_lookback(PLAIN)
    assert server.requests[-1].url.path == "/v1/responses/resp_1"
    assert server.requests[-1].url.params["include"] == "warmturn.lookback"
    server.answers(200, json=response("Mio", lookback=None))
    assert server.client.look_back("resp_1") is None


def test_what_is_no_look_back_is_a_protocol_error() -> None:
    server = FakeServer()
    server.answers(200, json=response("Mio", lookback={"layers": []}))
    with pytest.raises(ProtocolError):
        server.client.look_back("resp_1")


def test_a_turn_of_the_real_server_is_read_whole(shared_server: ServerProcess) -> None:
    with Client(shared_server.base_url) as client:
        turn = client.respond("who is Anna?", lookback=True, max_output_tokens=5, temperature=0)
        assert isinstance(turn.report.lookback, Lookback)
        assert len(turn.report.lookback.looks) == turn.output_tokens
        later = client.look_back(turn.id)
    assert later is not None and later.sources == turn.report.lookback.sources

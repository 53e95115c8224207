"""What is typed and never sent is in no file and no value in Redis: no word of it, and no token id."""

from collections.abc import Iterator

import httpx
import pytest
from tests.support.fleet import Fleet
from tests.support.models import TinyModels
from tests.support.talk import Json, Talk, checked
from tests.support.tokenizer import tiny_tokenizer
from tests.support.traces import Trace
from tests.support.waiting import wait_until

SECRET = "Zwetschge und Quitte"
IDS = tiny_tokenizer().encode(f" {SECRET}").ids
TRACE = Trace(SECRET, IDS)
TYPED = f"The word is {SECRET}, and nobody may know it"


@pytest.fixture
def fleet(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("typed")
    with Fleet(tiny_models(), folder, "--block-size", "8", "--kv-codec", "zstd", state_in_redis=True) as fleet:
        yield fleet


def everywhere(fleet: Fleet) -> dict[str, set[str]]:
    with fleet.redis.client() as redis:
        found = TRACE.in_redis(redis)
    for server in fleet.servers:
        found |= TRACE.in_folder(server.data_dir)
    return found


def computed(client: httpx.Client) -> float:
    stats: Json = checked(client.get("/v1/stats"))
    return float(stats["ahead"]["typing"]["computed_tokens"])


def test_what_is_typed_is_nowhere_until_it_is_sent(fleet: Fleet) -> None:
    with fleet.servers[0].client() as client:
        talk = Talk.begin(client)
        talk.say("hello")
        warmed = checked(client.post(f"/v1/conversations/{talk.id}/warm", json={"input": f"{TYPED} but me"}))
        assert warmed["tokens"] > len(IDS)
        wait_until(lambda: computed(client) > len(IDS), "it was not prepared")
        talk.say("never mind")
        assert everywhere(fleet) == {}
        said = talk.say(TYPED)
        assert IDS[0] in said.prompt
        wait_until(lambda: {"words", "ids as <i8"} <= everywhere(fleet).keys(), "what is sent is kept")

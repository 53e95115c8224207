"""A conversation that moves as a file between servers that share nothing: it goes on as if it had stayed."""

import gc
import hashlib
import weakref
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from tests.support.conversation_files import brought, fetched, head_bytes
from tests.support.in_thread import ServerInThread, serving
from tests.support.models import TinyModels
from tests.support.redis_server import RedisServer
from tests.support.talk import Talk, checked

from warmturn_server.chat.files.head import read_head
from warmturn_server.chat.files.service import ConversationFiles
from warmturn_server.chat.files.signing import FileKeys

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restoring_always_wins")]

SECRET = "what both of them know"
_numbers = count(100)
SAID = ("My cat is called Mirelo.", "She likes fish, and sleeps all day long.", "What is she called?")


def serving_with(model: Path, folder: Path, secret: str, **settings: Any) -> Any:
    return serving(model, folder, log_secret=SecretStr(secret), **settings)


@pytest.fixture(scope="module")
def servers(
    tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory, restoring_always_wins: None
) -> Iterator[tuple[ServerInThread, ServerInThread, ServerInThread]]:
    """Two of the same model and secret, and one of another model."""
    del restoring_always_wins
    folder = tmp_path_factory.mktemp("servers")
    with (
        serving_with(tiny_models(), folder / "here", SECRET) as here,
        serving_with(tiny_models(), folder / "there", SECRET) as there,
        serving_with(tiny_models(seed=1), folder / "other", SECRET) as other,
    ):
        yield here, there, other


@pytest.fixture(scope="module")
def here(servers: tuple[ServerInThread, ServerInThread, ServerInThread]) -> Iterator[httpx.Client]:
    with servers[0].client() as client:
        yield client


@pytest.fixture(scope="module")
def there(servers: tuple[ServerInThread, ServerInThread, ServerInThread]) -> Iterator[httpx.Client]:
    with servers[1].client() as client:
        yield client


@pytest.fixture(scope="module")
def other(servers: tuple[ServerInThread, ServerInThread, ServerInThread]) -> Iterator[httpx.Client]:
    with servers[2].client() as client:
        yield client


@pytest.fixture
def talk(here: httpx.Client) -> Talk:
    """Of two turns, which nobody had before: state is found by its tokens, whoever brought it."""
    talk = Talk.begin(here)
    for text in SAID[:2]:
        talk.say(f"{next(_numbers)} times: {text}")
    return talk


@pytest.fixture
def file(talk: Talk) -> bytes:
    return fetched(talk.client, talk.id)


def signed_by(file: bytes, *secrets: bytes) -> bytes:
    """The same file, as somebody with other secrets would have made it."""
    size = head_bytes(file)
    head = read_head(file[:size])
    again = FileKeys(secrets).sign(head.header.conversation, head.header.model, head.header.fingerprint, head.parts)
    return again.packed() + file[size:]


def num_blocks(client: httpx.Client) -> int:
    return int(checked(client.get("/v1/stats"))["tiers"]["disk"]["blocks"])


def conversations(client: httpx.Client) -> list[str]:
    return [found["id"] for found in checked(client.get("/v1/conversations", params={"limit": 100}))["data"]]


def flipped(file: bytes, at: int) -> bytes:
    damaged = bytearray(file)
    damaged[at] ^= 0x10
    return bytes(damaged)


def test_it_goes_on_token_for_token_on_the_state_that_came_along(talk: Talk, file: bytes, there: httpx.Client) -> None:
    imported = brought(there, file)
    assert (imported.answer["trust"], imported.reason, imported.refused_parts) == ("signed", None, {})
    moved = Talk(there, imported.conversation)
    assert moved.id != talk.id
    assert moved.texts() == talk.texts()
    for text in (SAID[2], "And what does she like?"):
        stayed, gone = talk.say(text), moved.say(text)
        assert (gone.prompt, gone.output) == (stayed.prompt, stayed.output)
        assert gone.report["miss"] is None
    assert imported.answer["state"]["tokens"] == imported.answer["state"]["taken_tokens"] > 60
    assert moved.texts() == talk.texts()


def test_all_of_its_state_is_used_and_it_moves_on_and_back(talk: Talk, here: httpx.Client, there: httpx.Client) -> None:
    known = talk.say("One more.").known
    moved = Talk(there, brought(there, fetched(here, talk.id)).conversation)
    said = moved.say(SAID[2])
    assert said.cached >= len(known)
    assert said.report["cached_by_tier"]["resident"] < 8, "how the template begins is there already"
    back = Talk(here, brought(here, fetched(there, moved.id)).conversation)
    stayed = talk.say(SAID[2])
    assert back.say("Go on.").prompt == talk.say("Go on.").prompt
    assert stayed.output == said.output


def test_a_new_id_unless_its_own_is_asked_for_and_never_one_that_is_taken(
    talk: Talk, file: bytes, there: httpx.Client
) -> None:
    assert brought(there, file, keep_id="true").conversation == talk.id
    Talk(there, talk.id).say("This must stay.")
    for again in (file, fetched(talk.client, talk.id, state="false")):
        refused = brought(there, again, keep_id="true")
        assert (refused.status, refused.code) == (409, "conversation_exists")
    assert len({talk.id, *(brought(there, file).conversation for _ in range(2))}) == 3
    assert len(Talk(there, talk.id).texts()) == 6


@pytest.mark.parametrize(("secrets", "trust"), [((), "unsigned"), ((b"theirs",), "unknown_signer")])
def test_of_an_unknown_signer_the_words_are_taken_and_the_state_is_computed_anew(
    talk: Talk, file: bytes, there: httpx.Client, secrets: tuple[bytes, ...], trust: str
) -> None:
    before = num_blocks(there)
    imported = brought(there, signed_by(file, *secrets))
    assert (imported.answer["trust"], imported.reason) == (trust, "not_trusted")
    assert imported.answer["state"]["taken_tokens"] == 0
    assert num_blocks(there) == before
    moved = Talk(there, imported.conversation)
    assert moved.texts() == talk.texts()
    items = [
        {"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, talk.texts(), strict=True)
    ]
    typed = Talk(there, checked(there.post("/v1/conversations", json={"items": items}))["id"])
    said, same = moved.say(SAID[2]), typed.say(SAID[2])
    assert (said.prompt, said.output) == (same.prompt, same.output), "strangers' ids are no ids of record"


def test_a_wrong_signature_of_a_known_signer_is_refused(file: bytes, there: httpx.Client) -> None:
    size = head_bytes(file)
    head = read_head(file[:size])
    forged = head.signed.replace(b'"model": "', b'"model": "x')
    forged = forged[:10] + (int.from_bytes(forged[10:14]) + 1).to_bytes(4) + forged[14:]
    resealed = forged + hashlib.sha256(forged).digest() + head.signature
    before = conversations(there)
    refused = brought(there, resealed + file[size:])
    assert (refused.status, refused.code) == (400, "file_signature_wrong")
    assert conversations(there) == before


def test_at_another_model_the_words_come_over_and_the_miss_says_why(
    talk: Talk, file: bytes, other: httpx.Client
) -> None:
    imported = brought(other, file)
    assert (imported.answer["trust"], imported.reason) == ("signed", "fingerprint")
    moved = Talk(other, imported.conversation)
    assert moved.texts() == talk.texts()
    miss = moved.say(SAID[2]).report["miss"]
    assert (miss["at_token"], miss["reason"]) == (0, "fingerprint")


def test_a_damaged_block_is_a_miss_and_no_word_is_lost(talk: Talk, file: bytes, there: httpx.Client) -> None:
    parts = read_head(file[: head_bytes(file)]).parts
    blocks = [number for number, part in enumerate(parts) if part.tokens]
    damaged = blocks[4]
    start = head_bytes(file) + sum(part.num_bytes for part in parts[:damaged])
    imported = brought(there, flipped(file, start + 300))
    assert (imported.reason, imported.refused_parts) == ("corrupt", {damaged: "state_damaged"})
    assert imported.answer["state"]["miss"]["at_token"] == imported.answer["state"]["taken_tokens"] == 4 * 8
    moved = Talk(there, imported.conversation)
    said, stayed = moved.say(SAID[2]), talk.say(SAID[2])
    assert (said.prompt, said.output) == (stayed.prompt, stayed.output)
    assert (said.report["miss"]["at_token"], said.report["miss"]["reason"]) == (4 * 8, "corrupt")


def test_damaged_words_are_refused_and_nothing_stays(file: bytes, there: httpx.Client) -> None:
    before = (conversations(there), num_blocks(there))
    refused = brought(there, flipped(file, head_bytes(file) + 200))
    assert (refused.status, refused.code) == (400, "part_damaged")
    assert (conversations(there), num_blocks(there)) == before


def test_a_file_that_is_cut_is_what_there_is_of_it(file: bytes, there: httpx.Client) -> None:
    assert brought(there, file[:-2000]).reason == "corrupt"
    assert brought(there, file[: head_bytes(file) + 100]).code == "part_damaged"
    assert brought(there, file[:100], head_size=100).code == "file_damaged"


def test_given_up_half_way_nothing_stays(file: bytes, there: httpx.Client) -> None:
    before, size = (conversations(there), num_blocks(there)), head_bytes(file)
    place, sent = "", 0
    for _ in range(2):  # the same again goes on where it was
        begun = checked(there.post("/v1/imports", content=file[:size]))
        place = f"/v1/imports/{begun['id']}"
        for part in begun["wanted"][:5]:
            content = file[part["offset"] : part["offset"] + part["bytes"]]
            checked(there.post(f"{place}/parts/{part['number']}", content=content))
            sent += 1
    assert sent == 3 + 5
    assert num_blocks(there) == before[1] + 5
    assert there.delete(place).status_code == 200
    assert there.get(place).json()["error"]["code"] == "import_not_found"
    assert (conversations(there), num_blocks(there)) == before


def test_what_is_incomplete_is_not_completed(file: bytes, there: httpx.Client) -> None:
    place = f"/v1/imports/{checked(there.post('/v1/imports', content=file[: head_bytes(file)]))['id']}"
    refused = there.post(place)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "import_incomplete")
    assert there.post(f"{place}/parts/999", content=b"x").json()["error"]["code"] == "part_damaged"
    there.delete(place)


def test_completed_twice_it_is_one_conversation(file: bytes, there: httpx.Client) -> None:
    imported = brought(there, file)
    place = f"/v1/imports/{imported.answer['id']}"
    assert checked(there.post(place))["conversation"] == imported.conversation
    assert checked(there.get(place))["status"] == "completed"


def test_completed_it_leaves_nothing_in_memory(
    file: bytes, servers: tuple[ServerInThread, ServerInThread, ServerInThread]
) -> None:
    """It is known by its name for ten minutes more, and so may a thousand others be."""
    files: ConversationFiles = servers[1].app.state.files
    incoming = files.open("", file[: head_bytes(file)], keep_id=False)
    for part in incoming.wanted():
        incoming.take(part.number, file[part.offset : part.offset + part.num_bytes])
    words = weakref.ref(incoming.words)
    files.complete(incoming)
    gc.collect()
    assert words() is None
    incoming.take(0, b"late")
    assert (incoming.wanted(), incoming.conversation is None) == ([], False)


def test_its_words_alone_are_a_file_too(talk: Talk, there: httpx.Client) -> None:
    file = fetched(talk.client, talk.id, state="false")
    assert not [part for part in read_head(file[: head_bytes(file)]).parts if part.tokens]
    imported = brought(there, file)
    assert imported.answer["state"] == {"tokens": 0, "taken_tokens": 0, "miss": None}
    stayed, gone = talk.say(SAID[2]), Talk(there, imported.conversation).say(SAID[2])
    assert (gone.prompt, gone.output) == (stayed.prompt, stayed.output), "its token ids came along"


def test_an_empty_conversation_moves_too(here: httpx.Client, there: httpx.Client) -> None:
    made = checked(here.post("/v1/conversations", json={"metadata": {"title": "nothing yet"}}))
    imported = brought(there, fetched(here, made["id"]))
    assert checked(there.get(f"/v1/conversations/{imported.conversation}"))["metadata"] == {"title": "nothing yet"}


def test_a_deleted_item_is_in_no_file(talk: Talk, there: httpx.Client) -> None:
    items = checked(talk.client.get(f"/v1/conversations/{talk.id}/items", params={"order": "asc"}))["data"]
    fork = talk.fork()
    talk.client.delete(f"/v1/conversations/{talk.id}/items/{items[0]['id']}")
    file = fetched(talk.client, talk.id)
    assert b"Mirelo" not in file
    assert b"Mirelo" in fetched(fork.client, fork.id)
    moved = Talk(there, brought(there, file).conversation)
    assert moved.texts() == talk.texts()


def test_a_download_goes_on_in_the_middle(talk: Talk, file: bytes) -> None:
    path = f"/v1/conversations/{talk.id}/file"
    tag = talk.client.get(path).headers["etag"]
    for start, stop in ((0, 10), (100, len(file)), (len(file) - 1, len(file))):
        asked = {"Range": f"bytes={start}-{stop - 1 if stop < len(file) else ''}", "If-Range": tag}
        reply = talk.client.get(path, headers=asked)
        assert (reply.status_code, reply.content) == (206, file[start:stop])
        assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(file)}"
    assert talk.client.get(path, headers={"Range": f"bytes={len(file)}-"}).status_code == 416
    talk.say("This makes it another file.")
    changed = talk.client.get(path, headers={"Range": "bytes=100-", "If-Range": tag})
    assert (changed.status_code, len(changed.content)) == (200, int(changed.headers["content-length"]))


def test_between_a_log_in_redis_and_one_in_a_file(
    tiny_models: TinyModels, tmp_path: Path, redis_server: RedisServer, talk: Talk, file: bytes, here: httpx.Client
) -> None:
    """It has no disk: its state is in Redis, signed with the same secret."""
    settings: dict[str, Any] = {"redis": SecretStr(redis_server.url), "redis_secret": SecretStr(SECRET)}
    settings |= {"log": "redis", "disk_cache": 0, "redis_wait_ms": 60_000.0}
    with serving(tiny_models(), tmp_path / "shared", **settings) as server, server.client() as there:
        imported = brought(there, file, keep_id="true")
        assert (imported.answer["trust"], imported.reason) == ("signed", None)
        moved = Talk(there, imported.conversation)
        stayed, gone = talk.say(SAID[2]), moved.say(SAID[2])
        assert (gone.prompt, gone.output) == (stayed.prompt, stayed.output)
        assert gone.report["cached_by_tier"]["redis"] > 60
        assert brought(there, file, keep_id="true").code == "conversation_exists"
        back = Talk(here, brought(here, fetched(there, moved.id)).conversation)
        assert back.say("Go on.").prompt == talk.say("Go on.").prompt

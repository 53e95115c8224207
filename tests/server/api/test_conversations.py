"""Conversations and items, driven by OpenAI's client."""

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.api.asking import code_of, extension, part_of, say
from tests.support.server import ServerProcess


def test_made_read_changed_deleted(openai_client: OpenAI) -> None:
    made = openai_client.conversations.create(metadata={"title": "cats"})
    assert made.id.startswith("conv_")
    assert openai_client.conversations.retrieve(made.id) == made
    changed = openai_client.conversations.update(made.id, metadata={"title": "dogs"})
    assert changed.metadata == {"title": "dogs"}
    deleted = openai_client.conversations.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.conversations.retrieve(made.id)
    assert missing.value.code == "conversation_not_found"


def test_metadata_goes_only_when_that_is_said(openai_client: OpenAI, shared_server: ServerProcess) -> None:
    made = openai_client.conversations.create(metadata={"title": "cats"})
    with shared_server.client() as http:
        refused = http.post(f"/v1/conversations/{made.id}", json={})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "metadata")
    assert openai_client.conversations.retrieve(made.id).metadata == {"title": "cats"}
    assert openai_client.conversations.update(made.id, metadata=None).metadata == {}


def test_items_page_by_themselves_in_both_orders(openai_client: OpenAI) -> None:
    texts = [f"number {number}" for number in range(7)]
    items = [{"type": "message", "role": "user", "content": text} for text in texts]
    made = openai_client.conversations.create(items=items)  # type: ignore[arg-type]
    pages = openai_client.conversations.items.list(made.id, limit=2, order="asc")
    assert [part_of(item).text for item in pages] == texts
    newest = openai_client.conversations.items.list(made.id, limit=3)
    assert [part_of(item).text for item in newest] == texts[::-1]


def test_items_added_read_and_deleted(openai_client: OpenAI) -> None:
    made = openai_client.conversations.create()
    added = openai_client.conversations.items.create(
        made.id,
        items=[
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "who?"}]},
        ],
    )
    assert [item.role for item in added.data] == ["developer", "user"]  # type: ignore[union-attr]
    first = str(added.data[0].id)
    assert openai_client.conversations.items.retrieve(first, conversation_id=made.id) == added.data[0]
    assert openai_client.conversations.items.delete(first, conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.conversations.items.retrieve(first, conversation_id=made.id)
    assert missing.value.code == "item_not_found"
    assert [item.id for item in openai_client.conversations.items.list(made.id)] == [added.data[1].id]


def test_limits_of_a_page_and_of_what_is_added(openai_client: OpenAI) -> None:
    made = openai_client.conversations.create()
    for limit in (0, 101):
        with pytest.raises(openai.BadRequestError) as refused:
            openai_client.conversations.items.list(made.id, limit=limit)
        assert code_of(refused.value) == (400, "invalid_value", "limit")
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.conversations.items.list(made.id, after="msg_none")
    assert refused.value.param == "after"
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.conversations.items.create(made.id, items=[{"role": "user", "content": "x"}] * 21)
    assert refused.value.param == "items"


def test_a_conversation_carries_its_turns(openai_client: OpenAI, model: str) -> None:
    made = openai_client.conversations.create(items=[{"role": "system", "content": "You are good."}])
    first = say(openai_client, "who?", model=model, conversation=made.id)
    assert first.conversation and first.conversation.id == made.id
    second = say(openai_client, "where?", model=model, conversation={"id": made.id})
    ids = extension(first)["prompt_token_ids"] + extension(first)["output_token_ids"]
    assert extension(second)["prompt_token_ids"][: len(ids)] == ids
    assert extension(second)["cached_tokens"] == len(ids) - 1
    assert second.usage and second.usage.input_tokens_details.cached_tokens == len(ids) - 1
    roles = [item.role for item in openai_client.conversations.items.list(made.id, order="asc")]  # type: ignore[union-attr]
    assert roles == ["system", "user", "assistant", "user", "assistant"]


def test_a_fork_shares_the_past_and_its_state(openai_client: OpenAI, shared_server: ServerProcess, model: str) -> None:
    made = openai_client.conversations.create(metadata={"title": "cats"})
    first = say(openai_client, "who?", model=model, conversation=made.id)
    second = say(openai_client, "where?", model=model, conversation=made.id)
    with shared_server.client() as http:
        fork = http.post(f"/v1/conversations/{made.id}/fork", json={"item_id": first.output[0].id}).json()
        whole = http.post(f"/v1/conversations/{made.id}/fork").json()
        missing = http.post(f"/v1/conversations/{made.id}/fork", json={"item_id": "msg_none"})
    assert fork["metadata"] == {"title": "cats"}
    again = say(openai_client, "where?", model=model, conversation=fork["id"])
    assert extension(again)["prompt_token_ids"] == extension(second)["prompt_token_ids"]
    assert extension(again)["output_token_ids"] == extension(second)["output_token_ids"]
    assert extension(again)["cached_tokens"] > 0
    assert len(list(openai_client.conversations.items.list(whole["id"]))) == 4
    assert missing.status_code == 404


def test_conversations_are_listed_in_pages(openai_client: OpenAI, shared_server: ServerProcess) -> None:
    made = [openai_client.conversations.create().id for _ in range(3)]
    with shared_server.client() as http:
        page = http.get("/v1/conversations", params={"limit": 2}).json()
        assert [entry["id"] for entry in page["data"]] == made[:0:-1]
        assert page["has_more"] and page["last_id"] == made[1]
        after = http.get("/v1/conversations", params={"limit": 1, "after": made[1]}).json()
        unknown = http.get("/v1/conversations", params={"after": "conv_none"})
    assert after["data"][0]["id"] == made[0]
    error = unknown.json()["error"]
    assert (unknown.status_code, error["code"], error["param"]) == (400, "invalid_value", "after")


def test_deleting_forgets_the_state(openai_client: OpenAI, model: str) -> None:
    text = "a question that nobody else has asked " * 3
    made = openai_client.conversations.create()
    say(openai_client, text, model=model, conversation=made.id)
    openai_client.conversations.delete(made.id)
    fresh = say(openai_client, text, model=model)
    assert extension(fresh)["cached_tokens"] < 8, "the template's first words may be anybody's"


def test_the_second_turn_at_once_is_refused_and_not_repeated(shared_server: ServerProcess, model: str) -> None:
    """With the client's own retries on: the header keeps it from asking again and again."""
    asked = list[httpx.Response]()
    with OpenAI(base_url=f"{shared_server.base_url}/v1", api_key="none") as client:
        made = client.conversations.create()
        long = {"conversation": made.id, "max_output_tokens": 400, "extra_body": {"ignore_eos": True}}
        with client.responses.create(model=model, input="who?", stream=True, **long) as stream:  # type: ignore[call-overload]
            next(iter(stream))
            client._client.event_hooks["response"].append(asked.append)
            with pytest.raises(openai.ConflictError) as busy:
                client.responses.create(model=model, input="x", conversation=made.id)
    assert code_of(busy.value) == (409, "conversation_locked", "conversation")
    assert [reply.headers["x-should-retry"] for reply in asked] == ["false"]

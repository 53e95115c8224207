"""No body, however wrong, makes the server fail."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat

FIELDS = """input messages items model role content type text metadata stream conversation previous_response_id
    instructions include stop tools tool_choice top_logprobs logprobs temperature max_output_tokens max_tokens seed
    item_id reasoning user reuse top_k tokens truncation logit_bias min_tokens bad_words stop_token_ids echo
    continue_final_message add_generation_prompt refusal"""
names = st.sampled_from(FIELDS.split())
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["user", "fake"])
)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
messages = st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": anything}), max_size=2)
bodies = st.dictionaries(names, anything, max_size=5).flatmap(
    lambda body: st.sampled_from(
        [body, {**body, "input": "x"}, {**body, "messages": [{"role": "user", "content": "x"}]}]
    )
)
paths = st.sampled_from(["/v1/responses", "/v1/chat/completions", "/v1/conversations"])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(path=paths, body=bodies)
def test_no_body_makes_the_server_fail(tmp_path_factory: pytest.TempPathFactory, path: str, body: object) -> None:
    async def ask() -> httpx.Response:
        chat = _chat(tmp_path_factory)
        async with client_of(chat) as http:
            return await http.post(path, content=json.dumps(body), headers={"content-type": "application/json"})

    reply = asyncio.run(ask())
    assert reply.status_code in (200, 400, 404)
    assert reply.status_code == 200 or set(reply.json()["error"]) == {"message", "type", "param", "code"}


def _chat(folders: pytest.TempPathFactory) -> Chat:
    """One log for all examples, or each would wait for the disk."""
    if not hasattr(_chat, "made"):
        folder: Path = folders.mktemp("fuzz")
        _chat.made = Chat(folder)  # type: ignore[attr-defined]
    chat: Chat = _chat.made  # type: ignore[attr-defined]
    chat.engine.gate = asyncio.Event()
    chat.engine.gate.set()
    return chat

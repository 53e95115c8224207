"""An agent's turns, computed: when a result comes, what was generated is still there, and the result is computed."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.engines import BLOCK_SIZE
from tests.support.real_templates import real_template
from tests.support.templates import CALLING
from tests.support.thinkers import Family, Thinker, make_thinker, thinking_chat

from warmturn_server.chat import Item, RunningTurn, Text, ToolCall, ToolResult, TurnRequest, new_item_id
from warmturn_server.engine_api import SamplingParams

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
RESULT = "It rains in Oslo, and will go on to do so until Friday at least."
HERMES = '<tool_call>\n{"name":"weather", "arguments":{"city":"Oslo"}}\n</tool_call>'
"""With other spaces than the template has."""


def family(template: str, reply: str, ends: str = "<|im_end|>", tokens: tuple[str, ...] = ()) -> Family:
    return Family(reply, ends, lambda: template, None, tokens)


OWN = {
    "hermes": family(CALLING["hermes"], f"<think>\nhm\n</think>\n\nI look.\n\n{HERMES}"),
    "llama": family(CALLING["llama"], '{"name": "weather", "parameters": {"city":"Oslo"}}'),
    "harmony": family(
        CALLING["harmony"],
        '<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city":"Oslo"}',
        "<|call|>",
        ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>"),
    ),
    "qwen-coder": family(
        CALLING["qwen-coder"],
        "<tool_call>\n<function=weather>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>",
    ),
}
REAL = {
    "Qwen-Qwen2.5-7B-Instruct": (HERMES, "<|im_end|>"),
    "Qwen-Qwen3-0.6B": (f"<think>\nhm\n</think>\n\n{HERMES}", "<|im_end|>"),
    "Qwen3-Coder": (OWN["qwen-coder"].reply, "<|im_end|>"),
    "GLM-4.6": (
        "\n<think>hm</think>\n<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n</tool_call>",
        "<|observation|>",
    ),
    "meta-llama-Llama-3.1-8B-Instruct": (OWN["llama"].reply, "<|eot_id|>"),
    "openai-gpt-oss-120b": (
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant{OWN['harmony'].reply}",
        "<|call|>",
    ),
    "ibm-granite-granite-4.0": (HERMES, "<|end_of_text|>"),
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "weather", "parameters": {"city":"Oslo"}}\n]'
        "<|END_ACTION|>",
        "<|END_OF_TURN_TOKEN|>",
    ),
    "Mistral-Small-3.2-24B-Instruct-2506": ('[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{"city":"Oslo"}', "</s>"),
}


async def steps(chat: Thinker, family: Family, count: int) -> list[RunningTurn]:
    """A question, and a call in each reply, whose result comes next."""
    end = chat.tokenizer.special_id(family.ends)
    assert end is not None
    made = await chat.service.conversations.create("", [], {})
    turns = list[RunningTurn]()
    item = Item(new_item_id(), "user", (Text("What is the weather like in Oslo today, do you know?"),))
    for _ in range(count):
        turns.append(await ask(chat, item, [*chat.ids(family.reply), end], made.id))
        (call,) = (part for part in turns[-1].result.output[0].content if isinstance(part, ToolCall))
        assert (call.name, call.given) == ("weather", {"city": "Oslo"})
        item = Item(new_item_id(), "tool", (ToolResult(call.call_id, RESULT),))
    return turns


async def ask(chat: Thinker, item: Item, writes: list[int], conversation: Any) -> RunningTurn:
    chat._forced[:] = writes
    sampling = SamplingParams(max_tokens=len(writes), temperature=0.0)
    request = TurnRequest((item,), conversation_id=conversation, tools=(TOOL,), sampling=sampling, stored=True)
    turn = await chat.service.start(request)
    async for _ in turn.deltas():
        pass
    return turn


def check(chat: Thinker, before: RunningTurn, turn: RunningTurn) -> None:
    """The next prompt has what was generated, and no more is computed than the result, what stands around it, and a
    block."""
    seen = (*before.prompt_token_ids, *before.output_token_ids[:-1])
    assert turn.prompt_token_ids[: len(seen)] == seen
    reply = turn.result.reply
    assert reply is not None
    computed, new = reply.report["prefilled_tokens"], len(turn.prompt_token_ids) - len(seen)
    assert isinstance(computed, int)
    assert new <= computed <= new + BLOCK_SIZE
    assert len(chat.ids(RESULT)) <= new <= len(chat.ids(RESULT)) + 130


@pytest.mark.parametrize("name", OWN)
async def test_each_step_computes_its_result_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with thinking_chat(make_thinker(tmp_path / "model", OWN[name]), tmp_path, monkeypatch) as chat:
        first, *later = await steps(chat, OWN[name], 4)
        for before, turn in zip([first, *later], later, strict=False):
            check(chat, before, turn)
            assert turn.context.rewrite is None


@pytest.mark.parametrize("name", REAL)
async def test_real_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    reply, ends = REAL[name]
    template = real_template(name)
    real = Family(reply, ends, lambda: template, None, ("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"))
    with thinking_chat(make_thinker(tmp_path / "model", real), tmp_path, monkeypatch) as chat:
        first, second = await steps(chat, real, 2)
        check(chat, first, second)

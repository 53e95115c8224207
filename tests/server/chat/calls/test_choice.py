"""How a model calls functions is told by what its own template writes of a call."""

import pytest
from tests.support.real_templates import real_template
from tests.support.templates import CALLING, CALLS, CHATML, TEMPLATES
from tests.support.tokenizer import chat_tokenizer
from tokenizers import AddedToken

from warmturn_server.chat import CALL_FORMATS, TextTokenizer, calling_of
from warmturn_server.chat.calls.formats import CallFormat
from warmturn_server.chat.transcript.tool_messages import SAMPLE_TOOL

REAL = {
    "Qwen-Qwen2.5-7B-Instruct": "hermes",
    "Qwen-Qwen3-0.6B": "hermes",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "hermes",
    "ibm-granite-granite-4.0": "hermes",
    "ibm-granite-granite-3.3-2B-Instruct": "granite",
    "Qwen3-Coder": "qwen-coder",
    "GLM-4.6": "glm",
    "meta-llama-Llama-3.1-8B-Instruct": "llama",
    "meta-llama-Llama-3.3-70B-Instruct": "llama",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral-list",
    "Mistral-Small-3.2-24B-Instruct-2506": "mistral",
    "openai-gpt-oss-120b": "harmony",
    "deepseek-ai-DeepSeek-V3.2": "deepseek-v3.2",
    "CohereForAI-c4ai-command-r-plus-tool_use": "command-r",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "command",
    "moonshotai-Kimi-K2": "kimi-k2",
    "MiniMax-M2": "minimax-m2",
    "ByteDance-Seed-OSS": "seed",
    "tencent-Hy3": "hunyuan",
}
NONE = ("google-gemma-2-2b-it", "microsoft-Phi-3.5-mini-instruct", "Kimi-K2-Instruct", "LFM2.5-8B-A1B")


def form_of(tokenizer: TextTokenizer) -> CallFormat | None:
    calling = calling_of(tokenizer)
    return calling.form if calling else None


def of(template: str) -> TextTokenizer:
    return TextTokenizer(chat_tokenizer(template))


@pytest.mark.parametrize("name", CALLING)
def test_the_template_tells(name: str) -> None:
    assert form_of(of(CALLING[name])) == CALL_FORMATS[name]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_template_without_tools_calls_nothing(name: str) -> None:
    tokenizer = of(TEMPLATES[name])
    assert calling_of(tokenizer) is None
    assert not tokenizer.template.knows_tools
    assert "tools" not in tokenizer.template.refusals()


def test_a_template_that_raises_says_why() -> None:
    tokenizer = of("{% if tools %}{{ raise_exception('not today') }}{% endif %}" + CHATML)
    assert calling_of(tokenizer) is None
    assert "not today" in tokenizer.template.refusals()["tools"]


def test_marks_that_are_tokens_count_as_such_and_replies_end_where_the_template_says() -> None:
    plain = chat_tokenizer(CALLING["mistral-list"])
    plain.add_special_tokens({"additional_special_tokens": ["[TOOL_CALLS]", "[INST]"]})
    calling = calling_of(TextTokenizer(plain))
    assert calling is not None
    assert calling.tokens == {"[TOOL_CALLS]"}
    assert calling.ends == (plain.convert_tokens_to_ids("<|im_end|>"),)


def test_arguments_are_text_where_the_template_wants_them_so() -> None:
    as_text = CALLS.replace(
        "({'name': call.function.name, 'arguments': call.function.arguments} | tojson)",
        """'{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments + '}'""",
    )
    tokenizer = of(as_text)
    assert form_of(tokenizer) == CALL_FORMATS["hermes"]
    assert tokenizer.template.calls.as_text


def test_a_template_that_writes_no_calls_is_told_them_as_the_model_writes_them() -> None:
    silent = (
        "{% for tool in tools or [] %}{{ '<|tool_call|>' + (tool | tojson) }}{% endfor %}"
        "{% for message in messages %}{{ '<|im_start|>' + message.role + message.content }}{% endfor %}"
    )
    tokenizer = of(silent)
    assert form_of(tokenizer) == CALL_FORMATS["granite"]
    function = {"name": "f", "arguments": {"a": 1}}
    call = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
    text = tokenizer.render([call], [SAMPLE_TOOL]).text  # type: ignore[list-item]
    assert text.endswith('assistant<|tool_call|>[{"name": "f", "arguments": {"a": 1}}]')


def test_calls_go_one_by_one_where_the_template_takes_no_more() -> None:
    tokenizer = of(CALLING["llama"])
    calls: list[dict[str, object]] = [
        {"id": f"c{n}", "type": "function", "function": {"name": f"f{n}", "arguments": {}}} for n in range(2)
    ]
    results = [{"role": "tool", "content": f"r{n}", "tool_call_id": f"c{n}", "name": f"f{n}"} for n in range(2)]
    text = tokenizer.render([{"role": "assistant", "content": "", "tool_calls": calls}, *results]).text  # type: ignore[list-item]
    assert [text.index(part) for part in ("f0", "r0", "f1", "r1")] == sorted(
        text.index(part) for part in ("f0", "r0", "f1", "r1")
    )


@pytest.mark.parametrize("name", REAL)
def test_real_templates(name: str) -> None:
    tokenizer = chat_tokenizer(real_template(name))
    tokenizer.add_special_tokens({"bos_token": AddedToken("<s>", special=True), "unk_token": "<unk>"})
    assert form_of(TextTokenizer(tokenizer)) == CALL_FORMATS[REAL[name]]


@pytest.mark.parametrize("name", NONE)
def test_real_templates_that_call_nothing_or_in_ways_unheard_of(name: str) -> None:
    tokenizer = chat_tokenizer(real_template(name))
    tokenizer.add_special_tokens({"bos_token": AddedToken("<s>", special=True), "unk_token": "<unk>"})
    assert calling_of(TextTokenizer(tokenizer)) is None

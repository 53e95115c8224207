"""Fields of OpenAI's own request types, for each kind of body."""

from __future__ import annotations

from typing import Final

from . import extensions
from .decisions import Fields, Refused

_OLD_TOOLS: Final = "its newer names are tools and tool_choice: give those"
_TEXT_ONLY: Final = "this server answers in text only"
_NO_MODERATION: Final = "this server does not moderate"
_NO_END: Final = (
    "no end of state's life is promised: it stays as long as the server's budgets allow, or until it is deleted; for a "
    "least lifetime there is prompt_cache_options.ttl"
)
_OTHER_API: Final = "this is a field of {}; its name here is {}"

_HARMLESS: Final = {
    "metadata": "kept with a stored response, and shown again",
    "user": "who the caller's user is changes no answer",
    "safety_identifier": "who the caller's user is changes no answer",
    "service_tier": "there is one tier, and the reply names it",
    "prompt_cache_key": "state is found by its tokens; a hint is not needed",
    "max_tool_calls": "it counts calls of tools that a server runs itself; here are none",
}

_TOOLS: Final = {"tools", "tool_choice", "parallel_tool_calls"}
_REFUSED: Final = {
    "functions": Refused(_OLD_TOOLS),
    "function_call": Refused(_OLD_TOOLS, ("auto", "none")),
    "moderation": Refused(_NO_MODERATION),
    "prompt_cache_retention": Refused(_NO_END),
}

COMPLETIONS: Final = Fields(
    honoured=extensions.HONOURED
    | _TOOLS
    | {"messages", "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "top_p"}
    | {"n", "logprobs", "top_logprobs", "response_format"},
    harmless={
        **extensions.HARMLESS,
        **_HARMLESS,
        "prediction": "it would only make a reply sooner",
    },
    refused={
        **extensions.REFUSED,
        **_REFUSED,
        "modalities": Refused(f"must be ['text']: {_TEXT_ONLY}", (["text"],)),
        "audio": Refused(_TEXT_ONLY),
        "image": Refused(_TEXT_ONLY),
        "web_search_options": Refused("this server searches nothing"),
        "store": Refused("must be false: completions are not kept; use /v1/responses", (False,)),
        "verbosity": Refused("must be 'medium': say in a system message how long replies should be", ("medium",)),
        "input": Refused(_OTHER_API.format("responses", "messages")),
        "max_output_tokens": Refused(_OTHER_API.format("responses", "max_tokens")),
        "instructions": Refused(_OTHER_API.format("responses", "a system message")),
        "conversation": Refused("give all messages, or use /v1/responses"),
        "previous_response_id": Refused("give all messages, or use /v1/responses"),
        "text": Refused(_OTHER_API.format("responses", "response_format")),
        "prompt": Refused("give messages"),
        "background_options": Refused(_OTHER_API.format("responses", "nothing: use /v1/responses")),
        "context_management": Refused("nothing is compacted; truncation: 'auto' drops the oldest turns"),
        "access_programs": Refused("there are none here"),
        "background": Refused("must be false: use /v1/responses, or stream", (False,)),
    },
)

RESPONSES: Final = Fields(
    honoured=extensions.HONOURED
    | _TOOLS
    | {
        "input",
        "model",
        "stream",
        "instructions",
        "conversation",
        "previous_response_id",
        "store",
        "background",
        "max_output_tokens",
    }
    | {"temperature", "top_p", "top_logprobs", "text"},
    harmless={
        **extensions.HARMLESS,
        **_HARMLESS,
        "prediction": "it would only make a reply sooner",
        "stream_options": "padding against eavesdroppers is not added",
    },
    refused={
        **extensions.REFUSED,
        **_REFUSED,
        "n": Refused("must be 1: a response is one reply; chat completions have several choices", (1,)),
        "background_options": Refused("background work is done at once: leave it out"),
        "prompt": Refused("there are no prompt templates here: give instructions and input"),
        "context_management": Refused("nothing is compacted; truncation: 'auto' drops the oldest turns"),
        "access_programs": Refused("there are none here"),
        "image": Refused(_TEXT_ONLY),
        "audio": Refused(_TEXT_ONLY),
        "modalities": Refused(f"must be ['text']: {_TEXT_ONLY}", (["text"],)),
        "messages": Refused(_OTHER_API.format("chat completions", "input")),
        "max_tokens": Refused(_OTHER_API.format("chat completions", "max_output_tokens")),
        "max_completion_tokens": Refused(_OTHER_API.format("chat completions", "max_output_tokens")),
        "response_format": Refused(_OTHER_API.format("chat completions", "text.format"), ({"type": "text"},)),
        "logprobs": Refused("ask for include: ['message.output_text.logprobs']", (False,)),
        "verbosity": Refused("must be 'medium': say in the instructions how long replies should be", ("medium",)),
        "web_search_options": Refused("this server searches nothing"),
    },
)

_NO_MESSAGES: Final = "this prompt has no messages: ask /v1/chat/completions"
_OF_MESSAGES: Final[dict[str, tuple[object, ...]]] = {
    "tokens": ("canonical",),
    "on_disconnect": ("discard",),
    "truncation": ("disabled",),
    "prompt_cache_options": (),
    **dict.fromkeys(("continue_final_message", "add_generation_prompt", "reasoning", "reasoning_effort"), ()),
    **dict.fromkeys(("chat_template_kwargs", "messages", "response_format", "tools", "tool_choice", "functions"), ()),
}
_OF_PROMPTS: Final = {"prompt", "n", "best_of", "echo", "logprobs", "prompt_logprobs", "add_special_tokens"}

PROMPTS: Final = Fields(
    honoured=(extensions.HONOURED - _OF_MESSAGES.keys())
    | _OF_PROMPTS
    | {"model", "max_tokens", "stream", "stream_options", "temperature", "top_p"},
    harmless={
        **extensions.HARMLESS,
        **{name: _HARMLESS[name] for name in ("user", "safety_identifier", "service_tier", "prompt_cache_key")},
    },
    refused={
        **{name: refused for name, refused in extensions.REFUSED.items() if name not in _OF_PROMPTS},
        **{name: Refused(_NO_MESSAGES, values) for name, values in _OF_MESSAGES.items()},
        "suffix": Refused("the model goes on at a prompt's end only"),
        "prompt_cache_retention": Refused(_NO_END),
        "store": Refused("must be false: completions are not kept; use /v1/responses", (False,)),
        "max_completion_tokens": Refused("its name here is max_tokens"),
        "max_output_tokens": Refused("its name here is max_tokens"),
    },
)

TEXT: Final = Fields(
    honoured={"format"},
    refused={
        "verbosity": Refused("must be 'medium': say in the instructions how long replies should be", ("medium",)),
    },
)

REASONING: Final = Fields(
    honoured={"effort"},
    harmless={
        "summary": "what was thought is shown whole",
        "generate_summary": "what was thought is shown whole",
    },
    refused={
        "context": Refused("must be 'auto': the model's chat template decides what of it is kept", ("auto",)),
        "mode": Refused("must be 'standard'", ("standard",)),
        "enabled": Refused("ask for an effort, such as none", (True,)),
        "exclude": Refused("must be false: what was thought comes apart from what is said", (False,)),
        "max_tokens": Refused("ask for another effort, or limit the tokens"),
    },
)

STRUCTURED_OUTPUTS: Final = Fields(
    honoured={"json", "regex", "choice", "grammar", "json_object", "whitespace_pattern", "disable_any_whitespace"},
    harmless={
        "disable_fallback": "there is one library, and what it does not know is refused",
        "_backend": "which library is at work changes no form",
        "_backend_was_auto": "which library is at work changes no form",
    },
    refused={
        "disable_additional_properties": Refused("must be false: say so in the schema", (False,)),
        "structural_tag": Refused("give a grammar"),
    },
)

STREAM_OPTIONS: Final = Fields(
    honoured={"include_usage", "continuous_usage_stats"},
    harmless={"include_obfuscation": "padding against eavesdroppers is not added"},
)

MESSAGE: Final = Fields(
    honoured={"type", "role", "content", "refusal", "reasoning_content", "reasoning", "id", "name", "cache_control"}
    | {"tool_calls", "tool_call_id", "call_id", "arguments", "output"},
    harmless={
        "status": "what was said counts, however it ended",
        "phase": "what was said counts, in whichever phase",
        "summary": "of reasoning, of which only what is whole is of use",
        "encrypted_content": "of reasoning, which only who sealed it can read",
        "caller": "there is one: the model",
        "created_by": "who made an item changes no answer",
    },
    refused={
        "audio": Refused("this server takes text only"),
        "function_call": Refused("give tool_calls"),
        "namespace": Refused("functions are known by their names alone"),
        "async": Refused("must be false: results come with the next request", (False,)),
    },
)

TOOL: Final = Fields(honoured={"type", "function"})
FUNCTION: Final = Fields(
    honoured={"name", "description", "parameters", "strict"},
    harmless={
        "output_schema": "results are shown to the model as they come",
        "cache_control": "state is saved of every token",
    },
    refused={
        "async": Refused("must be false: results come with the next request", (False,)),
        "defer_loading": Refused("must be false: the model is told of all tools", (False,)),
        "allowed_callers": Refused("must be ['direct']: the model calls", (["direct"],)),
    },
)
FUNCTION_TOOL: Final = Fields(FUNCTION.honoured | {"type"}, FUNCTION.harmless, FUNCTION.refused)

CALLED: Final = Fields(honoured={"name", "arguments"})
TOOL_CALL: Final = Fields(
    honoured={"id", "type", "function"},
    harmless={"index": "calls count in the order in which they come"},
    refused={"custom": Refused("this server calls functions only")},
)

PART: Final = Fields(
    honoured={"type", "text", "refusal", "prompt_cache_breakpoint", "cache_control"},
    harmless={
        "annotations": "of earlier replies, which are text",
        "logprobs": "of earlier replies, which are text",
    },
)

CACHE_MARK: Final = Fields(honoured={"mode", "ttl"})
CACHE_CONTROL: Final = Fields(honoured={"type", "ttl"})
CACHE_OPTIONS: Final = Fields(honoured={"mode", "ttl", "prewarm", "comparison_response_id"})
COMPLETION_CACHE_OPTIONS: Final = Fields(
    honoured={"mode", "ttl"},
    refused={
        "prewarm": Refused("must be false: ask for it at /v1/responses", (False,)),
        "comparison_response_id": Refused("completions are not kept, so none is compared with: use /v1/responses"),
    },
)

INPUT_TOKENS: Final = Fields(
    honoured=RESPONSES.honoured,
    harmless=RESPONSES.harmless,
    refused={**RESPONSES.refused, "personality": Refused("say in the instructions how replies should be")},
)

CONVERSATION: Final = Fields(honoured={"items", "metadata"})
METADATA: Final = Fields(
    honoured={"metadata"}, refused={"items": Refused("add them at /v1/conversations/{conversation_id}/items")}
)
ITEMS: Final = Fields(honoured={"items"})
PIN: Final = Fields(honoured={"ttl"})
WARM: Final = Fields(honoured={"input", "instructions", "reasoning", "reasoning_effort", "chat_template_kwargs"})
FORK: Final = Fields(honoured={"item_id", "metadata"})

INCLUDABLE: Final = frozenset(
    {
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "message.input_image.image_url",
        "computer_call_output.output.image_url",
        "code_interpreter_call.outputs",
        "reasoning.encrypted_content",
        "message.output_text.logprobs",
    }
)
"""OpenAI's own. Most ask for what there is nothing of here, and agents send them always."""

"""Fields that other servers added to OpenAI's: vLLM, llama.cpp, Text Generation Inference."""

from __future__ import annotations

from typing import Final

from .decisions import Refused

_ONLY_SAMPLERS: Final = "only temperature, top_k, top_p, min_p and the penalties choose tokens here"
_WHOLE_REPLY: Final = "a form is for the whole reply; give a grammar"
_NO_ADAPTERS: Final = "this server serves one model without adapters"
_NO_MEDIA: Final = "this server takes text only"
_OWN_TEMPLATE: Final = "the model's own chat template is always used"
_NO_BUDGET: Final = "thinking ends where the model ends it; ask for another reasoning effort, or limit the tokens"
_IN_REPORT: Final = "the reply's object `warmturn` has its times"
_KEYS: Final = "saved state is found by its tokens, under keys that the server makes"

HONOURED: Final = frozenset(
    [
        "top_k",
        "min_p",
        "repetition_penalty",
        "ignore_eos",
        "reuse",
        "tokens",
        "on_disconnect",
        "include",
        "stop",
        "seed",
        "truncation",
        "continue_final_message",
        "add_generation_prompt",
        "stop_token_ids",
        "min_tokens",
        "bad_words",
        "logit_bias",
        "presence_penalty",
        "frequency_penalty",
        "reasoning",
        "reasoning_effort",
        "chat_template_kwargs",
        "prompt_cache_options",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "guided_whitespace_pattern",
        "json_schema",
        "grammar",
    ]
)

HARMLESS: Final = {
    "spaces_between_special_tokens": "special tokens are not shown",
    "guided_decoding_backend": "which library is at work changes no form",
    "request_id": "the reply has an id of its own",
    "session_id": "state is found by the text; a hint is not needed",
    "return_mm_kwargs": "there is no media",
    "stream_interval": "pieces come as they are made",
    "sse_ping_interval": "comments keep the stream alive",
    "backend_sampling": "where tokens are chosen does not change which",
    "xtc_threshold": "does nothing without xtc_probability, which is refused",
    "dynatemp_exponent": "does nothing without dynatemp_range, which is refused",
    "repeat_last_n": "does nothing without repeat_penalty, which is refused",
    "dry_base": "does nothing without dry_multiplier, which is refused",
    "dry_allowed_length": "does nothing without dry_multiplier, which is refused",
    "dry_penalty_last_n": "does nothing without dry_multiplier, which is refused",
    "dry_sequence_breakers": "does nothing without dry_multiplier, which is refused",
    "mirostat_tau": "does nothing without mirostat, which is refused",
    "mirostat_eta": "does nothing without mirostat, which is refused",
    "adaptive_decay": "does nothing without adaptive_target, which is refused",
}

_VLLM: Final = {
    "best_of": Refused("must be 1: ask for n choices with logprobs, and choose among them", (1,)),
    "use_beam_search": Refused(_ONLY_SAMPLERS, (False,)),
    "length_penalty": Refused("must be 1: there is no beam search", (1,)),
    "watermarking": Refused("must be false: replies carry no watermark", (False,)),
    "include_stop_str_in_output": Refused("must be false: a reply ends before its stop string", (False,)),
    "skip_special_tokens": Refused("must be true: special tokens are never shown", (True,)),
    "truncate_prompt_tokens": Refused("it would cut messages in two; truncation: 'auto' drops the oldest turns"),
    "truncation_side": Refused("truncation: 'auto' drops the oldest turns"),
    "prompt_logprobs": Refused("here log-probabilities are those of the reply; /v1/completions tells the prompt's"),
    "logprob_token_ids": Refused("ask for top_logprobs"),
    "allowed_token_ids": Refused("use logit_bias"),
    "logits_processors": Refused("nothing of a request is executed; use logit_bias"),
    "echo": Refused("must be false: a reply has only what is new", (False,)),
    "add_special_tokens": Refused("must be false: the chat template writes all special tokens", (False,)),
    "documents": Refused("put them into a message"),
    "chat_template": Refused(_OWN_TEMPLATE),
    "media_io_kwargs": Refused(_NO_MEDIA),
    "mm_processor_kwargs": Refused(_NO_MEDIA),
    "structural_tag": Refused(_WHOLE_REPLY),
    "priority": Refused("must be 0: turns are served in the order in which they came", (0,)),
    "thinking_token_budget": Refused(_NO_BUDGET),
    "include_reasoning": Refused("must be true: what was thought comes apart from what is said", (True,)),
    "return_tokens_as_token_ids": Refused("must be false: ask for include: ['warmturn.token_ids']", (False,)),
    "return_token_ids": Refused("must be false: ask for include: ['warmturn.token_ids']", (False,)),
    "return_token_offsets": Refused("must be false: offsets are not told", (False,)),
    "return_prompt_text": Refused("must be false: ask for include: ['warmturn.token_ids']", (False,)),
    "routed_experts_prompt_start": Refused("must be 0: experts are not told", (0,)),
    "cache_salt": Refused(_KEYS),
    "kv_transfer_params": Refused(_KEYS),
    "ec_transfer_params": Refused(_KEYS),
    "vllm_xargs": Refused("it says what only vLLM knows"),
    "repetition_detection": Refused("use stop, a limit of tokens or the penalties"),
    "enable_response_messages": Refused("must be false: ask for include: ['warmturn.token_ids']", (False,)),
    "previous_input_messages": Refused("give them as input"),
    "previous_response": Refused("give its items as input, or previous_response_id"),
}

_LLAMA_CPP: Final = {
    "n_predict": Refused("its name here is max_tokens, for responses max_output_tokens", (-1,)),
    "n_cmpl": Refused("its name is n, on endpoints that have choices", (1,)),
    "n_indent": Refused("must be 0: lines are not indented", (0,)),
    "n_keep": Refused("must be 0: truncation: 'auto' keeps instructions and the latest turns", (0, -1)),
    "n_discard": Refused("must be 0: truncation: 'auto' drops the oldest turns", (0,)),
    "n_cache_reuse": Refused("must be 0: state is not shifted to other positions", (0,)),
    "cache_prompt": Refused("must be true: use reuse: 'prompt' for a turn without saved state", (True,)),
    "id_slot": Refused("must be -1: there are no slots; state is found by its tokens", (-1,)),
    "t_max_predict_ms": Refused("use a limit of tokens, or close the connection", (0, -1)),
    "t_max_prompt_ms": Refused("use a limit of tokens, or close the connection", (0, -1)),
    "response_fields": Refused("replies have OpenAI's fields"),
    "verbose": Refused(f"must be false: {_IN_REPORT}", (False,)),
    "timings_per_token": Refused(f"must be false: {_IN_REPORT}", (False,)),
    "return_progress": Refused("must be false: progress is not told", (False,)),
    "return_tokens": Refused("must be false: ask for include: ['warmturn.token_ids']", (False,)),
    "n_probs": Refused("must be 0: ask for logprobs and top_logprobs", (0,)),
    "post_sampling_probs": Refused("must be false: log-probabilities are the model's own", (False,)),
    "min_keep": Refused(_ONLY_SAMPLERS, (0,)),
    "samplers": Refused(_ONLY_SAMPLERS),
    "typical_p": Refused(_ONLY_SAMPLERS, (1,)),
    "top_n_sigma": Refused(_ONLY_SAMPLERS, (-1, 0)),
    "xtc_probability": Refused(_ONLY_SAMPLERS, (0,)),
    "dynatemp_range": Refused(_ONLY_SAMPLERS, (0,)),
    "dry_multiplier": Refused(_ONLY_SAMPLERS, (0,)),
    "mirostat": Refused(_ONLY_SAMPLERS, (0,)),
    "adaptive_target": Refused(_ONLY_SAMPLERS, (-1,)),
    "repeat_penalty": Refused("its name here is repetition_penalty", (1,)),
    "grammar_lazy": Refused(_WHOLE_REPLY, (False,)),
    "grammar_triggers": Refused(_WHOLE_REPLY),
    "grammar_type": Refused("its fields say what they are: grammar, json_schema"),
    "preserved_tokens": Refused("special tokens are never shown"),
    "chat_format": Refused(_OWN_TEMPLATE),
    "chat_parser": Refused(_OWN_TEMPLATE),
    "generation_prompt": Refused(_OWN_TEMPLATE),
    "parse_tool_calls": Refused("must be true: calls are always told apart from what is said", (True,)),
    "reasoning_format": Refused("must be auto: thought and answer are always told apart", ("auto", "deepseek")),
    "reasoning_control": Refused("thinking cannot be ended from outside", (False,)),
    "reasoning_budget_tokens": Refused(_NO_BUDGET, (-1,)),
    "reasoning_budget_start_tag": Refused(_NO_BUDGET),
    "reasoning_budget_end_tag": Refused(_NO_BUDGET),
    "reasoning_budget_end_tags": Refused(_NO_BUDGET),
    "reasoning_budget_message": Refused(_NO_BUDGET),
    "image_data": Refused(_NO_MEDIA),
    "lora": Refused(_NO_ADAPTERS),
}

_ADAPTERS: Final = {
    name: Refused(_NO_ADAPTERS) for name in ("lora_request", "lora_path", "adapter", "adapters", "adapter_id")
}

REFUSED: Final = {**_VLLM, **_LLAMA_CPP, **_ADAPTERS}

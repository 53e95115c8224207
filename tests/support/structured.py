"""Replies that a random model gives within schemas, and what is wrong with them."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import jsonschema
from tests.support.schemas import Schema, random_schema

from warmturn_server.engine import Engine
from warmturn_server.engine_api import GenerationRequest, Grammar, SamplingParams
from warmturn_server.errors import InvalidRequest

_AT_ONCE = 8
_CLOSING = ('"', "}", "]", "0", "1", "a")


@dataclass
class Replies:
    """What came of schemas: `wrong` completed replies, by the seed of their schema."""

    completed: int = 0
    cut: int = 0
    refused: dict[int, str] = field(default_factory=dict)
    wrong: dict[int, str] = field(default_factory=dict)


def replies_within(engine: Engine, prompt: tuple[int, ...], seeds: Iterable[int], max_tokens: int) -> Replies:
    """Each with the temperature and penalties that its seed says, some greedy. The model is nudged towards ends."""
    replies = Replies()
    bias = tuple((token_id, 4.0) for text in _CLOSING if (token_id := engine.vocabulary.tokenizer.token_to_id(text)))

    def ask(seed: int) -> None:
        schema = random_schema(seed)
        params = SamplingParams(
            max_tokens=max_tokens,
            temperature=(0.0, 0.7, 1.5)[seed % 3],
            seed=seed,
            frequency_penalty=0.5 if seed % 2 else 0.0,
            logit_bias=bias,
            grammar=Grammar("json_schema", json.dumps(schema)),
        )
        try:
            generated = engine.generate(GenerationRequest(prompt, params))
        except InvalidRequest as error:
            replies.refused[seed] = str(error)
            return
        if generated.finish_reason == "stop":
            replies.completed += 1
            if wrong := what_is_wrong(schema, generated.text):
                replies.wrong[seed] = wrong
        else:
            replies.cut += 1

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(ask, seeds))
    return replies


def what_is_wrong(schema: Schema, text: str) -> str | None:
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    try:
        validator.validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{text!r} is not as {json.dumps(schema)} says: {error}"
    return None

"""The tokenizer: byte-level BPE trained on the generator's own dialogues, and the chat template.

The template puts a space, not a line break, after the role `user`: so a name at the start of a message has the same
tokens as a name inside a sentence, and copying it needs no second spelling. Functions, calls and their results, of
which the training has none, are written as Hermes does.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from warmturn_server.bundled import path

from . import values
from .dialogues import dialogue
from .wordings import SYSTEM_PROMPTS

VOCABULARY = 2048
PAD, START, END = "<|pad|>", "<|im_start|>", "<|im_end|>"
MAX_POSITIONS = 4096
_FUNCTIONS = (
    "{%- if tools -%}{{- '<|im_start|>system Functions:' -}}"
    "{%- for tool in tools -%}{{- '\\n' + (tool | tojson) -}}{%- endfor -%}{{- '<|im_end|>\\n' -}}{%- endif -%}"
)
_RESULT = (
    "{{- '<|im_start|>user <tool_response>\\n' + message['content'] | trim + '\\n</tool_response><|im_end|>\\n' -}}"
)
_CALLS = (
    "{%- for call in message['tool_calls'] or [] -%}"
    "{{- ('\\n' if message['content'] or not loop.first else '') + '<tool_call>\\n'"
    " + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) + '\\n</tool_call>' -}}"
    "{%- endfor -%}"
)
_MESSAGE = (
    "{{- '<|im_start|>' + message['role'] + ('\\n' if message['role'] == 'assistant' else ' ') -}}"
    f"{{{{- message['content'] | trim -}}}}{_CALLS}{{{{- '<|im_end|>\\n' -}}}}"
)
TEMPLATE = (
    f"{_FUNCTIONS}{{%- for message in messages -%}}"
    f"{{%- if message['role'] == 'tool' -%}}{_RESULT}{{%- else -%}}{_MESSAGE}{{%- endif -%}}{{%- endfor -%}}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def user_text(content: str) -> str:
    return f"user {content}"


def assistant_text(content: str) -> str:
    return f"assistant\n{content}"


def _texts(rng: Random, dialogues: int) -> Iterator[str]:
    for _ in range(dialogues):
        for turn, _ in zip(dialogue(rng, "train", 12), range(30), strict=False):
            yield user_text(turn.user)
            yield assistant_text(turn.assistant)
        yield from (f"system {prompt}" for prompt in SYSTEM_PROMPTS)
        yield " ".join(values.invented(rng) for _ in range(60))


def build(seed: int, dialogues: int = 1500) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(Random(seed), dialogues), trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=MAX_POSITIONS,
        chat_template=TEMPLATE,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=path())
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    build(arguments.seed).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

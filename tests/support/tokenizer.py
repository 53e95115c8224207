"""A byte-level BPE tokenizer built here, small and with many overlapping merges.

A random model picks its tokens without regard to the merges, so what it writes rarely tokenises back to the ids that it
chose: the case that breaks servers which re-tokenise generated text.
"""

from collections.abc import Sequence
from typing import Final

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKENIZER_SIZE: Final = 384

_CORPUS: Final = (
    "the cat then there where were here her hers others another the theme these those whose who how now know known",
    "my name is Anna and my cat is called Mio. What is my name? What is the name of my cat? Her name was another one.",
    "<think> I should think about the thing that they think </think> user assistant system You are a good assistant.",
    "1 12 123 1234 2024 2025 2026 10 100 1000; Today is 23 November 2026. It is 21:40:12.",
    "Grüße aus Köln, schöne Straße, größer über für; déjà vu, café, naïve; 日本 日本語 東京 東; 😀 🎉 👩‍👩‍👧 👩‍👩‍👧",
)


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENIZER_SIZE - 2,
        min_frequency=1,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS * 4, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ("<think>", "</think>")])
    assert tokenizer.get_vocab_size() == TOKENIZER_SIZE
    return tokenizer


def as_shown(token_ids: Sequence[int]) -> list[int]:
    """Without the half character that a reply was cut off in, or ended in by itself: nobody saw it, so no prompt goes
    on from it, nor from what ended the reply after it.
    """
    tokenizer, ended = tiny_tokenizer(), token_ids[-1] < len(SPECIAL_TOKENS)
    shown = list(token_ids[:-1] if ended else token_ids)
    while tokenizer.decode(shown, skip_special_tokens=False).endswith("\ufffd"):
        shown.pop()
    return list(token_ids) if ended and len(shown) == len(token_ids) - 1 else shown


def chat_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """The same tokenizer as transformers loads it: with its special tokens named and a chat template."""
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tiny_tokenizer(),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template
    return tokenizer

"""Small tokenizers that treat text differently from the byte-level one of the tiny models."""

import json
from typing import Any

from tests.support.templates import CHATML
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_CORPUS = ["well the cats catalogue of the naïve café end 日本語 don't unbelievably 12345 user assistant system"] * 20
_SPECIAL = [AddedToken(token, special=True, normalized=False) for token in ("<|im_start|>", "<|im_end|>")]


def _chat(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, eos_token="<|im_end|>", clean_up_tokenization_spaces=False
    )
    wrapped.chat_template = CHATML
    return wrapped


def _bytes_and_merges(tokenizer: Tokenizer, **settings: Any) -> None:
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=_SPECIAL, show_progress=False, **settings)
    tokenizer.train_from_iterator(_CORPUS, trainer)


def puts_a_space_first() -> PreTrainedTokenizerFast:
    """As Llama 2's: every text starts with a space, and characters it does not know fall back to bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    alphabet = ["▁", "\n", "\t", *(chr(code) for code in range(33, 127)), *"éïö"]
    _bytes_and_merges(tokenizer, initial_alphabet=alphabet)
    return _chat(_with_byte_tokens(tokenizer))


def marks_spaces() -> PreTrainedTokenizerFast:
    """As T5's: its own decoder turns the marks into spaces, and drops the first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    _bytes_and_merges(tokenizer, initial_alphabet=["▁", *(chr(code) for code in range(33, 127)), *"éïö日本語😀"])
    return _chat(tokenizer)


def _with_byte_tokens(tokenizer: Tokenizer) -> Tokenizer:
    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    vocabulary.update({f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)})
    return Tokenizer.from_str(json.dumps(state))


def lowercases() -> PreTrainedTokenizerFast:
    """What it decodes is not what was encoded."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _bytes_and_merges(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return _chat(tokenizer)


def composes() -> PreTrainedTokenizerFast:
    """As Qwen's: decomposed characters are composed first, so texts may come back different."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _bytes_and_merges(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return _chat(tokenizer)


def has_names_as_pieces() -> PreTrainedTokenizerFast:
    """As sentencepiece's: the names of control tokens are in the vocabulary, likelier than any other piece."""
    alphabet = ["▁", "\n", *(chr(code) for code in range(33, 127)), *"éïö日本語"]
    pieces = [("<unk>", 0.0), *((token.content, 0.0) for token in _SPECIAL), *((piece, -5.0) for piece in alphabet)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Replace("▁", " ")
    tokenizer.add_special_tokens(_SPECIAL)
    return _chat(tokenizer)


def strips_behind() -> PreTrainedTokenizerFast:
    """As Phi-3's: its control tokens take the spaces behind them along."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    _bytes_and_merges(tokenizer, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.add_special_tokens(
        [AddedToken(token.content, special=True, normalized=False, rstrip=True) for token in _SPECIAL]
    )
    return _chat(tokenizer)

"""How a model's tokens are spelled, as the library wants to be told."""

from __future__ import annotations

from collections.abc import Collection

from llguidance import LLTokenizer, TokenizerWrapper
from tokenizers import Tokenizer

from ....engine_api.token_bytes import TokenBytes


def spelled(tokenizer: Tokenizer, vocab_size: int, special: Collection[int], ends: Collection[int]) -> LLTokenizer:
    """Of a large vocabulary it takes a second. `special` tokens are no text; `ends` are some of those."""
    spelling = _Spelling(tokenizer, max(vocab_size, tokenizer.get_vocab_size()), special, ends)
    made = LLTokenizer(TokenizerWrapper(spelling), n_vocab=len(spelling.tokens), eos_token=sorted(ends))
    spelling.longest_first = made.greedy_tokenize
    return made


class _Spelling:
    """Where only one text is possible, the library has its tokens come as the tokenizer cuts it, where it does."""

    def __init__(self, tokenizer: Tokenizer, num_tokens: int, special: Collection[int], ends: Collection[int]) -> None:
        of = TokenBytes(tokenizer, special).of
        self.tokens = [of(token_id) for token_id in range(num_tokens)]
        self.special_token_ids = sorted({*special, *ends})
        self.eos_token_id = min(ends)
        self.bos_token_id = None
        self.longest_first = LLTokenizer("byte").greedy_tokenize
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        """Some change what they are given, or put a space before it; and a special token's name is no text of one."""
        token_ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        is_exact = b"".join(self.tokens[token_id] for token_id in token_ids) == text.encode()
        return (
            token_ids
            if is_exact and not {*token_ids}.intersection(self.special_token_ids)
            else self.longest_first(text)
        )

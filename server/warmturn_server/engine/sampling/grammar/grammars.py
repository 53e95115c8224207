"""The grammars that are in use, compiled once each."""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Final

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ....engine_api.grammar import Grammar
from .mask import GrammarMask
from .source import refused, source_of
from .spelling import spelled

_REMEMBERED: Final = 64
_LIMITS: Final = LLParserLimits(verbose_errors=False)
"""The library's own, some milliseconds a token at most; its errors would repeat all of a grammar."""


class Grammars:
    """`compiled` may be called from any thread. Nobody's grammar makes another tenant's faster."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, end_token_ids: frozenset[int]) -> None:
        """`vocab_size`: of the model's logits, which may be more than the tokenizer has tokens."""
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._ends = {token_id for token_id in end_token_ids if token_id < vocab_size}
        self._special = _special(tokenizer)
        self._vocabulary: LLTokenizer | None = None
        self._compiled: OrderedDict[tuple[str, Grammar], LLMatcher] = OrderedDict()
        self._lock = Lock()
        self._beside = ThreadPoolExecutor(1, "warmturn-grammar")
        self._never = np.zeros(vocab_size, np.bool_)
        self._never[[token for token in self._special.values() if token < vocab_size]] = True
        self._never[[*self._ends]] = False

    def mask(self, grammar: Grammar, tenant: str) -> GrammarMask:
        """For one output. Raises `InvalidRequest`."""
        matcher = self.compiled(grammar, tenant).deep_copy()
        return GrammarMask(matcher, self._never_in(grammar), self._beside, grammar.given_as)

    def compiled(self, grammar: Grammar, tenant: str) -> LLMatcher:
        """Takes up to a second the first time. Raises `InvalidRequest` for what is no grammar."""
        with self._lock:
            if found := self._compiled.get((tenant, grammar)):
                self._compiled.move_to_end((tenant, grammar))
                return found
        made = LLMatcher(self._read_vocabulary(), source_of(grammar, self._special), log_level=0, limits=_LIMITS)
        if made.is_error():
            raise refused(grammar, made.get_error())
        with self._lock:
            self._compiled[tenant, grammar] = made
            if len(self._compiled) > _REMEMBERED:
                self._compiled.popitem(last=False)
        return made

    def shutdown(self) -> None:
        self._beside.shutdown()

    def _never_in(self, grammar: Grammar) -> NDArray[np.bool_]:
        """All special tokens but the marks of a thought, and those that are part of the form."""
        marks = grammar.tokens | (grammar.thought.tokens if grammar.thought else frozenset())
        if not marks:
            return self._never
        never = self._never.copy()
        never[[self._special[mark] for mark in marks]] = False
        return never

    def _read_vocabulary(self) -> LLTokenizer:
        """When it is first needed."""
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = spelled(self._tokenizer, self._vocab_size, self._special.values(), self._ends)
            return self._vocabulary


def _special(tokenizer: Tokenizer) -> dict[str, int]:
    added = tokenizer.get_added_tokens_decoder().items()
    return {token.content: token_id for token_id, token in added if token.special}

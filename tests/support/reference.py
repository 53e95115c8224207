"""The oracle: the model as transformers runs it, with eager attention, no cache and none of our code."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from tests.support.models import END_OF_TEXT, IM_END
from tests.support.tokenizer import SPECIAL_TOKENS, TOKENIZER_SIZE
from transformers import AutoModelForCausalLM

# In float32 two correct ways to compute a logit differ by about 1e-5. Where the best two are closer than this,
# either answer is right; the oracle's conversations keep clear of such places.
NEAR_TIE: Final = 2e-4


class NearTie(Exception):
    """The model can hardly decide between two tokens here."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A whole prompt and the only right greedy reply to it."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.prompt + self.reply


def random_ids(chance: random.Random, count: int) -> tuple[int, ...]:
    """Ordinary tokens, as if a user had typed them."""
    return tuple(chance.randrange(len(SPECIAL_TOKENS), TOKENIZER_SIZE) for _ in range(count))


class Reference:
    """Recomputes everything for every token."""

    def __init__(self, folder: Path) -> None:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        self._model = model.eval()  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[int]) -> torch.Tensor:
        """`[tokens, vocabulary]`: row i is what the model expects after token i."""
        logits = self._model(input_ids=torch.tensor([list(token_ids)]), use_cache=False).logits[0]
        assert isinstance(logits, torch.Tensor)
        return logits

    @torch.inference_mode()
    def attentions(self, token_ids: Sequence[int]) -> torch.Tensor:
        """`[layers, heads, tokens, tokens]`: which share of each row's attention went to which token."""
        output = self._model(input_ids=torch.tensor([list(token_ids)]), use_cache=False, output_attentions=True)
        return torch.cat(output.attentions)

    def greedy(self, prompt: Sequence[int], num_tokens: int) -> tuple[int, ...]:
        """The reply of `num_tokens`, none of them an end token; raises `NearTie` where rounding could change it."""
        token_ids = list(prompt)
        for _ in range(num_tokens):
            best = _without_ends(self.logits(token_ids)[-1]).topk(2)
            if best.values[0] - best.values[1] < NEAR_TIE:
                raise NearTie
            token_ids.append(int(best.indices[0]))
        return tuple(token_ids[len(prompt) :])

    def turn(self, history: Sequence[int], chance: random.Random, user_tokens: int, reply_tokens: int) -> Turn:
        """A turn on top of `history`, with random words of the user."""
        while True:
            prompt = (*history, *random_ids(chance, user_tokens))
            try:
                return Turn(prompt, self.greedy(prompt, reply_tokens))
            except NearTie:
                continue

    def conversation(
        self, num_turns: int, *, seed: int = 0, user_tokens: int = 9, reply_tokens: int = 12, first: Sequence[int] = ()
    ) -> list[Turn]:
        """Turns that each continue the one before, from the tokens `first` on."""
        chance, turns, history = random.Random(seed), list[Turn](), tuple(first)
        for _ in range(num_turns):
            turns.append(self.turn(history, chance, user_tokens, reply_tokens))
            history = turns[-1].token_ids
        return turns


def assert_greedy(
    reference: Reference, prompt: Sequence[int], output: Sequence[int], *, ignore_eos: bool = False
) -> None:
    """Every output token is the model's best after all that came before it, or tied with it within rounding."""
    logits = reference.logits([*prompt, *output])[len(prompt) - 1 : -1]
    logits = _without_ends(logits) if ignore_eos else logits
    behind = logits.max(dim=-1).values - logits[range(len(output)), list(output)]
    assert float(behind.max()) < NEAR_TIE


def _without_ends(logits: torch.Tensor) -> torch.Tensor:
    """Logits `[..., vocabulary]` under which no end token is chosen."""
    return logits.index_fill(-1, torch.tensor((END_OF_TEXT, IM_END)), -torch.inf)

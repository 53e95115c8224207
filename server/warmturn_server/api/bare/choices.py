"""What is told of each prompt: its text if that is asked for, and what the model wrote behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...chat import BarePrompt, TextTokenizer
from ...engine_api import Finish, TokenDelta, TokenLogprobs
from ..json import Json
from .body import CreateBareCompletion


@dataclass
class Choice:
    """Grows with each delta; `told` is where the text so far ends, for the offsets of logprobs."""

    body: CreateBareCompletion
    tokenizer: TextTokenizer
    number: int
    prompt: BarePrompt
    told: int = 0
    output_ids: list[int] = field(default_factory=list)
    of_prompt: tuple[TokenLogprobs, ...] = ()
    finish: Finish | None = None

    def echoed(self, delta: TokenDelta) -> Json:
        """The prompt, once it is computed."""
        self.of_prompt = delta.prompt_logprobs
        text = self.tokenizer.decode_onto((), self.prompt.token_ids)[0] if self.body.echo else ""
        first = [TokenLogprobs(self.prompt.token_ids[0], 0.0)]
        entries = [*first, *self.of_prompt] if self.body.echo and self.body.logprobs is not None else []
        return self._piece(text, entries, begins=True)

    def said(self, delta: TokenDelta) -> Json:
        self.output_ids += delta.token_ids
        self.finish = delta.finish or self.finish
        if self.body.num_new_tokens == 0:
            return self._piece("", [])
        return self._piece(delta.text, delta.logprobs)

    def whole(self, pieces: Sequence[Json]) -> Json:
        """All pieces as one."""
        logprobs = [piece["logprobs"] for piece in pieces if piece["logprobs"]]
        return {
            "index": self.number,
            "text": "".join(piece["text"] for piece in pieces),
            "logprobs": None if self.body.logprobs is None else _joined(logprobs),
            **self.ending(),
        }

    def ending(self) -> Json:
        assert self.finish is not None
        reason = "stop" if self.finish.reason == "stop" and self.body.num_new_tokens else "length"
        report = self.finish.report.as_dict()
        if self.body.wants_token_ids:
            report |= {"prompt_token_ids": [*self.prompt.token_ids], "output_token_ids": self.output_ids}
        told: Json = {"finish_reason": reason, "warmturn": report}
        if self.body.prompt_logprobs is not None:
            told["prompt_logprobs"] = [None, *(self._ranked(entry) for entry in self.of_prompt)]
        return told

    def _piece(self, text: str, entries: Iterable[TokenLogprobs], *, begins: bool = False) -> Json:
        logprobs = None if self.body.logprobs is None else self._logprobs([*entries], begins)
        self.told += len(text)
        return {"index": self.number, "text": text, "logprobs": logprobs, "finish_reason": None}

    def _logprobs(self, entries: Sequence[TokenLogprobs], begins: bool) -> Json:
        """Nobody can say how likely the first of a prompt's tokens was."""
        unknown = begins and bool(entries)
        texts = [self.tokenizer.token_text(entry.token_id) for entry in entries]
        offsets = [self.told + sum(map(len, texts[:at])) for at in range(len(texts))]
        likely: list[float | None] = [max(entry.logprob, -9999.0) for entry in entries]
        top: list[Json | None] = [self._top(entry) for entry in entries]
        if unknown:
            likely[0] = top[0] = None
        return {"tokens": texts, "token_logprobs": likely, "top_logprobs": top, "text_offset": offsets}

    def _top(self, entry: TokenLogprobs) -> Json:
        """With the chosen one, as OpenAI has it; of tokens that look alike the likeliest."""
        best: Json = {}
        for token_id, logprob in [*entry.top, (entry.token_id, entry.logprob)]:
            text = self.tokenizer.token_text(token_id)
            best[text] = max(best.get(text, -9999.0), logprob)
        return best

    def _ranked(self, entry: TokenLogprobs) -> Json:
        """As vLLM has it, by the tokens' ids."""
        entries = {**dict(entry.top), entry.token_id: entry.logprob}
        return {
            str(token_id): {"logprob": max(logprob, -9999.0), "decoded_token": self.tokenizer.token_text(token_id)}
            for token_id, logprob in entries.items()
        }


def _joined(pieces: Sequence[Mapping[str, list[object]]]) -> Json:
    names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    return {name: [entry for piece in pieces for entry in piece[name]] for name in names}

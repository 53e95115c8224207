"""What a reply's `warmturn` object carries beside the report, for those who asked with `include`."""

from __future__ import annotations

from ..chat import RunningTurn, TextTokenizer
from .json import Json
from .wire import SamplingFields


async def extras(body: SamplingFields, turn: RunningTurn, tokenizer: TextTokenizer) -> Json:
    """Read it when the turn is over: a look-back is made after the reply."""
    asked: Json = {}
    if body.wants_token_ids:
        asked["prompt_token_ids"] = list(turn.prompt_token_ids)
        asked["output_token_ids"] = list(turn.output_token_ids)
    if body.wants_lookback:
        asked["lookback"] = await turn.lookback(tokenizer)
    return asked

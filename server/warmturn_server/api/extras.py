"""What a reply's `warmturn` object carries beside the report, for those who asked with `include`."""

from __future__ import annotations

from fastapi import Request

from ..chat import ChatService, RunningTurn, TextTokenizer, Turn
from ..errors import InvalidRequest
from .json import Json
from .wire import LOOKBACK, SamplingFields


async def extras(body: SamplingFields, turn: RunningTurn, tokenizer: TextTokenizer) -> Json:
    """Read it when the turn is over: a look-back is made after the reply."""
    asked: Json = {}
    if body.wants_token_ids:
        asked["prompt_token_ids"] = list(turn.prompt_token_ids)
        asked["output_token_ids"] = list(turn.output_token_ids)
    if body.wants_lookback:
        asked["lookback"] = await turn.lookback(tokenizer)
    return asked


async def later_extras(request: Request, turn: Turn, service: ChatService) -> Json:
    """The same for a reply of long ago, as far as it can be had: `?include=`, or `include[]` as of OpenAI's client."""
    query = request.query_params
    asked = [*query.getlist("include"), *query.getlist("include[]")]
    for name in asked:
        if name.startswith("warmturn.") and name != LOOKBACK:
            raise InvalidRequest(f"{name!r} cannot be included later; there is {LOOKBACK!r}", param="include")
    return {"lookback": await service.look_back(turn)} if LOOKBACK in asked else {}

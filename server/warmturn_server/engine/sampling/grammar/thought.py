"""A form behind a thought: until the mark that ends it, the model writes what it likes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ....engine_api.grammar import Thought

_REPLY: Final = """%llguidance {{}}
start: {thought} @form
thought: {opening} rest
rest{until}: ANYTHING {closing}
ANYTHING: /(.|\\n)*/
"""


def behind_thought(thought: Thought, form: str, special: Mapping[str, int]) -> str:
    """The library's grammar for both, from that of `form`. `special`: ids of special tokens."""
    ids = {mark: special[mark] for mark in thought.tokens}
    opening, closing = (
        f"<[{ids[mark]}]>" if mark in ids else json.dumps(mark) for mark in (thought.opening, thought.closing)
    )
    reply = _REPLY.format(
        thought="rest LINES" if thought.is_open else "(thought LINES)?",
        opening=opening,
        until="" if thought.closing in thought.tokens else "[lazy]",
        closing=closing,
    )
    grammars = [{"name": "reply", "lark_grammar": reply + "LINES: /\\n{0,2}/\n"}, {**_named(form), "name": "form"}]
    return json.dumps({"grammars": grammars})


def _named(form: str) -> Mapping[str, Any]:
    """Grammars are given as text of their own, all else in the library's JSON."""
    if not form.startswith("{"):
        return {"lark_grammar": form}
    (only,) = json.loads(form)["grammars"]
    return dict(only)

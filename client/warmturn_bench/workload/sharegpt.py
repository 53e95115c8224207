"""Conversations with their words, as ShareGPT's exports and their many descendants have them.

`{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}`, or the same with `messages`,
`role` and `content`. What the user said is said again; of the recorded answers only the lengths are used.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from warmturn.errors import SettingsError
from warmturn_bench.workload.trace import TracedConversation, TracedTurn

REPLAYED = "the user's words and the answers' lengths as recorded"
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant"}
_UNKNOWN_ANSWER_WORDS = 40
Said = tuple[str, str]


def is_sharegpt(entry: dict[str, Any]) -> bool:
    return any(isinstance(entry.get(name), list) for name in ("conversations", "messages"))


def sharegpt_conversation(path: Path, line: int, entry: dict[str, Any]) -> TracedConversation:
    """Turns of a user's words and an answer's length; a conversation that an assistant begins loses that beginning."""
    said = list(_said(path, line, entry))
    system = "\n".join(text for role, text in said if role == "system")
    spoken = [one for one in said if one[0] in ("user", "assistant")]
    return TracedConversation(tuple(_turns(spoken)), system)


def _turns(spoken: list[Said]) -> Iterator[TracedTurn]:
    for number, (role, text) in enumerate(spoken):
        if role == "user" and text.strip():
            follows = spoken[number + 1] if number + 1 < len(spoken) else ("", "")
            words = len(follows[1].split()) if follows[0] == "assistant" else _UNKNOWN_ANSWER_WORDS
            yield TracedTurn(text=text, output_words=max(words, 1))


def _said(path: Path, line: int, entry: dict[str, Any]) -> Iterator[Said]:
    messages = entry.get("conversations", entry.get("messages"))
    if not isinstance(messages, list):
        raise SettingsError(f"{path}:{line}: the conversation has neither a list `conversations` nor `messages`")
    for number, message in enumerate(messages, 1):
        role, text = _field(message, "from", "role"), _field(message, "value", "content")
        if role is None or text is None:
            raise SettingsError(f"{path}:{line}: message {number} of the conversation has no `from` and `value`")
        yield _ROLES.get(role, role), text


def _field(message: Any, *names: str) -> str | None:
    found = (message.get(name) for name in names) if isinstance(message, dict) else iter(())
    return next((value for value in found if isinstance(value, str)), None)

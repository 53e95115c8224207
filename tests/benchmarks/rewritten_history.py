"""What a real chat template costs saved state: how much of a reply is lost when the next turn comes.

    python -m tests.benchmarks.rewritten_history FOLDER

of `*.jinja` files, such as `models/templates` of llama.cpp, which the source distribution of `llama-cpp-python` on PyPI
carries. Each is tried with the server's own transcriber and a reply that is given: an answer alone, and one behind a
thought in `<think>` tags. One line a template: the format that was chosen, then for both replies how many of their
tokens have to be computed again. A reply's last token always has to be, and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.server.chat.driver import Chat
from tests.support.tokenizer import chat_tokenizer
from tokenizers import AddedToken

from warmturn_server.chat import TextTokenizer, style_of

ANSWER: Final = "My cat is called Mio."
THOUGHT: Final = "she asks what I know of the cat and when it was told"
QUESTIONS: Final = ("what is my cat called?", "and my dog?")
_MARK: Final = re.compile(r"<\|[\w:]+\|>|<(?:start|end)_of_turn>|</?s>|\[/?INST\]")
_OPENS: Final = "<think>"


def tried(template: Path) -> dict[str, Any]:
    source = template.read_text(encoding="utf-8")
    found: dict[str, Any] = {"template": template.stem}
    try:
        for name, thought in (("answer", ""), ("thought", THOUGHT)):
            found["format"], found[name] = asyncio.run(_lost(source, thought))
    except Exception as error:
        found["refused"] = f"{type(error).__name__}: {error}"[:100]
    return found


async def _lost(source: str, thought: str) -> tuple[str | None, str]:
    tokenizer = chat_tokenizer(source)
    marks = {mark for mark in _MARK.findall(source) if mark not in tokenizer.get_vocab()}
    tokenizer.backend_tokenizer.add_special_tokens(
        [AddedToken(m, special=True, normalized=False) for m in sorted(marks)]
    )
    text = TextTokenizer(tokenizer)
    style = style_of(text)
    reply = text.encode(_reply(tokenizer, thought)).token_ids
    with TemporaryDirectory() as folder:
        chat = Chat(Path(folder), text, style)
        conversation = await chat.new()
        await chat.say(QUESTIONS[0], [*reply], conversation_id=conversation.id)
        await chat.say(QUESTIONS[1], conversation_id=conversation.id)
        first, second = chat.engine.requests[0], chat.engine.requests[-1]
        chat.service.close()
    kept = second.rewrite.at_token if second.rewrite else second.known_tokens
    lost = max(len(first.token_ids) + len(reply) - 1 - kept, 0)
    return style.format.name if style else None, f"{min(lost, len(reply) - 1)} of {len(reply) - 1}"


def _reply(tokenizer: Any, thought: str) -> str:
    """As the model would write it: behind what the prompt begins of it, up to the token that ends a message."""
    asked = [{"role": "user", "content": QUESTIONS[0]}]
    prompt = str(tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))
    said = [*asked, {"role": "assistant", "content": ANSWER}, *asked]
    shown = str(tokenizer.apply_chat_template(said, tokenize=False))
    behind = shown[shown.index(ANSWER) + len(ANSWER) :].lstrip()
    end = _MARK.match(behind)
    is_open = prompt.rstrip().endswith(_OPENS)
    opening = "" if is_open or not thought else f"{_OPENS}\n"
    closing = "\n</think>\n\n" if thought else "</think>\n\n" if is_open else ""
    return f"{opening}{thought}{closing}{ANSWER}{end[0] if end else ''}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for path in sorted(parser.parse_args().folder.glob("*.jinja")):
        print(json.dumps(tried(path)), flush=True)

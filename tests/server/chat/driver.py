"""A chat service on a fake engine, and the shortest ways to use it."""

from pathlib import Path

from tests.server.chat.fake_engine import FakeEngine
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import (
    AheadOf,
    Calling,
    ChatService,
    Conversation,
    Item,
    SqliteStore,
    Style,
    Text,
    TextTokenizer,
    Transcriber,
    Turn,
    TurnRequest,
    UnstoredTurns,
    new_item_id,
)

TOKENIZER = TextTokenizer(chat_tokenizer(CHATML))


class Chat:
    def __init__(
        self,
        folder: Path,
        tokenizer: TextTokenizer = TOKENIZER,
        style: Style | None = None,
        ahead: AheadOf = "typing",
        calling: Calling | None = None,
    ) -> None:
        marks = (style.tokens if style else frozenset[str]()) | (calling.tokens if calling else frozenset[str]())
        self.engine = FakeEngine(tokenizer, marks)
        self.store = SqliteStore(folder / "log.sqlite3")
        self.unstored = UnstoredTurns(ttl_seconds=3600)
        transcriber = Transcriber(tokenizer)
        self.service = ChatService(self.store, self.engine, transcriber, None, style, ahead, self.unstored, calling)
        self.tokenizer = tokenizer

    async def new(self) -> Conversation:
        return await self.service.conversations.create("", [], {})

    async def say(self, text: str, answer: list[int] | None = None, **where: object) -> Turn:
        """`where`: conversation_id, previous_response_id, instructions, stored."""
        return await self.ask((user(text),), answer, **{"stored": True, **where})

    async def resend(self, *messages: tuple[str, str], answer: list[int] | None = None) -> Turn:
        """As a stateless client does: everything that was said, every time."""
        return await self.ask(tuple(message(role, text) for role, text in messages), answer)

    async def ask(self, items: tuple[Item, ...], answer: list[int] | None, **where: object) -> Turn:
        if answer is not None:
            self.engine.answers.append(answer)
        running = await self.service.start(TurnRequest(items, **where))  # type: ignore[arg-type]
        async for _ in running.deltas():
            pass
        running.close()
        return running.result

    @property
    def kept(self) -> int:
        """How many ids of record the last prompt began with."""
        return self.engine.requests[-1].known_tokens

    @property
    def prompt(self) -> str:
        return self.tokenizer._backend.decode(list(self.engine.requests[-1].token_ids), skip_special_tokens=False)


def message(role: str, text: str) -> Item:
    return Item(new_item_id(), role, (Text(text),))  # type: ignore[arg-type]


def user(text: str) -> Item:
    return message("user", text)

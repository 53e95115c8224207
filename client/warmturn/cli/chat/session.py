"""What `warmturn chat` does on the server: the current conversation and how its turns are asked."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice

from warmturn.cli.prefetch import prefetch
from warmturn.client import Client
from warmturn.errors import ApiError, WarmturnError
from warmturn.lookback import Lookback
from warmturn.stream import TurnStream
from warmturn.wire import DRAFT_OF, Conversation, Item, ReuseMode, Turn, TurnOptions

_TITLE_LENGTH = 60
_MAX_METADATA = 512
"""Characters that a server keeps of one value, as OpenAI's does."""
_NAMES = {"max_tokens": "max_output_tokens"}
"""Of options that the API calls otherwise than the command line."""
_GONE = "item_not_found"
_TYPED_SECONDS = 2.0


@dataclass
class ChatSession:
    """The conversation is created when something is typed or said; one never spoken in leaves no trace."""

    client: Client
    conversation: Conversation | None = None
    system: str = ""
    reuse: ReuseMode = "state"
    model: str | None = None
    sampling: TurnOptions = field(default_factory=TurnOptions)
    """What else every turn is asked with."""
    attached: str = ""
    """What the next message begins with: files."""
    turns: list[Turn] = field(default_factory=list)
    listed: list[Conversation] = field(default_factory=list, init=False)
    """Those that were shown last, in that order."""
    keeps_stopped: bool = field(default=False, init=False)
    """Whether the turn that was stopped last is kept as far as it came."""
    unanswered: str = field(default="", init=False)
    """What was said last, if no answer to it was kept."""
    _title: str = field(default="", init=False)
    """Of the conversation that is not there yet."""
    _is_empty: bool = field(default=False, init=False)
    """Whether there is a conversation, and nothing was said in it."""
    _prepares: bool = field(default=True, init=False)
    """Whether the server takes what is typed."""
    _beginning: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    """What is typed is told on another thread."""

    @property
    def title(self) -> str:
        return self._title if self.conversation is None else self.conversation.title

    @property
    def temperature(self) -> float | None:
        return self.sampling.get("temperature")

    @property
    def is_greedy(self) -> bool:
        """Whether the same question would get the same answer, as far as that can be told."""
        last = self.turns[-1].report.sampling if self.turns else None
        said = self.temperature if self.temperature is not None else (last or {}).get("temperature", 0.0)
        return said == 0.0

    @property
    def has_turns(self) -> bool:
        return self.conversation is not None and not self._is_empty

    @contextmanager
    def say(self, text: str, *, temperature: float | None = None) -> Iterator[TurnStream]:
        """The turn as it streams. Leaving the block early stops it; what was said of it is kept, unless in a draft."""
        self.unanswered = text
        conversation = self._begun(text)
        self.keeps_stopped = False
        with ExitStack() as stack:
            again = conversation.is_draft  # with the files that it had
            whole = text if again else self.attached + text
            entering = self.client.stream(whole, **self._options(conversation, temperature))
            stream = stack.enter_context(entering)
            self.keeps_stopped = not conversation.is_draft
            self._is_empty = False
            try:
                yield stream
            except KeyboardInterrupt:  # files of a turn that is kept are in the conversation already
                self.attached = "" if self.keeps_stopped else self.attached
                raise
            self.turns.append(stream.turn)
        self.attached, self.unanswered = (self.attached if again else ""), ""

    def typed(self, text: str) -> None:
        """What the next turn will say, so far; the server prepares it. A hint: where it is not wanted it ends."""
        if not (self.conversation or text) or not self._prepares or self.reuse != "state":
            return
        try:
            whole = self.attached + text if text else ""
            self.client.conversations.warm(
                self._begun().id, input=whole, instructions=self.system or None, timeout=_TYPED_SECONDS
            )
        except ApiError:
            self._prepares = False
        except WarmturnError:
            pass

    def leave(self) -> None:
        """A conversation in which no turn began is not worth keeping; where that cannot be told, it stays."""
        with self._beginning:
            if self.conversation is not None and self._is_empty:
                with suppress(WarmturnError):
                    self.client.conversations.delete(self.conversation.id)
            self._is_empty = False
            self.conversation = None

    def new(self) -> None:
        self.leave()
        self.turns.clear()
        self._title = ""

    def resume(self, conversation: Conversation) -> None:
        self.leave()
        self.conversation = conversation
        self.system = conversation.metadata.get("system", "")
        self.turns.clear()
        prefetch(self.client, [conversation])

    def fork(self, title: str = "") -> Conversation | None:
        """Go on in a copy, under another title if one is given; the original stays as it is."""
        if self.conversation is None or not self.has_turns:
            return None
        self.conversation = self.client.conversations.fork(self.conversation.id)
        if title:
            self.set_title(title)
        return self.conversation

    def set_title(self, title: str) -> None:
        """Of this conversation, or of the one that the next message begins."""
        if self.conversation is None:
            self._title = _cut(title)
        else:
            self._update(title=_cut(title))

    def set_option(self, name: str, value: float | None) -> None:
        """One of a turn's numbers, by its name in the API; None leaves it to the server."""
        key = _NAMES.get(name, name)
        if value is None:
            self.sampling.pop(key, None)  # type: ignore[misc]
        else:
            self.sampling[key] = value  # type: ignore[literal-required]

    def option(self, name: str, otherwise: object) -> object:
        return self.sampling.get(_NAMES.get(name, name), otherwise)

    def last_question(self) -> str | None:
        """What the user said last."""
        items = self.items()
        asked = _last_question(items)
        return None if asked is None else items[asked].text

    def undo(self) -> str | None:
        """Take back the last turn; gives what the user had said, or None where there is no turn."""
        items = self.items()
        asked = _last_question(items)
        if self.conversation is None or asked is None:
            return None
        for item in reversed(items[asked:]):
            self._delete(self.conversation, item)
        return items[asked].text

    def _delete(self, conversation: Conversation, item: Item) -> None:
        """What was said and called in one reply goes together, so that it may be gone."""
        try:
            self.client.conversations.delete_item(conversation.id, item.id)
        except ApiError as error:
            if error.code != _GONE:
                raise

    @contextmanager
    def retrying(self) -> Iterator[str | None]:
        """Gives what the user said last, to be said again within the block; None where there is no turn.

        The block works on a draft, a copy that ends before that turn. Only if the block ends well the chat goes on in
        it: whatever else happens, to this program or to the server, nothing was taken back. The original stays either
        way, for deleting it would have the server forget state of the question that both share.
        """
        original, items = self.conversation, self.items()
        asked = _last_question(items)
        if original is None or asked is None:
            yield None
            return
        self.conversation = draft = self._draft(original, items[:asked])
        try:
            yield items[asked].text
        except BaseException:
            self.conversation = original
            with suppress(WarmturnError):
                self.client.conversations.delete(draft.id)
            raise
        with suppress(WarmturnError):
            self._take_over(original, draft)

    def set_system(self, system: str) -> None:
        """From the next turn on. Kept with the conversation if short enough, so that resuming it brings it back."""
        self.system = system
        if self.conversation is not None:
            self._update(system=self._kept_system())

    def look_back(self) -> Lookback | None:
        """What the conversation's last reply looked at; None where there is none, or the server cannot tell."""
        if self.conversation is None:
            return None
        last = next(self.client.conversations.turns(self.conversation.id, newest_first=True), None)
        return self.client.look_back(last.id) if last else None

    def items(self) -> list[Item]:
        return [] if self.conversation is None else list(self.client.conversations.items(self.conversation.id))

    def recent(self, limit: int = 10) -> list[Conversation]:
        """The newest ones; whoever looks at them is likely to go on with one."""
        self.listed = list(islice(self.client.conversations.list(), limit))
        prefetch(self.client, self.listed)
        return self.listed

    def _begun(self, first_words: str = "") -> Conversation:
        """The conversation; where there is none, from now on. Its first words name it."""
        with self._beginning:
            if self.conversation is None:
                self.conversation = self.client.conversations.create(metadata=self._metadata(first_words))
                self._is_empty = True
            elif self._is_empty and first_words and not self.conversation.title:
                self._update(**self._metadata(first_words))
            return self.conversation

    def _metadata(self, first_words: str) -> dict[str, str]:
        return {"title": self._title or _cut(first_words), "system": self._kept_system()}

    def _update(self, **metadata: str) -> None:
        assert self.conversation is not None
        together = {**self.conversation.metadata, **metadata}
        self.conversation = self.client.conversations.update(self.conversation.id, metadata=together)

    def _kept_system(self) -> str:
        return self.system if len(self.system) <= _MAX_METADATA else ""

    def _options(self, conversation: Conversation, temperature: float | None) -> TurnOptions:
        options: TurnOptions = {
            **self.sampling,
            "conversation": conversation.id,
            "on_disconnect": "discard" if conversation.is_draft else "keep",
            "reuse": self.reuse,
        }
        if temperature is not None:
            options["temperature"] = temperature
        if self.system:
            options["instructions"] = self.system
        if self.model is not None:
            options["model"] = self.model
        return options

    def _draft(self, original: Conversation, items: Sequence[Item]) -> Conversation:
        """Of the first items; state and log are shared with the original."""
        metadata = {**_titled("unfinished", original), DRAFT_OF: original.id}
        if not items:
            return self.client.conversations.create(metadata=metadata)
        return self.client.conversations.fork(original.id, item_id=items[-1].id, metadata=metadata)

    def _take_over(self, original: Conversation, draft: Conversation) -> None:
        """Title and all, so that it is found where the original was; in this order, so that it is the last used."""
        earlier = {**original.metadata, **_titled("earlier", original)}
        self.client.conversations.update(original.id, metadata=earlier)
        self.conversation = self.client.conversations.update(draft.id, metadata=original.metadata)


def _cut(words: str) -> str:
    """Behind a word, where there is one that ends soon enough."""
    line = " ".join(words.split())
    if len(line) <= _TITLE_LENGTH:
        return line
    beginning = line[:_TITLE_LENGTH]
    return f"{beginning.rpartition(' ')[0] or beginning[:-1]}…"


def _titled(what: str, original: Conversation) -> dict[str, str]:
    return {"title": f"{what}: {original.title}"[:_MAX_METADATA]}


def _last_question(items: Sequence[Item]) -> int | None:
    return max((number for number, item in enumerate(items) if item.role == "user"), default=None)

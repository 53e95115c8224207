"""What every conversation store must do. A new one joins by an entry in STORES."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.server.chat.making import VOCABULARY, append, conversation, findable, record, turn

from warmturn_server.chat import (
    Append,
    ConversationId,
    ConversationStore,
    ItemId,
    Page,
    SqliteStore,
    Turn,
    TurnId,
    VersionConflict,
    open_shared_storage,
)
from warmturn_server.chat.storage.store import ConversationExists
from warmturn_server.chat.transcript.prefix_digests import CHUNK_CHARS, prefix_digests
from warmturn_server.chat.transcript.records import assemble
from warmturn_server.errors import InvalidRequest

OpenStore = Callable[[], ConversationStore]
STORES: dict[str, Callable[[pytest.FixtureRequest], ConversationStore]] = {
    "sqlite": lambda having: SqliteStore(having.getfixturevalue("tmp_path") / "log.sqlite3"),
    "redis": lambda having: open_shared_storage(having.getfixturevalue("log_redis").url, b"secret").store,
    "redis cluster": lambda having: open_shared_storage(having.getfixturevalue("log_cluster").url, b"secret").store,
}

C = ConversationId("conv_1")


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest) -> Iterator[OpenStore]:
    """Opens the same store again and again, as after restarts."""
    opened: list[ConversationStore] = []

    def open_it() -> ConversationStore:
        for store in opened:
            store.close()
        opened[:] = [STORES[request.param](request)]
        return opened[0]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> ConversationStore:
    return open_store()


def text_of(store: ConversationStore, name: str, tenant: str = "") -> str:
    return assemble(store.record_parts(tenant, TurnId(name))).text


def test_what_was_appended_is_there_after_a_reopening(open_store: OpenStore) -> None:
    store = open_store()
    made = turn("resp_1", conversation=C)
    store.create(conversation(C, metadata={"title": "cats"}))
    store.append(append(made, record("resp_1", "hello")))
    store = open_store()
    kept = store.conversation("", C)
    assert kept and (kept.head, kept.version, kept.metadata) == ("resp_1", 1, {"title": "cats"})
    assert store.turn("", made.id) == made
    assert store.record_parts("", made.id) == [record("resp_1", "hello")]


def test_turns_and_records_lead_from_the_root_to_the_one_asked_for(store: ConversationStore) -> None:
    store.append(append(turn("a"), record("a", "abc")))
    store.append(append(turn("b", "a"), record("b", "de", base="a", kept=3)))
    store.append(append(turn("c", "b"), record("c", "x", base="b", kept=4)))
    store.append(append(turn("other", "a"), record("other", "z", base="a", kept=1)))
    assert [found.id for found in store.turns("", TurnId("c"))] == ["a", "b", "c"]
    assert text_of(store, "c") == "abcdx"
    assert text_of(store, "other") == "az"


def test_what_is_not_there_is_empty(store: ConversationStore) -> None:
    assert store.conversation("", C) is None
    assert store.turn("", TurnId("nothing")) is None
    assert store.turns("", TurnId("nothing")) == []
    assert store.record_parts("", TurnId("nothing")) == []
    assert store.open_conversation("", C) is None
    assert store.set_metadata("", C, {}) is None
    assert store.delete_conversation("", C) == []
    assert store.withdraw("", TurnId("nothing")) == []


def test_opened_with_its_turns_and_the_last_record_that_one_of_them_has(store: ConversationStore) -> None:
    store.create(conversation(C))
    empty = store.open_conversation("", C)
    assert empty and (empty.turns, empty.parts) == ([], [])
    first, second, last = turn("a", conversation=C), turn("b", "a", conversation=C), turn("c", "b", conversation=C)
    parts = [record("a", "abc"), record("b", "de", base="a", kept=3)]
    store.append(append(first, parts[0]))
    store.append(append(second, parts[1], version=1))
    store.append(append(last, version=2))
    opened = store.open_conversation("", C)
    assert opened and opened.conversation == store.conversation("", C)
    assert (opened.turns, opened.parts) == ([first, second, last], parts)
    assert store.record_lines("", [last.id, second.id, first.id]) == [[], parts, parts[:1]]


def test_opened_with_the_newest_that_go_on_elsewhere_from_the_same_record(store: ConversationStore) -> None:
    store.create(conversation(C), append(turn("a", conversation=C), record("a", "abc")))
    others = [record(f"b{number}", "de", base="a", kept=3) for number in range(6)]
    for part in others:
        store.append(append(turn(part.turn_id, "a"), part))
    store.append(append(turn("c", "b5"), record("c", "f", base="b5", kept=5)))
    opened = store.open_conversation("", C)
    assert opened and [part.turn_id for part in opened.parts] == ["a"]
    assert opened.beside == others[:1:-1]


def test_what_is_opened_while_it_is_deleted_is_there_whole_or_not_at_all(store: ConversationStore) -> None:
    def come_and_go() -> None:
        for _ in range(100):
            store.create(conversation(C), append(turn("a", conversation=C), record("a", "abc")))
            store.delete_conversation("", C)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(come_and_go)
        while not writing.done():
            opened = store.open_conversation("", C)
            assert opened is None or (len(opened.turns), len(opened.parts)) == (1, 1)
        writing.result()


def test_appending_twice_is_appending_once(store: ConversationStore) -> None:
    store.create(conversation(C))
    for _ in range(2):
        store.append(append(turn("a", conversation=C), record("a", "abc")))
    kept = store.conversation("", C)
    assert kept and kept.version == 1


def test_a_turn_made_from_an_old_version_is_refused_as_a_whole(store: ConversationStore) -> None:
    store.create(conversation(C))
    store.append(append(turn("a", conversation=C), record("a", "abc")))
    with pytest.raises(VersionConflict):
        store.append(append(turn("b", conversation=C), record("b", "xyz"), version=0))
    assert store.turn("", TurnId("b")) is None
    assert store.record_parts("", TurnId("b")) == []
    kept = store.conversation("", C)
    assert kept and (kept.head, kept.version) == ("a", 1)


def test_of_many_who_append_at_once_one_wins_each_version(store: ConversationStore) -> None:
    store.create(conversation(C))

    def contend(name: int) -> None:
        for version in range(20):
            with suppress(VersionConflict):
                store.append(append(turn(f"{name}-{version}", conversation=C), version=version))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(contend, range(4)))
    kept = store.conversation("", C)
    written = [store.turn("", TurnId(f"{name}-{version}")) for name in range(4) for version in range(20)]
    assert kept and kept.version == sum(found is not None for found in written)


def test_a_turn_on_a_deleted_one_is_refused(store: ConversationStore) -> None:
    with pytest.raises(VersionConflict):
        store.append(append(turn("b", "gone")))
    with pytest.raises(VersionConflict):
        store.create(replace(conversation(C), head=TurnId("gone")))
    assert store.conversation("", C) is None


def test_a_record_whose_base_is_gone_is_not_kept(store: ConversationStore) -> None:
    store.append(append(turn("a"), record("a", "x", base="gone", kept=1)))
    assert store.turn("", TurnId("a")) is not None
    assert store.record_parts("", TurnId("a")) == []


def test_conversations_come_in_pages(store: ConversationStore) -> None:
    for number in range(5):
        store.create(conversation(f"conv_{number}"))
    newest = store.conversations("", Page(limit=2))
    assert [found.id for found in newest] == ["conv_4", "conv_3"]
    assert [found.id for found in store.conversations("", Page(2, after="conv_3"))] == ["conv_2", "conv_1"]
    assert [found.id for found in store.conversations("", Page(2, after="conv_3", order="asc"))] == ["conv_4"]
    for order in ("asc", "desc"):
        with pytest.raises(InvalidRequest, match="no conversation 'gone' here") as refused:
            store.conversations("", Page(after="gone", order=order))
        assert (refused.value.code, refused.value.param) == ("invalid_value", "after")


def test_metadata_changes_without_a_new_version(store: ConversationStore) -> None:
    store.create(conversation(C, metadata={"a": "b"}))
    changed = store.set_metadata("", C, {"c": "d"})
    assert changed and (changed.metadata, changed.version) == ({"c": "d"}, 0)


def test_hidden_items_add_up_and_change_the_version(store: ConversationStore) -> None:
    store.create(conversation(C))
    store.hide_item("", C, ItemId("msg_1"), 0)
    store.hide_item("", C, ItemId("msg_2"), 1)
    with pytest.raises(VersionConflict):
        store.hide_item("", C, ItemId("msg_3"), 1)
    kept = store.conversation("", C)
    assert kept and kept.hidden == frozenset({ItemId("msg_1"), ItemId("msg_2")}) and kept.version == 2


class TestDeleting:
    def test_a_conversation_goes_with_its_turns_and_tells_their_ids(self, store: ConversationStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C), record("a", "abc")))
        store.append(append(turn("b", "a", conversation=C), record("b", "de", base="a", kept=3), version=1))
        forgotten = store.delete_conversation("", C)
        assert store.conversation("", C) is None
        assert [store.turn("", TurnId(name)) for name in "ab"] == [None, None]
        assert store.record_parts("", TurnId("b")) == []
        assert "abcde" in {entry.record.text for entry in forgotten}
        assert {entry.shared_tokens for entry in forgotten} == {0}

    def test_turns_that_were_undone_go_too(self, store: ConversationStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C)))
        store.append(append(turn("undone", "a", conversation=C), record("undone", "x"), version=1))
        store.append(append(turn("b", "a", conversation=C), version=2))
        store.delete_conversation("", C)
        assert store.turn("", TurnId("undone")) is None
        assert store.record_parts("", TurnId("undone")) == []

    def test_what_a_fork_shares_stays_until_the_fork_goes(self, store: ConversationStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C), record("a", "abc")))
        store.append(append(turn("b", "a", conversation=C), record("b", "de", base="a", kept=3), version=1))
        store.create(replace(conversation("fork"), head=TurnId("a")))
        (forgotten,) = store.delete_conversation("", C)
        assert (forgotten.record.text, forgotten.shared_tokens) == ("abcde", 3)
        assert text_of(store, "a") == "abc"
        shared = store.turn("", TurnId("a"))
        assert shared and not shared.stored
        store.delete_conversation("", ConversationId("fork"))
        assert store.turn("", TurnId("a")) is None

    def test_what_a_stored_response_goes_back_to_stays(self, store: ConversationStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C), record("a", "abc")))
        store.append(append(turn("b", "a"), record("b", "x", base="a", kept=3)))
        assert store.delete_conversation("", C) == []
        assert [found.id for found in store.turns("", TurnId("b"))] == ["a", "b"]
        assert {entry.record.text for entry in store.withdraw("", TurnId("b"))} == {"abcx", "abc"}
        assert store.turn("", TurnId("a")) is None

    def test_a_response_in_a_conversation_stays_part_of_it(self, store: ConversationStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C)))
        assert store.withdraw("", TurnId("a")) == []
        kept = store.turn("", TurnId("a"))
        assert kept and not kept.stored


class TestDeletingItems:
    """`said` is the input's text, then the output's."""

    @staticmethod
    def talk(store: ConversationStore, *names: str) -> list[Turn]:
        """A conversation of so many turns, each with a record that goes on from the one before."""
        store.create(conversation(C))
        turns: list[Turn] = []
        for version, name in enumerate(names):
            before = turns[-1].id if turns else None
            turns.append(turn(name, before, conversation=C, said=(f"ask {name}", f"say {name}")))
            store.append(append(turns[-1], record(name, "abc", base=before, kept=3 * version), version=version))
        return turns

    @staticmethod
    def said(store: ConversationStore, name: str) -> list[str]:
        found = store.turn("", TurnId(name))
        assert found
        return [item.text for item in found.items]

    def test_an_item_leaves_its_turn_with_all_records_that_saw_it(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a", "b", "c")
        forgotten = store.hide_item("", C, turns[1].input[0].id, 3)
        assert [self.said(store, name) for name in "abc"] == [["ask a", "say a"], ["say b"], ["ask c", "say c"]]
        assert [text_of(store, name) for name in "abc"] == ["abc", "", ""]
        assert {(entry.record.text, entry.shared_tokens) for entry in forgotten} == {("abcabc", 3), ("abcabcabc", 3)}
        kept = store.turn("", TurnId("b"))
        assert kept and kept.stored and kept.conversation_id == C
        opened = store.open_conversation("", C)
        assert opened and [part.turn_id for part in opened.parts] == ["a"]

    def test_a_response_of_which_nothing_is_left_cannot_be_asked_for(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a", "b")
        store.hide_item("", C, turns[1].output[0].id, 2)
        found = store.turn("", TurnId("b"))
        assert found and not found.stored and self.said(store, "b") == ["ask b"]

    def test_a_turn_that_was_undone_is_emptied(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a", "b")
        for version, item in enumerate(turns[1].items, 2):
            store.hide_item("", C, item.id, version)
        store.append(append(turn("other", "a", conversation=C), record("other", "xyz"), version=4))
        assert self.said(store, "b") == [] and text_of(store, "b") == ""
        store.hide_item("", C, turns[0].input[0].id, 5)
        assert self.said(store, "a") == ["say a"] and text_of(store, "other") == ""

    def test_what_a_fork_shows_goes_when_the_fork_does(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a", "b")
        store.create(replace(conversation("fork"), head=TurnId("b")))
        assert store.hide_item("", C, turns[0].input[0].id, 2) == []
        assert self.said(store, "a") == ["ask a", "say a"] and text_of(store, "b") == "abcabc"
        forgotten = store.delete_conversation("", ConversationId("fork"))
        assert self.said(store, "a") == ["say a"]
        assert {entry.record.text for entry in forgotten} == {"abc", "abcabc"}

    def test_what_a_response_goes_back_to_goes_when_the_response_does(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a")
        store.append(append(turn("free", "a")))
        store.hide_item("", C, turns[0].input[0].id, 1)
        assert self.said(store, "a") == ["ask a", "say a"]
        store.withdraw("", TurnId("free"))
        assert self.said(store, "a") == ["say a"]

    def test_what_a_miss_quotes_of_it_goes_too(self, store: ConversationStore) -> None:
        turns = self.talk(store, "a")
        late = turn("b", "a", conversation=C)
        assert late.reply
        quoting = {**late.reply.report, "miss": {"at_token": 3, "rewrite": {"got": {"before": "ask a"}}}}
        store.append(append(replace(late, reply=replace(late.reply, report=quoting)), version=1))
        store.hide_item("", C, turns[0].input[0].id, 2)
        found = store.turn("", TurnId("b"))
        assert found and found.reply and found.reply.report["miss"] == {"at_token": 3, "rewrite": None}


class TestFindingByText:
    def test_the_deepest_known_beginning_counts(self, store: ConversationStore) -> None:
        text = "".join(f"word {number} " for number in range(60))
        short, long = text[: 2 * CHUNK_CHARS], text[: 4 * CHUNK_CHARS]
        store.append(findable(record("short", short)))
        store.append(findable(record("long", long)))
        assert self.find(store, text) == ["long"]
        assert self.find(store, text[: 3 * CHUNK_CHARS]) == ["long"]
        assert self.find(store, text[: 2 * CHUNK_CHARS + 5]) == ["long", "short"]

    def test_a_child_owns_only_what_it_adds(self, store: ConversationStore) -> None:
        text = "x" * CHUNK_CHARS
        store.append(findable(record("a", text)))
        store.append(findable(record("b", "y" * CHUNK_CHARS, base="a", kept=CHUNK_CHARS), text + "y" * CHUNK_CHARS))
        assert self.find(store, text) == ["a"]
        assert self.find(store, text + "y" * 100) == ["b"]
        assert [part.turn_id for part in store.records_based_on("", TurnId("a"), 9)] == ["b"]

    def test_newest_first_and_no_more_than_asked_for(self, store: ConversationStore) -> None:
        for name in ("a", "b", "c"):
            store.append(findable(record(name, "z" * CHUNK_CHARS)))
        chain = prefix_digests("z" * CHUNK_CHARS, "", VOCABULARY)
        assert store.records_beginning("", chain, 2) == ["c", "b"]

    def test_a_very_long_text_is_searched_to_its_beginning(self, store: ConversationStore) -> None:
        store.append(findable(record("a", "q" * CHUNK_CHARS)))
        assert self.find(store, "q" * CHUNK_CHARS + "r" * 2_000 * CHUNK_CHARS) == ["a"]

    @staticmethod
    def find(store: ConversationStore, text: str) -> list[TurnId]:
        return store.records_beginning("", prefix_digests(text, "", VOCABULARY), 10)


def test_tenants_do_not_see_each_other(store: ConversationStore) -> None:
    store.create(conversation(C, tenant="one"))
    store.append(append(turn("a", conversation=C, tenant="one"), record("a", "w" * CHUNK_CHARS, tenant="one")))
    store.append(findable(record("s", "w" * CHUNK_CHARS, tenant="one")))
    assert store.conversation("two", C) is None
    assert store.conversations("two", Page()) == []
    with pytest.raises(InvalidRequest):
        store.conversations("two", Page(after=C))
    assert store.turn("two", TurnId("a")) is None
    assert store.turns("two", TurnId("a")) == []
    assert store.record_parts("two", TurnId("a")) == []
    assert store.records_based_on("two", TurnId("a"), 9) == []
    for chained_for in ("one", "two"):
        assert store.records_beginning("two", prefix_digests("w" * CHUNK_CHARS, chained_for, VOCABULARY), 9) == []
    assert store.delete_conversation("two", C) == []
    store.withdraw("two", TurnId("a"))
    kept = store.turn("one", TurnId("a"))
    assert kept and kept.stored


def taken_in(store: ConversationStore, name: str, *ids: str) -> None:
    made = replace(conversation(name, metadata={"title": "from elsewhere"}), head=TurnId(ids[-1]))
    parents = [None, *ids]
    turns = [turn(one, parent, conversation=name) for one, parent in zip(ids, parents, strict=False)]
    parts = [record(one, one, base=parent, kept=1 if parent else 0) for one, parent in zip(ids, parents, strict=False)]
    store.take_in(made, [Append(turn, part) for turn, part in zip(turns, parts, strict=True)])


def test_a_whole_conversation_is_taken_in_at_once_and_goes_on(open_store: OpenStore) -> None:
    taken_in(open_store(), C, "a", "b", "c")
    store = open_store()
    opened = store.open_conversation("", C)
    assert opened and (opened.conversation.head, opened.conversation.version) == ("c", 0)
    assert [found.id for found in opened.turns] == ["a", "b", "c"]
    assert [part.turn_id for part in opened.parts] == ["a", "b", "c"]
    store.append(append(turn("d", "c", conversation=C)))
    went_on = store.conversation("", C)
    assert went_on and (went_on.head, went_on.version) == ("d", 1)
    assert [found.id for found in store.conversations("", Page())] == [C]


def test_what_was_taken_in_is_deleted_whole(store: ConversationStore) -> None:
    taken_in(store, C, "a", "b")
    for name in ("a", "b"):
        store.withdraw("", TurnId(name))
    assert {len(entry.record) for entry in store.delete_conversation("", C)} == {1, 2}
    assert (store.turns("", TurnId("b")), store.record_parts("", TurnId("b"))) == ([], [])


def test_none_that_is_there_is_taken_in_over(store: ConversationStore) -> None:
    taken_in(store, C, "a")
    with pytest.raises(ConversationExists):
        taken_in(store, C, "x", "y")
    opened = store.open_conversation("", C)
    assert opened and [found.id for found in opened.turns] == ["a"]
    assert [store.turn("", TurnId(name)) for name in ("x", "y")] == [None, None]
    store.take_in(replace(conversation(C, tenant="bob"), head=TurnId("z")), [Append(turn("z", tenant="bob"))])
    assert store.conversation("bob", C)

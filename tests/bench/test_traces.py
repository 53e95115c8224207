"""Published conversation traces: both formats, told apart, and mistakes named by line."""

import json
from pathlib import Path
from typing import Any

import pytest

from warmturn.errors import SettingsError
from warmturn_bench.workload.replay import TraceScripts, read_trace
from warmturn_bench.workload.script import Sizes
from warmturn_bench.workload.trace import BlockPart, TracedConversation, TracedTurn

SIZES = Sizes(tokens_per_word=1.5, frame_tokens=8, context_tokens=4096)


def lines(path: Path, *entries: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def request(input_length: int, output_length: int, *hash_ids: int) -> dict[str, Any]:
    return {"timestamp": 0, "input_length": input_length, "output_length": output_length, "hash_ids": list(hash_ids)}


def lengths(conversation: TracedConversation) -> list[tuple[int, int]]:
    return [(turn.user_tokens, turn.output_tokens) for turn in conversation.turns]


MOONCAKE = (
    request(1100, 50, 0, 1, 2),
    request(700, 20, 0, 7),
    request(1300, 60, 0, 1, 9),
    request(2000, 30, 0, 1, 10, 11),
)
SHAREGPT = {
    "id": "a",
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Hello there"},
        {"from": "gpt", "value": "Hello to you too"},
        {"from": "human", "value": "Bye"},
    ],
}


def test_requests_that_begin_alike_are_turns_of_one_conversation(tmp_path: Path) -> None:
    first, second = read_trace(lines(tmp_path / "t.jsonl", *MOONCAKE)).conversations
    assert lengths(first) == [(1100, 50), (1300 - 1100 - 50, 60), (2000 - 1300 - 60, 30)]
    assert lengths(second) == [(700, 20)]
    assert second.turns[0].parts == (BlockPart("0", 0, 512), BlockPart("7", 0, 188))
    assert first.turns[1].parts == (BlockPart("9", 1150 - 1024, 1300 - 1024),)


def test_a_request_too_short_for_the_answer_before_it_begins_a_conversation(tmp_path: Path) -> None:
    trace = read_trace(lines(tmp_path / "t.jsonl", request(1100, 500, 0, 1, 2), request(1200, 10, 0, 1, 3)))
    assert [len(one.turns) for one in trace.conversations] == [1, 1]


def test_one_conversation_goes_on_only_once(tmp_path: Path) -> None:
    """Two requests go on from the same first one: the second is another branch, so a conversation of its own."""
    branches = (request(2200, 10, 0, 1, 9, 10, 11), request(3000, 10, 0, 1, 40, 41, 42, 43))
    first, second = read_trace(lines(tmp_path / "t.jsonl", MOONCAKE[0], *branches)).conversations
    assert (lengths(first), lengths(second)) == ([(1100, 50), (1050, 10)], [(3000, 10)])


def test_what_the_user_said_is_said_and_answers_are_lengths(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([SHAREGPT], indent=1))
    (made,) = read_trace(path).conversations
    assert made.system == "Be brief."
    assert [(turn.text, turn.output_words) for turn in made.turns] == [("Hello there", 4), ("Bye", 40)]
    script = TraceScripts(path, None, 1, SIZES).script(0)
    assert [turn.text for turn in script.turns] == ["Hello there", "Bye"]
    assert script.turns[0].max_output_tokens == 6


def test_messages_by_line_are_read_too(tmp_path: Path) -> None:
    entry = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]}
    (made,) = read_trace(lines(tmp_path / "t.jsonl", entry)).conversations
    assert made.turns == (TracedTurn(text="Hi", output_words=1),)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"input_length": 1, "output_length": 1, "hash_ids": []}\n\n{"input_length": 1}\n', 3, "output_length"),
        ('{"input_length": "many", "output_length": 1}\n', 1, "'many'"),
        ('{"input_length": 1, "output_length": 1, "hash_ids": 3}\n', 1, "hash_ids"),
        ('[\n{"conversations": []},\n{"conversations": [{"from": "human"}]}\n]', 3, "message 1"),
        ('[\n{"conversations": []},\n{"conversations": 5}\n]', 3, "conversations"),
        ('[\n{\n"conversations": []\n},\n{"conversations": 5}]', 5, "conversations"),
        ('{"input_length": 1, "output_length": 1}\n{"input_len', 2, "not JSON"),
        ("\n\nhello\n", 3, "not JSON"),
        ('{"a": 1}\n', 1, "not a conversation trace"),
        ("[1]", 1, "expected an object"),
        ("[" * 100_000, 1, "is empty"),
        ('{"a":' * 100_000, 1, "nested too deeply"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said) as raised:
        read_trace(path)
    assert f"{path}:{line}:" in str(raised.value) or said == "is empty"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00x"])
def test_no_file_an_empty_one_and_no_text_are_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "t.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=str(path)):
        read_trace(path)


def test_what_does_not_fit_is_left_out_and_counted(tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", request(9000, 10), request(100, 10), request(3000, 10))
    scripts = TraceScripts(path, None, 1, SIZES)
    assert (scripts.count, scripts.left_out) == (2, 1)
    with pytest.raises(SettingsError, match="fits into a context of 64"):
        TraceScripts(path, None, 1, Sizes(1.5, 8, 64))


def test_equal_hashes_are_equal_words_so_what_begins_alike_begins_alike(tmp_path: Path) -> None:
    branches = (request(1536, 10, 0, 1, 2), request(1200, 10, 0, 1, 3), request(1100, 10, 5, 6, 2), request(800, 9))
    scripts = TraceScripts(lines(tmp_path / "t.jsonl", *branches), None, 1, SIZES)
    texts = [scripts.script(number).turns[0].text.split() for number in range(4)]
    shared = SIZES.words(512) * 2
    assert [len(text) for text in texts] == [pytest.approx(n / 1.5, abs=2) for n in (1536, 1200, 1100, 800)]
    assert texts[0][:shared] == texts[1][:shared]
    assert texts[0][shared:][:20] != texts[1][shared:][:20]
    assert texts[0][shared:][: len(texts[2]) - shared] == texts[2][shared:], "the same block behind other ones"
    assert texts[2][:20] != texts[0][:20] != texts[3][:20]
    other = TraceScripts(lines(tmp_path / "t.jsonl", *branches), None, 2, SIZES)
    assert other.script(0).turns[0].text.split()[:20] != texts[0][:20]


def test_a_turn_that_begins_within_a_block_says_the_rest_of_it(tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", request(600, 40, 0, 1), request(1000, 10, 0, 2), request(1024, 10, 8, 2))
    scripts = TraceScripts(path, None, 1, SIZES)
    later, whole = scripts.script(0).turns[1].text.split(), scripts.script(1).turns[0].text.split()
    start = SIZES.words(512) + SIZES.words(640 - 512)
    assert later == whole[start:][: len(later)]


@pytest.mark.parametrize(
    ("entry", "said"), [(MOONCAKE[0], "arrival times not replayed"), (SHAREGPT, "the user's words")]
)
def test_what_is_replayed_is_said(tmp_path: Path, entry: dict[str, Any], said: str) -> None:
    assert said in TraceScripts(lines(tmp_path / "t.jsonl", entry), None, 1, SIZES).about


def test_no_more_turns_are_played_than_asked_for(tmp_path: Path) -> None:
    path = lines(tmp_path / "t.jsonl", *MOONCAKE)
    assert [len(TraceScripts(path, turns, 1, SIZES).script(0).turns) for turns in (1, 2, 9)] == [1, 2, 3]


def test_a_conversation_played_again_begins_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps([SHAREGPT]))
    scripts = TraceScripts(path, None, 1, SIZES)
    texts = {scripts.script(number).turns[0].text for number in (-1, 0, 1, 2)}
    assert len(texts) == 4
    assert scripts.script(1).turns[1].text == "Bye"

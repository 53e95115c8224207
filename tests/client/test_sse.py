"""The SSE parser gives the same events however the network cuts the bytes."""

from hypothesis import given
from hypothesis import strategies as st

from warmturn.sse import ServerSentEvent, parse_sse

LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
NAME = st.sampled_from(["message", "response.created"])
EVENT = st.builds(
    ServerSentEvent, st.sampled_from(["message", "response.created"]), st.lists(LINE, min_size=1).map("\n".join)
)


def encode(events: list[ServerSentEvent], line_end: str) -> bytes:
    lines: list[str] = []
    for event in events:
        lines += [": ping", f"event: {event.event}", *(f"data: {line}" for line in event.data.split("\n")), ""]
    return "".join(line + line_end for line in lines).encode()


def cut(payload: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(payload[:size])
        payload = payload[size:]
    return [*chunks, payload]


@given(st.lists(EVENT, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 7), max_size=40))
def test_events_survive_any_chunking(events: list[ServerSentEvent], line_end: str, sizes: list[int]) -> None:
    assert list(parse_sse(cut(encode(events, line_end), sizes))) == events


@given(st.lists(EVENT, min_size=1, max_size=3), st.sampled_from(["\n", "\r\n", "\r"]))
def test_byte_by_byte(events: list[ServerSentEvent], line_end: str) -> None:
    payload = encode(events, line_end)
    assert list(parse_sse(payload[i : i + 1] for i in range(len(payload)))) == events


@given(st.binary(max_size=200), st.lists(st.integers(0, 9), max_size=20))
def test_arbitrary_bytes_never_raise_and_do_not_depend_on_chunking(payload: bytes, sizes: list[int]) -> None:
    assert list(parse_sse(cut(payload, sizes))) == list(parse_sse([payload]))


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    def chunks() -> object:
        yield b"data: one\r\n\r"
        raise AssertionError("asked for more bytes than the event needs")

    assert next(parse_sse(chunks())).data == "one"  # type: ignore[arg-type]


def test_a_byte_order_mark_a_field_without_colon_and_unknown_fields_are_skipped() -> None:
    assert list(parse_sse([b"\xef\xbb\xbfdata: x\nretry: 3\nid: 7\ndata\n\n"])) == [ServerSentEvent("message", "x\n")]


def test_an_unfinished_event_is_dropped() -> None:
    assert list(parse_sse([b"data: whole\n\ndata: cut"])) == [ServerSentEvent("message", "whole")]

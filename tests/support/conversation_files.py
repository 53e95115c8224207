"""Conversations' files, as bytes: fetched from a server, brought to one, and told apart into what they consist of."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from tests.support.talk import checked

from warmturn_server.chat.files.incoming import Incoming, Wanted
from warmturn_server.chat.files.refusal import FileRefused
from warmturn_server.chat.files.service import ConversationFiles

Json = dict[str, Any]
_START: Final = struct.Struct(">8sHIIH")
_CHECKSUM_BYTES: Final = 32


@dataclass(frozen=True)
class Brought:
    """What a server said of an import: the refusal that ended it, or how it was completed; and of its parts."""

    status: int
    answer: Json
    refused_parts: Mapping[int, str]

    @property
    def code(self) -> str:
        return str(self.answer["error"]["code"])

    @property
    def conversation(self) -> str:
        assert self.status == 200, self.answer
        return str(self.answer["conversation"])

    @property
    def reason(self) -> str | None:
        miss = self.answer["state"]["miss"]
        return None if miss is None else str(miss["reason"])


def fetched(client: httpx.Client, conversation: str, **params: str) -> bytes:
    reply = client.get(f"/v1/conversations/{conversation}/file", params=params)
    assert reply.status_code == 200, reply.text
    return reply.content


def head_bytes(file: bytes) -> int:
    _, _, header, index, signature = _START.unpack_from(file)
    return int(_START.size + header + index + _CHECKSUM_BYTES + signature)


def brought(client: httpx.Client, file: bytes, head_size: int | None = None, **params: str) -> Brought:
    """`head_size`: where the head may be damaged, how long it was. A part that is refused is left out from there on."""
    size = head_bytes(file) if head_size is None else head_size
    begun = client.post("/v1/imports", content=file[:size], params=params)
    refused: dict[int, str] = {}
    if begun.status_code != 200:
        return Brought(begun.status_code, begun.json(), refused)
    place, wanted, sent = f"/v1/imports/{begun.json()['id']}", begun.json()["wanted"], set[int]()
    while new := [part for part in wanted if part["number"] not in sent]:
        for part in new:
            sent.add(part["number"])
            content = file[part["offset"] : part["offset"] + part["bytes"]]
            reply = client.post(f"{place}/parts/{part['number']}", content=content)
            if reply.status_code != 200:
                refused[part["number"]] = reply.json()["error"]["code"]
                if refused[part["number"]] != "state_damaged":
                    client.delete(place)
                    return Brought(reply.status_code, reply.json(), refused)
                break
        wanted = checked(client.get(place))["wanted"]
    done = client.post(place)
    return Brought(done.status_code, done.json(), refused)


def brought_inside(files: ConversationFiles, file: bytes, head_size: int) -> Incoming:
    """The same without HTTP, for who does it ten thousand times. Raises `FileRefused`."""
    incoming = files.open("", file[:head_size], keep_id=False)
    try:
        sent = set[int]()
        while new := [part for part in incoming.wanted() if part.number not in sent]:
            for part in new:
                sent.add(part.number)
                if not _is_taken(incoming, part, file):
                    break
        files.complete(incoming)
    except FileRefused:
        files.abandon(incoming)
        raise
    return incoming


def _is_taken(incoming: Incoming, part: Wanted, file: bytes) -> bool:
    try:
        incoming.take(part.number, file[part.offset : part.offset + part.num_bytes])
    except FileRefused as refused:
        if refused.code != "state_damaged":
            raise
        return False
    return True

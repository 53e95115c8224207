"""This server beside others that speak OpenAI's API, by one ruler: `python -m tests.benchmarks.beside_peers`.

`NAME=URL` for each server; they run already, and say the same model. Each client has a
conversation of its own, which it sends whole each time: a system prompt of 200 random words, then turns of 60
with replies of exactly 32 tokens at temperature 0, streamed. The servers take turns within each round, one at a time,
so that a noisy minute meets all of them. Shown are medians: first token of the last turn, time between tokens, and
tokens a second of all clients together. `--keep FILE` keeps the conversations of the last round with one client;
`--go-on FILE`, after the servers were started again, sends each of them one more turn. Ends with one line of JSON.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

SYSTEM_WORDS, TURN_WORDS, REPLY_TOKENS = 200, 60, 32
_WORDS = """
the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what
all were we when your can said there use an each which she do how their if will up other about out many then them these
so some her would make like him into time has look two more write go see number no way could people my than first water
been call who oil its now find long down day did get come made may part over new sound take only little work know place
year live me back give most very after thing our just name good sentence man think say great where help through much
before line right too mean old any same tell boy follow came want show also around form three small set put end does
another well large must big even such because turn here why ask went men read need land different home us move try kind
"""
WORDS = tuple(_WORDS.split())
Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    url: str
    model: str
    ignores_eos: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds; `prompt_tokens` as the server counts them."""

    first: float
    between: float
    tokens: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds, and tokens a second of all clients together."""

    server: str
    clients: int
    prompt_tokens: int
    first_ms: float
    between_ms: float
    tokens_per_second: float


def main() -> None:
    given = _arguments()
    peers = [_peer(text) for text in given.servers]
    for peer in peers:
        _say(peer, _conversation(random.Random(0)))
    if given.go_on:
        _print([_gone_on(peer, json.loads(given.go_on.read_text())[peer.name]) for peer in peers])
        return
    rows, kept = list[Row](), dict[str, list[Message]]()
    for clients in given.clients:
        turns = given.turns if clients <= 4 else given.turns_of_many
        seen = dict[str, list[tuple[list[list[Turn]], float]]]()
        for number in range(given.repeat):
            for peer in peers:
                spoken, seconds, talks = _round(peer, clients, turns, seed=number * 100 + clients)
                seen.setdefault(peer.name, []).append((spoken, seconds))
                if clients == 1:
                    kept[peer.name] = talks[0]
        rows += [_row(name, clients, rounds) for name, rounds in seen.items()]
        _table(rows[-len(peers) :])
    if given.keep:
        given.keep.write_text(json.dumps(kept))
    print(json.dumps([_rounded(row) for row in rows]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=URL", help="one that refuses `ignore_eos` goes without")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 8, 16, 32])
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--turns-of-many", type=int, default=3, help="turns of each with more than four clients")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--go-on", type=Path)
    return parser.parse_args()


def _peer(text: str) -> Peer:
    name, _, url = text.partition("=")
    model = httpx.get(f"{url}/v1/models", timeout=60).json()["data"][0]["id"]
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "ignore_eos": True}
    asked = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=600)
    return Peer(name, url, model, ignores_eos=asked.is_success)


def _round(peer: Peer, clients: int, turns: int, seed: int) -> tuple[list[list[Turn]], float, list[list[Message]]]:
    talks = [_conversation(random.Random(f"{seed} {client} {peer.name} {time.time_ns()}")) for client in range(clients)]
    chances = [random.Random(f"{seed} {client}") for client in range(clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        spoken = list(threads.map(lambda talk, chance: _talk(peer, talk, chance, turns), talks, chances))
    return spoken, time.perf_counter() - began, talks


def _talk(peer: Peer, talk: list[Message], chance: random.Random, turns: int) -> list[Turn]:
    spoken = list[Turn]()
    for number in range(turns):
        if number:
            talk.append({"role": "user", "content": _words(chance, TURN_WORDS)})
        spoken.append(_say(peer, talk))
    return spoken


def _conversation(chance: random.Random) -> list[Message]:
    return [
        {"role": "system", "content": _words(chance, SYSTEM_WORDS)},
        {"role": "user", "content": _words(chance, TURN_WORDS)},
    ]


def _say(peer: Peer, talk: list[Message]) -> Turn:
    """One turn, whose reply is added to the conversation."""
    body = {"model": peer.model, "messages": talk, "max_tokens": REPLY_TOKENS, "temperature": 0, "stream": True}
    asked = {**body, "stream_options": {"include_usage": True}, **({"ignore_eos": True} if peer.ignores_eos else {})}
    began = time.perf_counter()
    moments, text, usage = _streamed(peer, asked)
    tokens = usage["completion_tokens"]
    talk.append({"role": "assistant", "content": text})
    between = (moments[-1] - moments[0]) / max(tokens - 1, 1)
    return Turn(moments[0] - began, between, tokens, usage["prompt_tokens"])


def _streamed(peer: Peer, body: dict[str, object]) -> tuple[list[float], str, dict[str, int]]:
    moments, text, usage = list[float](), "", dict[str, int]()
    with httpx.stream("POST", f"{peer.url}/v1/chat/completions", json=body, timeout=600) as response:
        if response.status_code != httpx.codes.OK:
            raise SystemExit(f"{peer.name}: {response.status_code} {response.read().decode()}")
        for line in response.iter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            chunk = json.loads(line.removeprefix("data: "))
            usage = chunk.get("usage") or usage
            said = "".join(choice["delta"].get("content") or "" for choice in chunk.get("choices", ()))
            if said:
                moments.append(time.perf_counter())
                text += said
    return moments, text, usage


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def _row(name: str, clients: int, rounds: Sequence[tuple[list[list[Turn]], float]]) -> Row:
    last = [talk[-1] for spoken, _ in rounds for talk in spoken]
    every = [turn for spoken, _ in rounds for talk in spoken for turn in talk]
    rates = [sum(turn.tokens for talk in spoken for turn in talk) / seconds for spoken, seconds in rounds]
    return Row(
        name,
        clients,
        round(statistics.median(turn.prompt_tokens for turn in last)),
        statistics.median(turn.first for turn in last) * 1000,
        statistics.median(turn.between for turn in every) * 1000,
        statistics.median(rates),
    )


def _gone_on(peer: Peer, talk: list[Message]) -> Row:
    talk.append({"role": "user", "content": _words(random.Random(1), TURN_WORDS)})
    turn = _say(peer, talk)
    return Row(peer.name, 1, turn.prompt_tokens, turn.first * 1000, turn.between * 1000, 1 / turn.between)


def _print(rows: Sequence[Row]) -> None:
    _table(rows)
    print(json.dumps([_rounded(row) for row in rows]))


def _table(rows: Sequence[Row]) -> None:
    print(f"\n{'server':<22}{'clients':>8}{'prompt':>8}{'first, ms':>11}{'between, ms':>13}{'tokens/s':>10}")
    for row in rows:
        figures = f"{row.first_ms:>11.0f}{row.between_ms:>13.1f}{row.tokens_per_second:>10.1f}"
        print(f"{row.server:<22}{row.clients:>8}{row.prompt_tokens:>8}{figures}", flush=True)


def _rounded(row: Row) -> dict[str, object]:
    return {name: round(value, 2) if isinstance(value, float) else value for name, value in asdict(row).items()}


if __name__ == "__main__":
    main()

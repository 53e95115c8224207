"""What typing ahead is worth: a pasted text with a question behind it, beside the question alone.

    python -m tests.benchmarks.typed [--model bundled] [--repeat 7] [--tokens 1000]

A real server, asked as page and terminal ask it: what stands in the box is sent after each pause, and a turn when
Enter is pressed. Each round has new words in four new conversations, in changing order: a question alone, sent at
once and typed before; a pasted text and the question, likewise. Medians of the server's own times to first token, and
how many tokens were computed then. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked
from tests.support.waiting import wait_until

QUESTION: Final = "What is the third word of all that, and which one comes before it?"
PAUSED_AT: Final = (0.4, 0.8)
"""Of the question: how much of it stands there when its writer pauses."""
ALONE: Final = "alone, sent at once"
WAYS: Final = (ALONE, "alone, typed", "pasted, typed", "pasted, sent at once")


def words(chance: random.Random, num_words: int) -> str:
    letters = "abcdefghijklmnoprstuvw"
    return " ".join("".join(chance.choices(letters, k=chance.randint(2, 6))) for _ in range(num_words))


def asked(client: httpx.Client, text: str, pauses: list[str]) -> Json:
    """A second turn, so that the first one's template is behind it."""
    talk = Talk.begin(client)
    talk.say("Hello!", max_output_tokens=4)
    for typed in pauses:
        checked(client.post(f"/v1/conversations/{talk.id}/warm", json={"input": typed}))
        wait_until_prepared(client)
    return talk.say(text, max_output_tokens=4).report


def wait_until_prepared(client: httpx.Client) -> None:
    """Until nothing more is computed."""
    seen = -1.0

    def is_done() -> bool:
        nonlocal seen
        time.sleep(0.4)
        before, seen = seen, float(checked(client.get("/v1/stats"))["ahead"]["typing"]["computed_tokens"])
        return before == seen

    wait_until(is_done, "it is never prepared")


def turn(client: httpx.Client, way: str, chance: random.Random, num_words: int) -> Json:
    """With words of its own, so that nothing of it was computed before."""
    question = f"{words(chance, 3)}: {QUESTION}"
    text = f"{words(chance, num_words)}\n\n" if way.startswith("pasted") else ""
    stops = [len(text) + int(len(question) * share) for share in PAUSED_AT]
    typed = [text, *((text + question)[:stop] for stop in stops)] if way.endswith("typed") else []
    return asked(client, text + question, [part for part in typed if part])


def words_for(client: httpx.Client, num_tokens: int) -> int:
    """How many of them come to so many tokens."""
    told = checked(client.post("/v1/responses/input_tokens", json={"input": words(random.Random(1), 1000)}))
    return round(num_tokens * 1000 / int(told["input_tokens"]))


def figures(client: httpx.Client, repeat: int, num_tokens: int) -> dict[str, Json]:
    chance, seen, num_words = random.Random(0), {way: list[Json]() for way in WAYS}, words_for(client, num_tokens)
    for number in range(repeat + 1):
        for way in chance.sample(WAYS, len(WAYS)):
            report = turn(client, way, chance, num_words)
            if number:  # the first round warms caches of other kinds up
                seen[way].append(report)
    return {way: summary(reports) for way, reports in seen.items()}


def summary(reports: list[Json]) -> Json:
    def median(name: str) -> float:
        return statistics.median([float(report[name]) for report in reports])

    names = ("prompt_tokens", "prefilled_tokens", "ahead_tokens", "ttft_ms")
    return {name: round(median(name), 1) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=1000, help="of the pasted text")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    options = ("--dtype", "bfloat16", "--threads", str(given.threads))
    with TemporaryDirectory() as folder, ServerProcess(given.model, Path(folder, "data"), *options) as server:
        found = figures(server.client(120), given.repeat, given.tokens)
    for way, row in found.items():
        print(f"{way:24}", *(f"{name} {value:>8}" for name, value in row.items()))
    ratios = {way: round(row["ttft_ms"] / found[ALONE]["ttft_ms"], 2) for way, row in found.items()}
    print(json.dumps({"rows": found, f"ttft / {ALONE}": ratios}))


if __name__ == "__main__":
    main()

"""How the figures came about: what a reader must know to believe them, or not to."""

from collections.abc import Iterator
from html import escape

from warmturn_bench.resampling import LEAST_CONVERSATIONS
from warmturn_bench.result import BenchResult
from warmturn_bench.summary import findings


def method(result: BenchResult) -> str:
    paragraphs = "".join(f"<p>{escape(said)}</p>" for said in _sentences(result))
    found = "".join(f"<li>{escape(one)}</li>" for one in (result.verdict, *findings(result)))
    return f"<h2>In words</h2><ul>{found}</ul><h2>How this was measured</h2>{paragraphs}"


def _sentences(result: BenchResult) -> Iterator[str]:
    there = result.circumstances
    if len(result.modes) > 1:
        yield (
            "Every conversation was held once in each mode, with the same words from the user. The modes took turns, "
            "round by round in rotating order, and never ran at the same time, so that none slows or warms "
            "another; a server started for the test makes no control turns of its own. A turn that was to be "
            "computed and was not, by the server's own report, counts as failed."
        )
    yield (
        f"{there.warm_up_turns} turns before the first one warmed the server up and are counted nowhere. After them "
        "the state of a system prompt that conversations share is there, as in any server that has run for a minute."
    )
    yield _clock(there.load)
    yield (
        f"Answers end {there.answers_end}. Sampling is greedy. Times are taken at the client, which ran on the machine "
        "named below. A percentile is the smallest observed value that so many percent of the turns do not exceed; "
        "nothing is interpolated, so the 99th of a few turns is simply the slowest."
    )
    if "state" in result.modes and "prompt" in result.modes:
        yield (
            "Seconds saved are measured on pairs of turns: the wait for first text in mode prompt minus that in mode "
            "state, queueing included, losses counted as negative. The interval comes from a bootstrap over whole "
            f"conversations; it is left out for fewer than {LEAST_CONVERSATIONS} of them."
        )
    if result.same_answers and not result.exact:
        yield (
            "Answers may differ between modes where two tokens are almost equally likely: computing a text in other "
            "pieces rounds otherwise. In float32 (--dtype float32) they must be the same, and the test fails if not."
        )
    if any(figures.cached_tokens is None for figures in result.modes.values()):
        yield "What this server does not report is shown as a question mark, never as zero."


def _clock(load: str) -> str:
    if load.startswith("open"):
        return (
            "Turns were due at random moments, whatever the server was doing, and times count from when a turn was due "
            "rather than from when it was sent: a server that falls behind cannot hide the queue (coordinated "
            "omission). A turn that is due before the answer to the one before it has ended waits for it; that counts."
        )
    return (
        "Each client sends its next turn as soon as the last one is answered, so a slower server is asked less often: "
        "good for comparing, but not a picture of a queue. With --rate turns come whatever the server does."
    )


def circumstances(result: BenchResult) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in _circumstances(result))
    return f"<h2>Where and when</h2><dl>{items}</dl>"


def _circumstances(result: BenchResult) -> Iterator[tuple[str, str]]:
    there = result.circumstances
    server = {name: value for name, value in (there.server or {}).items() if value is not None}
    yield "Server", f"{result.url}" + "".join(f", {name.replace('_', ' ')} {value}" for name, value in server.items())
    yield "Load", f"{there.load}, seed {there.seed}"
    yield (
        "Client's machine",
        ", ".join(f"{value} {name}" if name == "cores" else str(value) for name, value in _machine(result)),
    )
    yield "Started", f"{there.started}, {there.seconds:.0f} seconds in all"
    yield "Killed", "half-way, with SIGKILL" if there.kills else "never"


def _machine(result: BenchResult) -> Iterator[tuple[str, object]]:
    for name, value in result.circumstances.machine.items():
        yield name, f"{name} {value}" if name in ("python", "warmturn") else value

"""`warmturn bench`: load, and what saved state is worth under it."""

import asyncio
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from warmturn.cli.console import answer_json, note, styled_console
from warmturn.cli.options import ApiKey, AsJson
from warmturn.cli.signals import ending_on_signals
from warmturn.errors import SettingsError
from warmturn.own_server import OwnServer
from warmturn.settings import config_file, load_settings
from warmturn_bench.compare.difference import compare as compare_documents
from warmturn_bench.compare.document import read_document
from warmturn_bench.compare.view import show as show_comparison
from warmturn_bench.options import LoadOptions, Options, ServerOptions, WorkloadOptions
from warmturn_bench.proof.restart import by_command, by_hand
from warmturn_bench.proof.result import show as show_proof
from warmturn_bench.proof.run import Asked, prove
from warmturn_bench.report import folder
from warmturn_bench.result import BenchResult
from warmturn_bench.run import Bench
from warmturn_bench.summary import show
from warmturn_bench.view import View
from warmturn_bench.workload.scenario import ScenarioName

_BUNDLED = "bundled"
_INTERRUPTED = 130
_KEY_FLAG = "--api-key"
_NO_CONTROLS = ("--control-rate", "0")
"""The server's own checks recompute turns at random; here that is done for every turn, and at known times."""


def _option(flag: str, help_text: str, **more: Any) -> Any:
    return typer.Option(flag, help=help_text, show_default=False, **more)


def bench(
    context: typer.Context,
    scenario: Annotated[
        ScenarioName | None,
        _option(
            "--scenario",
            "Kind of conversations; default chat. agent calls functions: where a server's model cannot, it says so and "
            "exits 2.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        _option(
            "--trace",
            "Conversations from a file instead: Mooncake's format (lengths and shared beginnings are replayed, arrival "
            "times are not) or ShareGPT's (what users said).",
        ),
    ] = None,
    modes: Annotated[
        str | None, _option("--modes", "Reuse modes to compare; default state,prompt,nothing if the server knows them.")
    ] = None,
    clients: Annotated[
        int | None, _option("--clients", "Closed loop: so many turns at a time; default 2.", min=1)
    ] = None,
    rate: Annotated[
        float | None,
        _option("--rate", "Open loop: turns a second on average (Poisson), whatever the server does.", min=0.001),
    ] = None,
    conversations: Annotated[
        int | None, _option("--conversations", "How many; with --duration, how many at a time.", min=1)
    ] = None,
    turns: Annotated[int | None, _option("--turns", "Turns of each conversation.", min=1)] = None,
    duration: Annotated[
        float | None, _option("--duration", "Seconds of load; the round under way is finished in every mode.", min=0.1)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed says the same words at the same moments.")] = 1,
    url: Annotated[
        str | None, _option("--url", "Measure this server, of any make that speaks OpenAI's API, not an own one.")
    ] = None,
    model: Annotated[
        str | None,
        _option("--model", "`bundled` (default), a folder, or a hub id; with --url, one that is served there."),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None,
        _option("--dtype", "Number format of the own server; in float32 all modes must give the same answers."),
    ] = None,
    goodput_ttft: Annotated[
        float, typer.Option("--goodput-ttft", min=0.1, metavar="MS", help="First text within this time is good.")
    ] = 200.0,
    restart_command: Annotated[
        str | None,
        _option(
            "--restart-command",
            "With --scenario restart --url: what restarts that server, for the shell. Without it you are asked to.",
        ),
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Answers of exactly the drawn length, to compare servers with others.")
    ] = False,
    as_json: AsJson = False,
    compare: Annotated[
        tuple[Path, Path] | None,
        _option("--compare", "Compare two results (`--json`, or folders of reports) of the same load; runs nothing."),
    ] = None,
    report: Annotated[
        Path | None, _option("--report", "Write a page with plots (index.html) into this folder.")
    ] = None,
    api_key: ApiKey = None,
) -> None:
    """Put load on a server and compare the reuse modes: latency, throughput, tokens reused, seconds saved.

    Without --url on a server of its own. Exits 1 when turns failed or a promise broke; Ctrl-C gives what there is.
    --scenario restart --url asks any server the same before and after its restart, and exits 1 if answers differ.
    """
    if compare is not None:
        _refuse_other_options(context, ("compare", "as_json"))
        _compare(*compare, as_json=as_json)
        return
    options = Options(
        WorkloadOptions(scenario, trace, conversations, turns, duration, seed),
        LoadOptions(clients, rate),
        ServerOptions(url, model, dtype),
        modes,
        goodput_ttft,
        ignore_eos,
        restart_command,
    )
    options.check()
    if options.proves:
        _prove(options, api_key, report, as_json=as_json)
        return
    if report is not None:
        folder.prepare(report)
    with ending_on_signals(), ExitStack() as stack:
        server = _own_server(options.server, stack)
        key = None if server else load_settings({"api_key": api_key}, os.environ, config_file()).api_key
        running = Bench(options, server, key, _command(), View(styled_console(stderr=True)))
        result = running.run()
    if report is not None:
        folder.write(report, result, running.recording)
    _tell(result, as_json=as_json)
    if result.partial:
        raise typer.Exit(_INTERRUPTED)
    if result.failed:
        raise typer.Exit(1)


def _prove(options: Options, api_key: str | None, report: Path | None, *, as_json: bool) -> None:
    asked, url = options.workload, options.server.url
    assert url is not None
    if report is not None:
        raise SettingsError("--report shows load; of --scenario restart --url all that was found out is in --json")
    restart = by_command(options.restart_command) if options.restart_command else by_hand(url)
    key = load_settings({"api_key": api_key}, os.environ, config_file()).api_key
    what = Asked(url, options.server.model, asked.conversations, asked.turns, asked.seed, _command())
    view = View(styled_console(stderr=True))
    with ending_on_signals(), view.shown():
        proof = asyncio.run(prove(what, key, restart, view))
    if as_json:
        answer_json(proof.as_dict())
    else:
        show_proof(styled_console(stderr=False), proof)
    if not proof.holds:
        raise typer.Exit(1)


def _own_server(asked: ServerOptions, stack: ExitStack) -> OwnServer | None:
    if asked.url is not None:
        return None
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmturn-bench-")))
    flags = ("--dtype", asked.dtype) if asked.dtype else ()
    return stack.enter_context(OwnServer(asked.model or _BUNDLED, data, *_NO_CONTROLS, *flags))


def _tell(result: BenchResult, *, as_json: bool) -> None:
    if as_json:
        answer_json(result.as_dict())
    else:
        show(styled_console(stderr=False), result)
    if result.partial:
        note("warmturn: interrupted; these figures are of a part of the run")


def _compare(first: Path, second: Path, *, as_json: bool) -> None:
    found = compare_documents(read_document(first), read_document(second))
    if as_json:
        answer_json(found.as_dict())
    else:
        show_comparison(styled_console(stderr=False), found)


def _refuse_other_options(context: typer.Context, allowed: Sequence[str]) -> None:
    """What is given and would have no effect is refused."""
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise SettingsError(f"--compare reads two results and runs nothing: leave {option.opts[0]} out")


def _command() -> str:
    """As it was given, but for the key: reports are shown to others."""
    given = sys.argv[1:]
    hidden = (_hidden(before, word) for before, word in zip(["", *given], given, strict=False))
    return shlex.join(["warmturn", *hidden])


def _hidden(before: str, word: str) -> str:
    flag, equals, _ = word.partition("=")
    if before == _KEY_FLAG:
        return "..."
    return f"{flag}=..." if equals and flag == _KEY_FLAG else word

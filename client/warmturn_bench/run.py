"""The load test from beginning to end."""

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime

from warmturn.errors import SettingsError
from warmturn.own_server import OwnServer
from warmturn.wire import ReuseMode
from warmturn_bench.machine import machine
from warmturn_bench.memory import small_memory
from warmturn_bench.options import Options
from warmturn_bench.plan import Plan
from warmturn_bench.result import BenchResult, Circumstances, compare_answers
from warmturn_bench.runner import Runner
from warmturn_bench.sample import Recording
from warmturn_bench.stats import ModeFigures, mode_figures
from warmturn_bench.targets.target import Target, measure_sizes, open_target
from warmturn_bench.view import View
from warmturn_bench.workload.replay import TraceScripts
from warmturn_bench.workload.script import ScenarioScripts, Script, Scripts, Sizes

_SETTLING_SECONDS = 10.0
_CLEANING_SECONDS = 10.0
_NATURAL_END = "where the model ends them, at the latest after the drawn length"
_FIGURES_SHOWN = ("model", "dtype", "context_length", "kv_bytes_per_token")


class Bench:
    """`server` is an own one, not started yet; None where the options have the address of another."""

    def __init__(
        self, options: Options, server: OwnServer | None, api_key: str | None, command: str, view: View
    ) -> None:
        self.recording = Recording()
        self._options = options
        self._server = server
        self._api_key = api_key
        self._command = command
        self._view = view
        self._started = datetime.now(UTC)
        self._target: Target | None = None
        self._scripts: Scripts | None = None
        self._modes: tuple[ReuseMode, ...] = ()
        self._notes: list[str] = []

    def run(self) -> BenchResult:
        """Also when it is interrupted: then the result is partial. Raises KeyboardInterrupt where there is none yet."""
        began = time.monotonic()
        partial = False
        with self._view.shown():
            self._start_server()
            try:
                asyncio.run(self._run())
            except KeyboardInterrupt:
                if self._scripts is None:
                    raise
                partial = True
        return self._result(time.monotonic() - began, partial=partial)

    def _start_server(self) -> None:
        if self._server is not None:
            self._view.doing("starting a server")
            self._server.start()

    async def _run(self) -> None:
        try:
            plan = await self._prepare()
            assert self._target is not None
            load, seed = self._options.load.loop, self._options.workload.seed
            runner = Runner(self._target, self._modes, load, self.recording, self._view, seed, self._restart)
            await runner.run(plan, self._options.workload.duration)
            await self._settle()
        finally:
            await self._leave()

    async def _settle(self) -> None:
        """Another's server checks itself with these conversations, once it is idle: they must be there until then."""
        assert self._target is not None
        if self._server is None:
            self._view.doing("waiting for control turns")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._target.settle(), _SETTLING_SECONDS)

    async def _leave(self) -> None:
        """Another's server is left as it was found; an own one is thrown away."""
        if self._target is None:
            return
        if self._server is None:
            self._view.doing("deleting the conversations")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._target.clean(), _CLEANING_SECONDS)
        await self._target.close()

    async def _prepare(self) -> Plan:
        context = await self._connect()
        assert self._target is not None
        self._modes = self._options.modes_on(self._target.modes)
        self._view.doing("measuring token lengths")
        sizes = await measure_sizes(self._target, context, self._options.workload.functions(context))
        self._scripts = scripts = self._write(sizes)
        plan = self._options.plan(scripts)
        first = [scripts.script(number) for number in range(plan.conversations or plan.together)]
        self._note_cut_short(first, context)
        if self._options.workload.wants_small_memory:
            await self._shrink_memory(first)
        duration = self._options.workload.duration
        num_turns = plan.num_turns if duration is None else None
        self._view.expect(None if num_turns is None else num_turns * len(self._modes), duration)
        return plan

    async def _connect(self) -> int:
        url = self._server.url if self._server is not None else self._options.server.url
        model = None if self._server is not None else self._options.server.model
        assert url is not None
        ignore_eos = self._options.ignore_eos
        self._target, context = await open_target(url, self._api_key, model, ignore_eos=ignore_eos)
        return context

    def _write(self, sizes: Sizes) -> Scripts:
        asked = self._options.workload
        if asked.trace is None:
            return ScenarioScripts(asked.kind, asked.num_turns, asked.seed, sizes)
        traced = TraceScripts(asked.trace, asked.turns, asked.seed, sizes)
        if traced.left_out:
            self._notes.append(f"Left out: {traced.left_out} conversations that do not fit into the model's context.")
        return traced

    def _note_cut_short(self, scripts: list[Script], context: int) -> None:
        """What was asked for and cannot be done is said; a context that holds nothing at all is refused."""
        lengths = [len(script.turns) for script in scripts]
        if not any(lengths):
            raise SettingsError(f"not one turn fits into the model's context of {context:,} tokens")
        asked = self._options.workload
        if asked.trace is not None or asked.is_endless:
            return
        if short := sum(turns < asked.num_turns for turns in lengths):
            self._notes.append(
                f"Cut short by the context of {context:,} tokens: {short} of {len(lengths)} conversations."
            )

    async def _shrink_memory(self, scripts: list[Script]) -> None:
        """An own server starts again with less memory than these conversations need; another's is what it is."""
        assert self._target is not None
        if self._server is None:
            self._notes.append("How many conversations fit into memory is up to this server's own settings.")
            return
        bytes_per_token = ((await self._target.figures()) or {})["kv_bytes_per_token"]
        memory = small_memory(scripts, self._options.load.num_clients)
        self._notes.append(memory.in_words)
        await self._target.close()
        self._server.kill()
        self._server.options += memory.flags(bytes_per_token)
        self._start_server()
        await self._connect()

    async def _restart(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.start()

    def _result(self, seconds: float, *, partial: bool) -> BenchResult:
        assert self._target is not None
        assert self._scripts is not None
        recording, options = self.recording, self._options
        same = compare_answers(recording.samples)
        figures = recording.figures or {}
        return BenchResult(
            scenario=self._scripts.name,
            url=self._target.url,
            model=self._target.model,
            modes={mode: self._figures_of(mode) for mode in self._modes},
            same_answers=same,
            exact=self._server is not None and figures.get("dtype") == "float32",
            partial=partial,
            circumstances=Circumstances(
                command=self._command,
                about=self._scripts.about,
                load=options.load.in_words,
                seed=options.workload.seed,
                conversations=len({sample.asked.conversation for sample in recording.samples}),
                warm_up_turns=recording.warm_up_turns,
                goodput_ttft_ms=options.goodput_ttft_ms,
                answers_end="after exactly the drawn length" if options.ignore_eos else _NATURAL_END,
                server={name: figures.get(name) for name in _FIGURES_SHOWN} if figures else None,
                machine=machine(),
                started=self._started.isoformat(timespec="seconds"),
                seconds=seconds,
                kills=len(recording.kills),
                was_to_be_killed=options.workload.kills,
                notes=tuple(self._notes),
            ),
        )

    def _figures_of(self, mode: ReuseMode) -> ModeFigures:
        recording, options = self.recording, self._options
        seconds, skipped = recording.seconds[mode], recording.skipped[mode]
        return mode_figures(mode, recording.samples, seconds, skipped, options.goodput_ttft_ms, options.workload.seed)

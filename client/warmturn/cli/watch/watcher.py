"""Asks for the figures again and again, and remembers what is drawn as a line."""

import time
from collections import deque
from collections.abc import Callable

from warmturn.cli.watch.sample import Figures, Sample, rates
from warmturn.client import Client
from warmturn.errors import ApiError, ServerUnreachable

_KEPT = 240
_RECENT_SECONDS = 60
_SERVER_FAULT = 500


class Watcher:
    """`samples` are oldest first. Behind one address there may be several servers: rates are of each one by itself."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self.address = client.base_url
        self.samples: deque[Sample] = deque(maxlen=_KEPT)
        self.note = ""
        self._client = client
        self._clock = clock
        self._latest: dict[object, Figures] = {}

    @property
    def answered(self) -> Sample | None:
        """The last sample with figures in it."""
        return next((sample for sample in reversed(self.samples) if sample.figures is not None), None)

    @property
    def a_minute_ago(self) -> Figures | None:
        """What the same server said when the minute began of which it tells times now, or as near as was asked."""
        now = self.answered
        if now is None:
            return None
        same = (sample for sample in self.samples if sample.instance == now.instance)
        return next((sample.figures for sample in same if sample.time >= now.time - _RECENT_SECONDS), None)

    def first(self) -> Sample:
        """Raises what is wrong, for a person to read."""
        return self._keep(self._client.stats())

    def ask(self) -> Sample:
        """A server that is away for now is worth waiting for; one that refuses is not, and that is raised."""
        try:
            return self._keep(self._client.stats())
        except ServerUnreachable as error:
            return self._miss(str(error))
        except ApiError as error:
            if error.status < _SERVER_FAULT:
                raise
            return self._miss(f"the server failed: {error}")

    def _keep(self, figures: Figures) -> Sample:
        sample = Sample(self._clock(), figures, rates(figures, self._latest.get(figures.get("instance"))))
        self._notice_another_process(sample)
        self._latest[sample.instance] = figures
        self.samples.append(sample)
        return sample

    def _miss(self, error: str) -> Sample:
        self.samples.append(Sample(self._clock(), error=error))
        return self.samples[-1]

    def _notice_another_process(self, sample: Sample) -> None:
        before = self.answered
        if before is None or before.instance == sample.instance:
            return
        if sample.instance in self._latest:
            self.note = "several servers in turn"
        elif (sample.uptime_seconds or 0.0) < sample.time - before.time:
            self.note = f"restarted {_clock_time(sample.time - sample.uptime_seconds)}"
        else:
            self.note = f"another server {_clock_time(sample.time)}"


def _clock_time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))

"""When turns begin in an open loop."""

from collections.abc import Iterator
from random import Random


def poisson_arrivals(per_second: float, rng: Random) -> Iterator[float]:
    """Seconds from the start, for ever: independent users come at this rate on average, whatever the server does."""
    moment = 0.0
    while True:
        moment += rng.expovariate(per_second)
        yield moment

"""Taken away, a replica lets its turns finish, and ends those that take too long."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from warmturn_server.chat.running_turns import RunningTurns
from warmturn_server.ray.finishing import FinishFirst, finish


class Turns(RunningTurns):
    """So many that run, until they are interrupted."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.interrupted = count, False

    def __len__(self) -> int:
        return self.count

    async def interrupt(self) -> None:
        self.count, self.interrupted = 0, True


async def test_turns_that_end_in_time_are_not_interrupted_and_new_ones_are_taken() -> None:
    turns = Turns(1)
    finishing = asyncio.create_task(finish(turns, 60))
    await asyncio.sleep(0)
    assert not finishing.done()
    turns.count = 0
    await finishing
    assert not turns.interrupted and not turns.takes_no_more


async def test_turns_that_take_too_long_end_as_far_as_they_came() -> None:
    turns = Turns(1)
    await finish(turns, 0)
    assert turns.interrupted and turns.takes_no_more


async def test_the_application_is_shut_down_when_nothing_runs_any_more() -> None:
    order: list[str] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        order.append((await receive())["type"])
        order.append((await receive())["type"])

    async def finishes() -> None:
        order.append("finished")

    waiting: list[Message] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(_: Message) -> None: ...

    await FinishFirst(application, finishes)({"type": "lifespan"}, receive, send)
    assert order == ["lifespan.startup", "finished", "lifespan.shutdown"]

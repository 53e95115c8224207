"""A command that is told to end does so, wherever the signal strikes it."""

import signal
import subprocess
import sys

import pytest

STUCK = """
import signal, threading
from warmturn.cli import signals

signals._PATIENCE_SECONDS = 0.2
lock = threading.Lock()
with signals.ending_for_sure(), signals.noticing_signals():
    try:
        lock.acquire()
        signal.raise_signal({number})
        print("went on")
    finally:
        with lock:  # held by the very code that was interrupted
            print("got in")
"""
UNNOTICED = """
import signal, socket, threading
from warmturn.cli import signals

signals._BEAT_SECONDS = 0.2
here, there = socket.socketpair()
waiting = threading.Event()
# A thread takes the signal: as when it comes in the moment before `recv`, no call of the main thread is interrupted.
taker = threading.Thread(target=lambda: (waiting.wait(), there.recv(1)), daemon=True)
taker.start()
threading.Timer(0.5, lambda: signal.pthread_kill(taker.ident, signal.SIGINT)).start()
with signals.{block}():
    waiting.set()
    here.recv(1)
"""
IGNORING = """
import signal
from warmturn.cli import signals

signal.signal(signal.SIGHUP, signal.SIG_IGN)
for block in (signals.ending_on_signals, signals.noticing_signals, signals.ending_for_sure):
    with block():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
print("went on")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_comes_even_where_the_way_out_waits_for_itself(number: signal.Signals) -> None:
    ended = run(STUCK.format(number=int(number)))
    assert ended.stdout == ""
    assert ended.returncode == (-number if number == signal.SIGINT else 128 + number), ended.stderr


@pytest.mark.parametrize("block", ["noticing_signals", "ending_for_sure"])
def test_a_signal_just_before_a_blocking_call_is_noticed(block: str) -> None:
    assert run(UNNOTICED.format(block=block)).returncode == -signal.SIGINT


def test_what_is_ignored_stays_ignored() -> None:
    """As with `nohup`; and the handlers that were there come back."""
    ended = run(IGNORING)
    assert (ended.returncode, ended.stdout) == (0, "went on\n"), ended.stderr


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)

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
with signals.ending_for_sure():
    try:
        lock.acquire()
        signal.raise_signal({number})
        print("went on")
    finally:
        with lock:  # held by the very code that was interrupted
            print("got in")
"""
IGNORING = """
import signal
from warmturn.cli import signals

signal.signal(signal.SIGHUP, signal.SIG_IGN)
for block in (signals.ending_on_signals, signals.ending_for_sure):
    with block():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("went on")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_comes_even_where_the_way_out_waits_for_itself(number: signal.Signals) -> None:
    ended = run(STUCK.format(number=int(number)))
    assert ended.stdout == ""
    assert ended.returncode == (-number if number == signal.SIGINT else 128 + number), ended.stderr


def test_what_is_ignored_stays_ignored() -> None:
    """As with `nohup`; and the handlers that were there come back."""
    ended = run(IGNORING)
    assert (ended.returncode, ended.stdout) == (0, "went on\n"), ended.stderr


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)

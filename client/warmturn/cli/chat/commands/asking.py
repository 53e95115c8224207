"""Commands about how turns are asked: instructions, sampling, reuse, the model."""

from collections.abc import Callable
from typing import Any, Final

from warmturn.cli.chat.session import ChatSession
from warmturn.cli.console import note
from warmturn.wire import REUSE_MODES

_DEFAULT: Final = "default"
_SETTABLE: Final[dict[str, Callable[[str], Any]]] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
    "max_tokens": int,
    "seed": int,
    "presence_penalty": float,
    "frequency_penalty": float,
    "repetition_penalty": float,
}
"""What a number is read as; whether it will do is the server's to say."""
SETTABLE: Final = tuple(_SETTABLE)


def system(session: ChatSession, text: str) -> None:
    """[TEXT] show or set the instructions for the model; `/system off` removes them"""
    if text:
        session.set_system("" if text == "off" else text)
    note(f"system: {session.system}" if session.system else "no system instructions")
    if text and session.has_turns:
        note("every prompt begins with them: the next turn computes the conversation anew")


def set_option(session: ChatSession, text: str) -> None:
    """[NAME VALUE] show or set how answers are sampled, e.g. `/set temperature 0.7`, `/set seed default`"""
    name, _, value = text.partition(" ")
    if name and name not in _SETTABLE:
        note(f"there is no setting {name!r}; there are {', '.join(_SETTABLE)}")
        return
    if value:
        _set(session, name, value.strip())
    for known in (name,) if name else _SETTABLE:
        note(f"{known}: {session.option(known, _DEFAULT)}")


def reuse(session: ChatSession, mode: str) -> None:
    """[state|prompt|nothing] continue from saved state, prefill everything, or use no cache at all"""
    for known in REUSE_MODES:
        if mode == known:
            session.reuse = known
    if mode and mode not in REUSE_MODES:
        note(f"unknown mode {mode!r}; there are {', '.join(REUSE_MODES)}")
    note(f"reuse: {session.reuse}")


def model(session: ChatSession, name: str) -> None:
    """[NAME] show which models the server has, or choose one"""
    served = [model.id for model in session.client.models()]
    if name and name not in served:
        note(f"the server has no model {name!r}")
    elif name:
        session.model = name
    for served_name in served:
        note(f"{'*' if served_name == (session.model or served[0]) else ' '} {served_name}")


def _set(session: ChatSession, name: str, value: str) -> None:
    if value == _DEFAULT:
        session.set_option(name, None)
        return
    try:
        session.set_option(name, _SETTABLE[name](value))
    except ValueError:
        kind = "a whole number" if _SETTABLE[name] is int else "a number"
        note(f"{name} is {kind}, not {value!r}")

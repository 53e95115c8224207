"""Lua commands and what they include."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from tests.support.redis_server import RedisServer

from warmturn_server.chat.storage import redis as package
from warmturn_server.chat.storage.redis.compose import BadScript, compose
from warmturn_server.chat.transcript.prefix_digests import DIGEST_BYTES

LUA = Path(str(files(package) / "lua"))
COMMANDS = sorted(path.stem for path in (LUA / "commands").iterdir())


def written(folder: Path, **texts: str) -> Path:
    """A folder with one command, `do`, and includes of these names."""
    for name, text in texts.items():
        path = folder / ("commands" if name == "do" else "includes") / f"{name}.lua"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_each_include_comes_once_before_who_includes_it_in_the_order_named(tmp_path: Path) -> None:
    lua = written(
        tmp_path,
        do="--- @include late\n--- @include turns\ndo()",
        late="--- @include keys\nlate()",
        turns="--- @include keys\n--- @include late\nturns()",
        keys="keys()",
    )
    code = [line for line in compose(lua, "do").splitlines() if not line.startswith("--")]
    assert code == ["keys()", "late()", "turns()", "do()"]


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ({"do": "--- @include nothing"}, "commands/do.lua includes includes/nothing.lua"),
        ({"do": "--- @include a", "a": "--- @include nothing"}, "includes/a.lua includes includes/nothing.lua"),
        ({"do": "--- @include a", "a": "--- @include b", "b": "--- @include a"}, "includes/b.lua includes includes/a"),
        ({"do": "--- @include a", "a": "--- @include a"}, "includes/a.lua includes includes/a.lua"),
        ({"do": "--- @includes a", "a": ""}, "commands/do.lua says"),
        ({"other": ""}, "commands/do.lua"),
    ],
    ids=["unknown", "unknown further down", "circle", "itself", "misspelt", "no such command"],
)
def test_a_header_that_cannot_be_followed_is_refused_by_name(tmp_path: Path, texts: dict[str, str], named: str) -> None:
    with pytest.raises(BadScript, match=re.escape(named)):
        compose(written(tmp_path, **texts), "do")


@pytest.mark.parametrize("command", COMMANDS)
def test_redis_takes_every_command(command: str, log_redis: RedisServer) -> None:
    with log_redis.client() as client:
        assert client.script_load(compose(LUA, command))


def test_every_include_is_included() -> None:
    """By its text: it stands in some command."""
    composed = "\n".join(compose(LUA, command) for command in COMMANDS)
    for path in (LUA / "includes").iterdir():
        assert path.read_text() in composed, path.name


def test_a_digest_has_as_many_bytes_in_lua_as_in_python() -> None:
    """Written once in Lua, and nowhere as a number but there."""
    lua = "\n".join(path.read_text() for path in LUA.rglob("*.lua"))
    assert re.findall(r"DIGEST_BYTES = (\d+)", lua) == [str(DIGEST_BYTES)]
    assert not re.findall(rf"\b({DIGEST_BYTES}|{DIGEST_BYTES - 1})\b", lua.replace(f"= {DIGEST_BYTES}\n", ""))

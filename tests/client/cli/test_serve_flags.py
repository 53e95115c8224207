"""`warmturn serve` says in words what the server's settings are by default; it cannot import them to say it."""

from collections.abc import Iterator
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import pytest

from warmturn.cli.serve import serve
from warmturn_server.settings import Settings

IN_OTHER_WORDS: Final[dict[tuple[str, Any], str]] = {
    ("model", "bundled"): "`bundled` (default)",
    ("adapter", None): "default none",
    ("threads", None): "default one per core",
    ("max_context", None): "default the model's",
    ("log", "sqlite"): "in the data folder (default)",
    ("promise_budget", 2**30): "default 1GiB",
    ("log_reserve", 64 * 2**20): "default 64MiB",
    ("redis_ttl", 24 * 60 * 60): "stays in Redis; a day",
    ("kv_codec", "none"): "none (default)",
    ("executor", "auto"): "(auto, default)",
    ("weights", "auto"): "(auto, default)",
    ("allowed_hosts", ()): "default none",
    ("allowed_origins", ()): "default none",
}
NOT_SAID: Final = {"data_dir", "kv_memory", "ram_cache", "disk_cache", "redis", "log_redis"}
"""Of these the help names no default."""
FLAGS: Final[dict[str, Any]] = {
    name: hint for name, hint in get_type_hints(serve, include_extras=True).items() if name != "return"
}
WITH_CHOICES: Final = [name for name in FLAGS if get_origin(Settings.model_fields[name].annotation) is Literal]


def test_every_flag_is_a_setting() -> None:
    assert set(FLAGS) <= set(Settings.model_fields)
    assert set(FLAGS) > NOT_SAID


@pytest.mark.parametrize("name", FLAGS)
def test_the_help_says_the_default_that_the_server_has(name: str) -> None:
    said, default = _help(name), Settings.model_fields[name].default
    if name in NOT_SAID:
        assert "default" not in said
    else:
        assert IN_OTHER_WORDS.get((name, default), f"default {default}. [env:") in said


@pytest.mark.parametrize(
    "name", [name for name in FLAGS if get_origin(Settings.model_fields[name].annotation) is Literal]
)
def test_a_flag_knows_the_choices_that_the_server_knows(name: str) -> None:
    assert set(_choices(FLAGS[name])) == set(get_args(Settings.model_fields[name].annotation))


def _help(name: str) -> str:
    (option,) = FLAGS[name].__metadata__
    return str(option.help)


def _choices(hint: Any) -> Iterator[str]:
    for part in get_args(hint):
        if get_origin(part) is Literal:
            yield from get_args(part)
        else:
            yield from _choices(part)

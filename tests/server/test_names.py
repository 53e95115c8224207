"""Which names are this server's, and which pages are its own."""

import pytest

from warmturn_server.names import is_host_pattern, is_of, is_origin, is_own_name

ALLOWED = ("chat.example.org", "*.internal")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8000",
        "a.localhost",
        "localhost.",
        "127.0.0.1:8000",
        "127.9.9.9",
        "[::1]:8000",
        "10.0.0.7",
        "chat.example.org",
        "CHAT.example.org:443",
        "warmturn-1.internal:8000",
    ],
)
def test_own_names(host: str) -> None:
    assert is_own_name(host, ALLOWED)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "internal",
        "chat.example.org.evil.example",
        "evil@localhost",
        "localhost/evil",
        "[::1",
        "[localhost]",
        "localhost,localhost",
        "*",
        ":8000",
    ],
)
def test_other_names(host: str) -> None:
    assert not is_own_name(host, ALLOWED)


def test_any_name_where_that_is_asked_for() -> None:
    assert is_own_name("evil.example", ("*",))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://localhost", "localhost:80"),
        ("https://chat.example.org", "chat.example.org"),
        ("https://chat.example.org", "Chat.Example.Org:443"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_own_pages(origin: str, host: str) -> None:
    assert is_of(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:3000", "localhost:8000"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("https://localhost:80", "localhost"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("file://localhost", "localhost"),
    ],
)
def test_other_pages(origin: str, host: str) -> None:
    assert not is_of(origin, host)


def test_what_settings_take() -> None:
    assert all(map(is_host_pattern, ("*", "*.example.org", "warmturn-1")))
    assert not any(map(is_host_pattern, ("", "http://a", "a:80", "a.*", "a b")))
    assert all(map(is_origin, ("*", "null", "https://a", "http://a:3000", "chrome-extension://abc")))
    assert not any(map(is_origin, ("", "a", "https://a/", "https://a/b", "https://")))

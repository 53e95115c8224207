"""HTTP underneath the client: the one place where httpx's errors and the server's become this package's."""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any, Self
from urllib.parse import quote
from urllib.request import getproxies

import httpx

from warmturn.errors import ApiError, ProtocolError, ServerUnreachable, SettingsError, WarmturnError
from warmturn.patience import when_free

Params = Mapping[str, str | int]
PATIENCE_SECONDS = 5.0
SESSION_HEADER = "x-session-id"
"""Tells those who stand before several servers which conversation a request is about, or what else belongs together."""

_PATH = re.compile(r"/v1/conversations/([^/]+)")
_PLAIN = re.compile(r"[\w.:-]+", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


class Transport:
    """`patience`: how many seconds a conversation is waited for that another turn holds."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout: float,
        transport: httpx.BaseTransport | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.base_url = checked_url(base_url)
        self._patience = patience
        self._session: Mapping[str, str] = {}
        headers = authorization(api_key)
        limits = httpx.Timeout(timeout, connect=min(timeout, 5.0))
        verify = trusted(self.base_url)
        self._http = httpx.Client(
            base_url=self.base_url, headers=headers, timeout=limits, transport=transport, verify=verify
        )

    def in_session(self, name: str) -> Self:
        """The same connection, for requests that one server has to answer."""
        made = copy(self)
        made._session = {SESSION_HEADER: name}
        return made

    def get(self, path: str, params: Params | None = None) -> dict[str, Any]:
        return self._json("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> dict[str, Any]:
        """`timeout` in seconds, where it is not the client's own."""
        limits = httpx.USE_CLIENT_DEFAULT if timeout is None else httpx.Timeout(timeout)
        return self._json("POST", path, json=body, timeout=limits)

    def post_bytes(self, path: str, content: bytes, params: Params | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/octet-stream"}
        return self._json("POST", path, content=content, params=params, headers=headers)

    def delete(self, path: str) -> dict[str, Any]:
        return self._json("DELETE", path)

    def status(self, path: str) -> tuple[int, dict[str, Any]]:
        """For endpoints whose status is the answer, whatever it is."""
        with translated(self.base_url):
            response = self._http.get(path)
        return response.status_code, json_object(response)

    @contextmanager
    def stream(self, path: str, body: Mapping[str, Any]) -> Iterator[Iterator[bytes]]:
        """The reply's bytes as they come; leaving the block closes the connection, which stops the server's work."""
        with translated(self.base_url), ExitStack() as stack:
            yield self.read_bytes(when_free(lambda: self._begun(stack, path, body), self._patience))

    @contextmanager
    def download(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """The reply, whose bytes are still to be read with `read_bytes`."""
        asked = {"Accept-Encoding": "identity", **session(path, None), **headers}
        with translated(self.base_url), self._http.stream("GET", path, headers=asked) as response:
            if response.is_error:
                response.read()
                raise api_error(response)
            yield response

    def read_bytes(self, response: httpx.Response) -> Iterator[bytes]:
        with translated(self.base_url):
            yield from response.iter_bytes()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return when_free(lambda: self._asked(method, path, **request), self._patience)

    def _asked(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **request: Any
    ) -> dict[str, Any]:
        named = {**self._session, **session(path, request.get("json")), **(headers or {})}
        with translated(self.base_url):
            response = self._http.request(method, path, headers=named, **request)
        if response.is_error:
            raise api_error(response)
        return json_object(response)

    def _begun(self, stack: ExitStack, path: str, body: Mapping[str, Any]) -> httpx.Response:
        with ExitStack() as opening:
            request = self._http.stream("POST", path, json=body, headers=session(path, body))
            response = opening.enter_context(request)
            if response.is_error:
                response.read()
                raise api_error(response)
            stack.enter_context(opening.pop_all())
            return response


def trusted(base_url: str) -> ssl.SSLContext:
    """What TLS connections are checked with; reading the certificates takes 60 ms, which plain HTTP has no use for."""
    needs_certificates = not base_url.startswith("http://") or getproxies()
    return httpx.create_ssl_context() if needs_certificates else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def translated(base_url: str) -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        raise ServerUnreachable(f"no server at {base_url} ({error}); start one with `warmturn serve`") from error
    except httpx.TimeoutException as error:
        raise ServerUnreachable(f"the server at {base_url} did not answer in time") from error
    except httpx.TransportError as error:
        raise ServerUnreachable(f"the connection to {base_url} broke: {error}") from error
    except httpx.RequestError as error:
        raise ProtocolError(f"what {base_url} answered cannot be read: {error}") from error
    except httpx.InvalidURL as error:
        raise SettingsError(f"{base_url} cannot be asked for that: {error}") from error


def path_segment(name: str) -> str:
    """An id as one part of a path. Quoting does not help against a slash: servers decode it before they look for the
    route, and would find another one than was meant.
    """
    if name in ("", ".", "..") or "/" in name:
        raise WarmturnError(f"{name!r} is no id")
    return quote(name, safe="", errors="replace")


def checked_url(base_url: str) -> str:
    """The server's root: the /v1 that OpenAI's clients want at the end is allowed and dropped."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise SettingsError(f"{base_url!r} is no address: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError(f"{base_url!r} is no address of a server; it looks like http://127.0.0.1:8000")
    return base_url.rstrip("/").removesuffix("/v1")


def authorization(api_key: str | None) -> dict[str, str]:
    """Checked here, for httpx would show the key in its own complaint."""
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable() and api_key == api_key.strip()):
        raise SettingsError(
            "the API key cannot be sent in a header: it holds a line break, a control character or one that is not "
            "ASCII, or a space at an end"
        )
    return {"Authorization": f"Bearer {api_key}"}


def session(path: str, body: Mapping[str, Any] | None) -> dict[str, str]:
    """The header that names the conversation, if one is named."""
    in_path = _PATH.match(path)
    conversation = in_path[1] if in_path else (body or {}).get("conversation")
    if isinstance(conversation, str) and _PLAIN.fullmatch(conversation):
        return {SESSION_HEADER: conversation}
    return {}


def json_object(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == httpx.codes.NO_CONTENT:
        return {}
    try:
        body = response.json()
    except ValueError as error:
        raise ProtocolError(f"{response.request.url} did not answer with JSON: is this a Warmturn server?") from error
    if not isinstance(body, dict):
        raise ProtocolError(f"{response.request.url} did not answer with an object: is this a Warmturn server?")
    return body


def api_error(response: httpx.Response) -> ApiError:
    error = _error_object(response)
    said = response.headers.get("retry-after", "")
    error.retry_after_seconds = float(said) if _SECONDS.fullmatch(said) else None
    return error


def _error_object(response: httpx.Response) -> ApiError:
    try:
        error = response.json()["error"]
        return ApiError(response.status_code, error["message"], code=error.get("code"), param=error.get("param"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ApiError(response.status_code, f"HTTP {response.status_code} {response.reason_phrase}")

"""Clients of what runs on this machine: to read the certificates that nobody asks for here costs each client 25 ms."""

import ssl
from typing import Final

import httpx

_NO_CERTIFICATES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def local_client(base_url: str, timeout_seconds: float = 60) -> httpx.Client:
    return httpx.Client(base_url=base_url, timeout=timeout_seconds, trust_env=False, verify=_NO_CERTIFICATES)


def local_get(url: str, **params: str) -> httpx.Response:
    return httpx.get(url, params=params, trust_env=False, timeout=30, verify=_NO_CERTIFICATES)

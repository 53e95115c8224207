"""Who may speak to this server at all: under which names it is asked, and which pages' scripts it answers.

For a browser, a page on a name that its owner resolves to 127.0.0.1 (DNS rebinding) has this server's origin; only the
name in `Host` tells. An address cannot be made to point elsewhere, so addresses pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from .middleware import CheckHost, CheckOrigin

_METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
_TOLD: Final = ("X-Warmturn-Response", "X-Request-ID", "Retry-After", "X-Should-Retry")


@dataclass(frozen=True, slots=True)
class Access:
    """`api_key`: what every caller has to show, None for nothing.

    `hosts`: names of this server, besides `localhost`; `*.example.org` for all below one, `*` for any. `origins`: of
    other servers' pages whose scripts are answered, as browsers write them: `https://chat.example.org`; `*` for any.
    """

    api_key: str | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    def middleware(self) -> list[Middleware]:
        """What is asked of a request's names; a preflight is answered here, for browsers send no key with it."""
        checks = [Middleware(CheckHost, allowed=self.hosts), Middleware(CheckOrigin, allowed=self.origins)]
        if self.origins:
            checks.append(
                Middleware(
                    CORSMiddleware,
                    allow_origins=self.origins,
                    allow_methods=_METHODS,
                    allow_headers=("*",),
                    expose_headers=_TOLD,
                    allow_private_network=True,
                )
            )
        return checks

"""Opens the tier in Redis: refused where only the operator can help, waited for where time may."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from ....redis_link import RedisLink
from ...codec import BlockCodec
from ...layout import KVLayout
from ..guard import GuardedTier, TierObserver
from ..tier import TierUnavailable
from .compression import Compression, Plain, Zstd
from .envelope import Envelope
from .int8 import Int8
from .tier import RedisTier

_TIMEOUT_SECONDS = 1.0
_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


def open_redis_tier(
    link: RedisLink,
    envelope: Envelope,
    compressions: Sequence[Compression],
    observer: TierObserver,
    *,
    ttl_seconds: int,
    max_block_bytes: int,
    wait_seconds: float,
) -> GuardedTier:
    """`wait_seconds`: a Redis that does not answer within them stays switched off.

    Raises `StartRefused` with what to do. A Redis that is down is no reason to: it is asked again in the background.
    """
    if not envelope.authenticated:
        _log.warning("state in Redis is not signed: whoever can write there is trusted; set WARMTURN_REDIS_SECRET")
    connect = partial(link.client, timeout_seconds=_TIMEOUT_SECONDS)
    tier = RedisTier(connect, envelope, compressions, ttl_seconds=ttl_seconds, max_block_bytes=max_block_bytes)
    guarded = GuardedTier(tier, observer, _PAUSE_SECONDS, partial(tier.ping, wait_seconds))
    try:
        tier.check()
    except TierUnavailable as error:
        guarded.switch_off(error)
    return guarded


def compressions_of(kv_codec: str, codec: BlockCodec, layout: KVLayout) -> list[Compression]:
    """What `none`, `zstd` and `int8` stand for: the first is written, all are read."""
    zstd = Zstd(layout.dtype.itemsize)
    named: dict[str, list[Compression]] = {"none": [Plain(), zstd], "zstd": [zstd], "int8": [Int8(codec, layout)]}
    return named[kv_codec]

"""The composition root: settings come in here and go no further."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import torch  # noqa: F401  # before transformers, which does not fail where it is missing, but warns
from fastapi import FastAPI
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from . import bundled
from .api import create_app
from .chat import Storage, build_service, open_local_log, open_shared_log
from .data_dir import FileHashes, lock_data_dir
from .engine import Controls, CostModel, Engine, KVPool, LoadedModel, LogitSketch, ModelRunner, calibrate, load_model
from .engine.model.device import refuse_more_than_fits
from .engine.model.loader import first_line, hash_config, runtime_name
from .engine_api import ControlMode
from .errors import ModelRefused, StartRefused
from .kvcache import (
    BlockCodec,
    Compression,
    DiskTier,
    Envelope,
    Fingerprint,
    FingerprintDigest,
    GuardedTier,
    Int8,
    KVLayout,
    Plain,
    Prefetcher,
    PrefixCache,
    RamTier,
    RedisTier,
    Saver,
    TierUnavailable,
    Zstd,
)
from .metrics import Metrics
from .redis_link import RedisLink
from .settings import BUNDLED, Settings
from .threads import compute_with, on_a_thread_of_its_own

_LOG_THREADS = 64  # so many requests may wait for the log at once when it is far away
_WEIGHT_FILES = ("*.safetensors", "*.bin")
_TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")
_REDIS_TIMEOUT_SECONDS = 1.0
_REDIS_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineRoom:
    """An engine that is not started yet, and the tokenizer of its model."""

    engine: Engine
    tokenizer: PreTrainedTokenizerBase


def build_engine(settings: Settings) -> Engine:
    """The engine alone, for use without HTTP; it still has to be started."""
    return build_engine_room(settings, Metrics()).engine


def build_engine_room(settings: Settings, metrics: Metrics) -> EngineRoom:
    """Load the model and open the tiers. Raises `StartRefused` with what to do."""
    return on_a_thread_of_its_own(partial(_engine_room, settings, metrics))


def _engine_room(settings: Settings, metrics: Metrics) -> EngineRoom:
    compute_with(settings.threads or os.cpu_count() or 1)
    link = RedisLink.parse(settings.redis.get_secret_value()) if settings.redis else None
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    is_bundled = settings.model == BUNDLED
    loaded = load_model(
        str(bundled.path()) if is_bundled else settings.model,
        name=bundled.NAME if is_bundled else None,
        device=settings.device,
        dtype=settings.dtype,
        max_context=settings.max_context,
    )
    runner = ModelRunner(loaded)
    refuse_more_than_fits(settings.kv_memory, runner.device)
    tokenizer = load_tokenizer(loaded)
    cache = _prefix_cache(settings, loaded, runner, tokenizer, metrics, link)
    cost_model = CostModel(settings.prefill_budget)
    calibrate(runner, cost_model, settings.prefill_budget)
    engine = Engine(
        runner,
        backend_of(tokenizer),
        eos_token_ids(loaded, tokenizer),
        cache,
        Saver(cache, metrics),
        Prefetcher(cache, metrics),
        KVPool(settings.kv_memory),
        cost_model,
        metrics,
        _controls(settings, runner, metrics),
        prefill_budget=settings.prefill_budget,
        max_waiting=settings.max_waiting,
    )
    metrics.watch(engine)
    return EngineRoom(engine, tokenizer)


def build_app(settings: Settings) -> FastAPI:
    """The whole server as an ASGI application; its lifespan starts the engine, and saves what is left at the end."""
    lock = lock_data_dir(settings.data_dir)
    log = open_log(settings)
    metrics = Metrics()
    room = build_engine_room(settings, metrics)
    service = build_service(log, room.engine, room.tokenizer)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if settings.log == "redis":
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOG_THREADS, "log"))
        room.engine.start()
        service.open()
        yield
        await asyncio.to_thread(room.engine.close)
        service.close()
        lock.close()

    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    return create_app(service, metrics, api_key=api_key, lifespan=lifespan)


def open_log(settings: Settings) -> Storage:
    """Before the model is loaded: whoever mistypes an address should not wait for that."""
    if settings.log == "sqlite":
        return open_local_log(settings.data_dir)
    url = settings.url_of_log
    assert url is not None, "such settings are refused"
    return open_shared_log(url.get_secret_value(), _redis_secret(settings))


def load_tokenizer(loaded: LoadedModel) -> PreTrainedTokenizerBase:
    """The model's own tokenizer, from its own folder."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(loaded.folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelRefused(f"{loaded.name} has no usable tokenizer: {first_line(error)}") from error
    return tokenizer


def backend_of(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The `tokenizers` object inside; without one there is no incremental decoding."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelRefused(f"{type(tokenizer).__name__} has no tokenizer.json form; Warmturn needs a fast tokenizer")
    return backend


def eos_token_ids(loaded: LoadedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that end a reply: what the generation config says, and the tokenizer's own."""
    configured = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(token_id) for token_id in [*ids, tokenizer.eos_token_id] if token_id is not None)


def fingerprint(
    settings: Settings, loaded: LoadedModel, runner: ModelRunner, tokenizer: PreTrainedTokenizerBase
) -> Fingerprint:
    """What the saved state of this model on this machine depends on."""
    config, rope = hash_config(loaded.model)
    hashes = FileHashes(settings.data_dir / "model_hashes.json")
    return Fingerprint(
        weights=hashes.of(loaded.folder, _WEIGHT_FILES),
        config=config,
        tokenizer=hashes.of(loaded.folder, _TOKENIZER_FILES),
        template=str(tokenizer.chat_template),
        dtype=str(runner.dtype),
        rope=rope,
        attention="in-place 1",
        layout=runner.layout.describe(),
        block_size=settings.block_size,
        runtime=runtime_name(runner.device),
        precision="exact" if _lossless(settings) else "int8",
    )


def _controls(settings: Settings, runner: ModelRunner, metrics: Metrics) -> Controls:
    mode, rate, seed = ControlMode(settings.control_mode), settings.control_rate, settings.control_seed
    sketch = LogitSketch(runner.vocab_size, runner.device)
    return Controls(mode, rate, seed, sketch, metrics.controls, lossless=_lossless(settings))


def _lossless(settings: Settings) -> bool:
    """Whether what comes back from the tiers is what was saved, to the last bit."""
    return not (settings.redis and settings.kv_codec == "int8")


def _redis_secret(settings: Settings) -> bytes:
    return settings.redis_secret.get_secret_value().encode() if settings.redis_secret else b""


def _prefix_cache(
    settings: Settings,
    loaded: LoadedModel,
    runner: ModelRunner,
    tokenizer: PreTrainedTokenizerBase,
    metrics: Metrics,
    link: RedisLink | None,
) -> PrefixCache:
    digest = fingerprint(settings, loaded, runner, tokenizer).digest()
    codec = BlockCodec(digest, runner.layout)
    tiers: list[GuardedTier] = []
    foreign = False
    if settings.ram_cache:
        tiers.append(GuardedTier(RamTier(settings.ram_cache), metrics))
    if settings.disk_cache:
        try:
            disk = DiskTier(settings.data_dir / "kv", digest, settings.disk_cache)
        except TierUnavailable as error:
            raise StartRefused(f"cannot use {settings.data_dir} for saved state: {error}; set --data-dir") from error
        tiers.append(GuardedTier(disk, metrics))
        foreign = disk.has_foreign_blocks
    if link is not None:
        tiers.append(_redis_tier(settings, link, digest, codec, runner.layout, metrics))
    wait_seconds = settings.redis_wait_ms / 1000
    return PrefixCache(codec, settings.block_size, tiers, foreign_blocks=foreign, wait_seconds=wait_seconds)


def _redis_tier(
    settings: Settings,
    link: RedisLink,
    digest: FingerprintDigest,
    codec: BlockCodec,
    layout: KVLayout,
    metrics: Metrics,
) -> GuardedTier:
    """Refused where only the operator can help; a Redis that is down is waited for in the background."""
    secret = _redis_secret(settings)
    if not secret:
        _log.warning("state in Redis is not signed: whoever can write there is trusted; set WARMTURN_REDIS_SECRET")
    zstd = Zstd(layout.dtype.itemsize)
    compressions: dict[str, list[Compression]] = {
        "none": [Plain(), zstd],
        "zstd": [zstd],
        "int8": [Int8(codec, layout)],
    }
    tier = RedisTier(
        partial(link.client, timeout_seconds=_REDIS_TIMEOUT_SECONDS),
        Envelope(digest, secret),
        compressions[settings.kv_codec],
        ttl_seconds=settings.redis_ttl,
        max_block_bytes=codec.num_bytes(settings.block_size),
    )
    probe = partial(tier.ping, settings.redis_wait_ms / 1000)
    guarded = GuardedTier(tier, metrics, _REDIS_PAUSE_SECONDS, probe)
    try:
        tier.check()
    except TierUnavailable as error:
        guarded.switch_off(error)
    return guarded

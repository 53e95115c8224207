"""The composition root: settings come in here and go no further."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import torch  # noqa: F401  # before transformers, which does not fail where it is missing, but warns
from fastapi import FastAPI

from . import bundled
from .api import Access, create_app, warm_up
from .chat import (
    Calling,
    Storage,
    Style,
    TextTokenizer,
    build_service,
    calling_of,
    open_local_storage,
    open_shared_storage,
    style_of,
)
from .chat.files.service import ConversationFiles
from .chat.files.signing import FileKeys
from .data_dir import MODELS_NAME, STATE_NAME, FileHashes, lock_data_dir
from .engine import Capacity, Controls, CostModel, Engine, KVPool, LogitSketch, Memory, ModelRunner, Vocabulary
from .engine.drafts.drafter import Drafter
from .engine.drafts.worth import Always, WherePaying
from .engine.model.calibration import calibrate, step_costs
from .engine.model.device import refuse_more_than_fits
from .engine.model.fingerprint import fingerprint_of
from .engine.model.gguf_package import headers_read_once
from .engine.model.loader import LoadedModel, load_model
from .engine.model.sampling_defaults import sampling_defaults
from .engine.model.sense import refuse_nonsense
from .engine.model.tokenizer import backend_of, eos_token_ids, load_tokenizer
from .engine_api import ControlMode, SamplingParams
from .kvcache import (
    LEDGER_NAME,
    BlockCodec,
    Envelope,
    FingerprintDigest,
    GuardedTier,
    Ledger,
    Limits,
    PassingBlocks,
    Prefetcher,
    PrefixCache,
    Promises,
    RestorePolicy,
    Saver,
    promised_keys,
)
from .kvcache.sealer import NoSealer, SealedCodec
from .kvcache.tiers.block_files import remove_oldest
from .kvcache.tiers.disk import DiskTier, open_disk_tier
from .kvcache.tiers.ram import RamTier
from .kvcache.tiers.redis.open import compressions_of, open_redis_tier
from .metrics import Metrics
from .pulling import refuse_unpulled
from .redis_link import RedisLink
from .room import Room
from .settings import BUNDLED, Settings
from .threads import compute_with, on_a_thread_of_its_own

_log = logging.getLogger(__name__)

Tell = Callable[[str], None]

_MOST_SPARE_BYTES, _SHARE_SPARE = 128 * 2**20, 16
"""Memory asked for ahead, at most that part of the budget."""
_LOG_THREADS = 64  # so many requests may wait for the log at once when it is far away


def _nobody(_: str) -> None: ...


def build_engine(settings: Settings) -> Engine:
    """The engine alone, for use without HTTP; it still has to be started."""
    return on_a_thread_of_its_own(partial(_load, settings, Metrics(), _room(settings)))[0]


def build_app(settings: Settings, tell: Tell = _nobody) -> FastAPI:
    """The whole server as an ASGI application; its lifespan starts the engine, and saves what is left at the end.

    `tell`: what is being done, for who waits.
    """
    lock = lock_data_dir(settings.data_dir)
    room = _room(settings)
    storage = _open_storage(settings, room)
    metrics = Metrics()
    loading = partial(_load, settings, metrics, room, tell)
    engine, tokenizer, style, calling, sampling = on_a_thread_of_its_own(loading)
    service = build_service(storage, engine, tokenizer, style, calling, settings.ahead, settings.unstored_ttl)
    files = ConversationFiles(
        storage.store, engine.carrier, _file_keys(settings), engine.model_name, settings.max_import
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if settings.log == "redis":
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOG_THREADS, "log"))
        engine.start()
        service.open()
        await warm_up(app)
        yield
        service.running.takes_no_more = True
        await service.running.interrupt()
        await asyncio.to_thread(engine.close)
        service.close()
        lock.close()

    return create_app(
        service,
        metrics,
        access=_access(settings),
        sampling=sampling,
        lifespan=lifespan,
        conversation_files=files,
    )


def _file_keys(settings: Settings) -> FileKeys:
    """The log's secret signs conversations that leave as files."""
    secrets = (settings.log_secret_bytes, settings.redis_secret_bytes)
    return FileKeys(secrets[::-1] if settings.log == "redis" else secrets)


def _access(settings: Settings) -> Access:
    """The name that it listens on is a name of this server too."""
    api_key = settings.api_key.get_secret_value() if settings.api_key else None
    return Access(api_key, (settings.host, *settings.allowed_hosts), settings.allowed_origins)


def _room(settings: Settings) -> Room:
    """Until the tier of state on disk is there, its oldest files give way."""
    state = settings.data_dir / STATE_NAME
    room = Room(
        settings.data_dir,
        settings.log_reserve,
        lambda num_bytes: remove_oldest(state, num_bytes, promised_keys(state / LEDGER_NAME)),
    )
    room.make(0)
    return room


def _open_storage(settings: Settings, room: Room) -> Storage:
    """Before the model is loaded: whoever mistypes an address should not wait for that."""
    if settings.log == "sqlite":
        return open_local_storage(settings.data_dir, settings.log_secret_bytes, room)
    url = settings.url_of_log
    assert url is not None, "such settings are refused"
    return open_shared_storage(url.get_secret_value(), settings.redis_secret_bytes)


def _load(
    settings: Settings, metrics: Metrics, room: Room, tell: Tell = _nobody
) -> tuple[Engine, TextTokenizer, Style | None, Calling | None, SamplingParams]:
    """An engine that is not started yet, its model's tokenizer, how the model thinks and calls, and how to sample from
    it.

    Raises `StartRefused` with what to do.
    """
    compute_with(settings.threads or os.cpu_count() or 1)
    link = RedisLink.parse(settings.redis.get_secret_value()) if settings.redis else None
    tell(f"loading {settings.model}")
    with headers_read_once():
        loaded = _load_model(settings)
        tokenizer = load_tokenizer(loaded)
    tell(f"comparing {loaded.name} with transformers' own computation")
    runner = ModelRunner(loaded, settings.executor, settings.weights, exact=settings.exact)
    refuse_more_than_fits(settings.kv_memory, runner.device)
    if loaded.checkpoint.gguf:
        refuse_nonsense(runner, tokenizer)
    text_tokenizer = TextTokenizer(tokenizer)
    style, calling = style_of(text_tokenizer, settings.reasoning), calling_of(text_tokenizer)
    for shape, why in text_tokenizer.template.refusals().items():
        _log.warning("the model's chat template refuses %s: %s", shape, why)
    hash_files = FileHashes(settings.data_dir / "model_hashes.json").of
    fingerprint = fingerprint_of(loaded, runner, tokenizer, hash_files, settings.block_size, lossless=settings.lossless)
    cache = _prefix_cache(settings, fingerprint.digest(), runner, link, metrics, room)
    cost_model = CostModel(settings.prefill_budget, runner.pair_cost)
    tell("measuring how fast this machine is")
    calibrate(runner, cost_model, settings.prefill_budget)
    pool = KVPool(runner.layout, runner.device, settings.kv_memory, _spare_bytes(settings, runner))
    engine = Engine(
        runner,
        Vocabulary(backend_of(tokenizer), eos_token_ids(loaded, tokenizer), _marks(text_tokenizer, style, calling)),
        Memory(pool, cache, Saver(cache, metrics.saves), Prefetcher(cache, metrics.prefetches)),
        cost_model,
        metrics.turns,
        _controls(settings, runner, metrics),
        Capacity(settings.prefill_budget, settings.max_waiting),
        _drafter(settings, runner),
    )
    metrics.watch(engine)
    is_models = settings.sampling_defaults == "model"
    sampling = sampling_defaults(loaded.checkpoint) if is_models else SamplingParams()
    return engine, text_tokenizer, style, calling, sampling


def _spare_bytes(settings: Settings, runner: ModelRunner) -> int:
    """Enough for the state of most conversations, and little beside the budget."""
    return min(_MOST_SPARE_BYTES, settings.kv_memory // _SHARE_SPARE, runner.layout.bytes_for(runner.context_length))


def _marks(tokenizer: TextTokenizer, style: Style | None, calling: Calling | None) -> dict[int, str]:
    """The special tokens that the engine tells of."""
    marks = (style.tokens if style else frozenset[str]()) | (calling.tokens if calling else frozenset[str]())
    found = {tokenizer.special_id(mark): mark for mark in marks}
    return {token_id: mark for token_id, mark in found.items() if token_id is not None}


def _load_model(settings: Settings) -> LoadedModel:
    is_bundled = settings.model == BUNDLED
    refuse_unpulled(settings.model, settings.data_dir / MODELS_NAME)
    return load_model(
        str(bundled.path()) if is_bundled else settings.model,
        name=bundled.NAME if is_bundled else None,
        device=settings.device,
        dtype=settings.dtype,
        max_context=settings.max_context,
        pulled=settings.data_dir / MODELS_NAME,
        adapter=settings.adapter,
    )


def _drafter(settings: Settings, runner: ModelRunner) -> Drafter:
    if settings.drafts == "auto":
        return Drafter(WherePaying(step_costs(runner)))
    return Drafter(Always(0 if settings.drafts == "off" else settings.drafts))


def _controls(settings: Settings, runner: ModelRunner, metrics: Metrics) -> Controls:
    mode, rate, seed = ControlMode(settings.control_mode), settings.control_rate, settings.control_seed
    sketch = LogitSketch(runner.vocab_size, runner.device)
    return Controls(mode, rate, seed, sketch, metrics.controls, lossless=settings.lossless)


def _prefix_cache(
    settings: Settings,
    digest: FingerprintDigest,
    runner: ModelRunner,
    link: RedisLink | None,
    metrics: Metrics,
    room: Room,
) -> PrefixCache:
    codec = BlockCodec(digest, runner.layout)
    sealed = SealedCodec(codec, NoSealer())
    wait_seconds = settings.redis_wait_ms / 1000
    tiers: list[GuardedTier] = []
    drop_foreign = promises = None
    if settings.ram_cache:
        tiers.append(GuardedTier(RamTier(settings.ram_cache), metrics.tiers))
    if settings.disk_cache:
        pinned = promised_keys(settings.data_dir / STATE_NAME / LEDGER_NAME)
        disk = open_disk_tier(settings.data_dir, digest, settings.disk_cache, room, pinned)
        guarded = GuardedTier(disk, metrics.tiers)
        tiers.append(guarded)
        drop_foreign = disk.drop_foreign if disk.has_foreign_blocks else None
        promises = _promises(settings, disk, guarded, metrics)
    if link is not None:
        redis = open_redis_tier(
            link,
            Envelope(digest, settings.redis_secret_bytes),
            compressions_of(settings.kv_codec, codec, runner.layout),
            metrics.tiers,
            ttl_seconds=settings.redis_ttl,
            max_block_bytes=sealed.num_bytes(settings.block_size),
            wait_seconds=wait_seconds,
        )
        tiers.append(redis)
    policy = RestorePolicy(runner.layout, [tier.name for tier in tiers], wait_seconds)
    ledger = settings.data_dir / STATE_NAME / "passing" if settings.disk_cache else None
    passing = PassingBlocks(settings.unstored_ttl, ledger)
    return PrefixCache(
        sealed, settings.block_size, tiers, policy, drop_foreign=drop_foreign, passing=passing, promises=promises
    )


def _promises(settings: Settings, disk: DiskTier, guarded: GuardedTier, metrics: Metrics) -> Promises:
    """No more is promised than the tier holds."""
    ledger = Ledger(settings.data_dir / STATE_NAME / LEDGER_NAME)
    budget_bytes = min(settings.promise_budget, settings.disk_cache)
    limits = Limits(budget_bytes, settings.promise_longest, lambda: guarded.writable)
    promises = Promises(disk, ledger, limits, metrics.promises)
    disk.lost = promises.lost
    return promises

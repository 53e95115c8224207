"""What is deleted is gone from memory and from every tier when the call returns, and nothing that others share is."""

import time
from collections.abc import Collection
from pathlib import Path

import pytest
from tests.support.conversation import REPLY_TOKENS, Conversation, converse
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels

from warmturn_server.engine.kv_pool import KVPool
from warmturn_server.kvcache import DiskTier
from warmturn_server.kvcache.keys import BlockKey


@pytest.fixture(scope="module")
def llama(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    return converse(tiny_models(), tmp_path_factory.mktemp("llama"))


def test_a_forgotten_conversation_is_in_no_tier(
    llama: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked to forget right after the turn, while its state may still be on its way to the tiers: it waits."""
    remove_many = DiskTier.remove_many

    def slowly(tier: DiskTier, keys: Collection[BlockKey]) -> None:
        time.sleep(0.3)
        remove_many(tier, keys)

    monkeypatch.setattr(DiskTier, "remove_many", slowly)
    with running_engine(llama.model, tmp_path) as engine:
        for turn in llama.turns[:2]:
            engine.generate(greedy(turn.prompt, REPLY_TOKENS))
        engine.forget("", llama.turns[1].token_ids)
        assert list(tmp_path.rglob("*.kv")) == []
        assert llama.ask(engine, 2).report.cached_tokens == 0


def test_what_others_go_on_from_is_not_forgotten(llama: Conversation, tmp_path: Path) -> None:
    shared = len(llama.turns[0].token_ids)
    with running_engine(llama.model, tmp_path) as engine:
        for turn in llama.turns[:2]:
            engine.generate(greedy(turn.prompt, REPLY_TOKENS))
        engine.forget("", llama.turns[1].token_ids, keep_tokens=shared)
        assert llama.ask(engine, 1).report.cached_tokens == shared - 1


def test_a_call_that_fails_does_not_end_the_engine(
    llama: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_engine(llama.model, tmp_path) as engine:
        with monkeypatch.context() as broken:
            broken.setattr(KVPool, "clear", None)
            engine.evict_idle()
        assert engine.generate(greedy(llama.first.prompt, REPLY_TOKENS)).token_ids == llama.first.reply

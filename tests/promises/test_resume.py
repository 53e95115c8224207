"""Promises 1 and 2: evicted, restarted or corrupted, a conversation goes on token for token as if nothing had been."""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.support.conversation import REPLY_TOKENS, Conversation, converse
from tests.support.engines import BLOCK_SIZE, greedy, running_engine
from tests.support.models import SERVED, TinyModels
from tests.support.reference import Reference, random_ids
from tests.support.tokenizer import tiny_tokenizer

from warmturn_server.engine import Engine
from warmturn_server.engine.admission import Plan
from warmturn_server.engine_api import Generated, MissReason, TurnReport
from warmturn_server.kvcache import KVBuffer

pytestmark = pytest.mark.usefixtures("restoring_always_wins")


def used_tiers(report: TurnReport) -> dict[str, int]:
    return {tier: num_tokens for tier, num_tokens in report.cached_by_tier.items() if num_tokens}


@pytest.fixture(scope="module", params=SERVED)
def conversation(
    request: pytest.FixtureRequest, tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Conversation:
    return converse(tiny_models(request.param), tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Conversation:
    return converse(tiny_models(), tmp_path_factory.mktemp("llama"))


def assert_as_uninterrupted(conversation: Conversation, number: int, answer: Generated, tier: str) -> None:
    """Same tokens, and log-probabilities equal to the last bit: the state is the same, not nearly the same."""
    expected = conversation.uninterrupted[number]
    assert answer.token_ids == expected.token_ids
    assert answer.logprobs == expected.logprobs
    assert answer.report.cached_by_tier.get(tier) == expected.report.cached_tokens
    assert answer.report.prefilled_tokens == expected.report.prefilled_tokens
    assert answer.report.miss is None


def test_after_eviction_to_ram(conversation: Conversation, tmp_path: Path) -> None:
    with running_engine(conversation.model, tmp_path, disk_cache=0) as engine:
        conversation.ask(engine, 0)
        for number in (1, 2, 3):
            engine.flush()
            engine.evict_idle()
            assert_as_uninterrupted(conversation, number, conversation.ask(engine, number), "ram")


def test_after_eviction_to_disk(conversation: Conversation, tmp_path: Path) -> None:
    with running_engine(conversation.model, tmp_path, ram_cache=0) as engine:
        conversation.ask(engine, 0)
        for number in (1, 2, 3):
            engine.flush()
            engine.evict_idle()
            assert_as_uninterrupted(conversation, number, conversation.ask(engine, number), "disk")


def test_after_a_restart_before_every_turn(conversation: Conversation, tmp_path: Path) -> None:
    for number in range(4):
        with running_engine(conversation.model, tmp_path) as engine:
            answer = conversation.ask(engine, number)
            if number:
                assert_as_uninterrupted(conversation, number, answer, "disk")


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_in_bfloat16_restored_state_goes_on_bit_for_bit(
    tiny_models: TinyModels, tmp_path: Path, architecture: str
) -> None:
    """Against full recomputation a near-tie may flip in bfloat16; against a conversation that stayed, nothing may."""
    model, histories, expected = tiny_models(architecture), [random_ids(random.Random(1), 30)], list[Generated]()
    with running_engine(model, tmp_path / "stayed", dtype="bfloat16") as engine:
        for number in range(4):
            expected.append(engine.generate(greedy(histories[-1], REPLY_TOKENS)))
            histories.append((*histories[-1], *expected[-1].token_ids, 70 + number, 80 + number))
    for number in range(4):
        with running_engine(model, tmp_path / "restarted", dtype="bfloat16") as engine:
            answer = engine.generate(greedy(histories[number], REPLY_TOKENS))
        assert (answer.token_ids, answer.logprobs) == (expected[number].token_ids, expected[number].logprobs)
        assert answer.report.cached_by_tier.get("disk", 0) == expected[number].report.cached_tokens


def test_on_another_machine(conversation: Conversation, tmp_path: Path) -> None:
    """The saved blocks alone, copied elsewhere, and the model under another path."""
    with running_engine(conversation.model, tmp_path / "here") as engine:
        conversation.ask(engine, 0)
    shutil.copytree(tmp_path / "here" / "kv", tmp_path / "there" / "kv")
    model = shutil.copytree(conversation.model, tmp_path / "the same model")
    with running_engine(model, tmp_path / "there") as engine:
        assert_as_uninterrupted(conversation, 1, conversation.ask(engine, 1), "disk")


def test_without_any_tier_everything_is_computed_and_right(llama: Conversation, tmp_path: Path) -> None:
    with running_engine(llama.model, tmp_path, ram_cache=0, disk_cache=0) as engine:
        for number in range(4):
            engine.evict_idle()
            answer = llama.ask(engine, number)
            assert answer.token_ids == llama.turns[number].reply
            assert answer.report.cached_tokens == 0
            if number:
                assert answer.report.miss is not None
                assert answer.report.miss.at_token == 0


@contextmanager
def resumed(conversation: Conversation, data_dir: Path, **settings: object) -> Iterator[Engine]:
    """A new engine on the folder where another one served the first turn."""
    with running_engine(conversation.model, data_dir, **settings) as engine:
        conversation.ask(engine, 0)
    with running_engine(conversation.model, data_dir, **settings) as engine:
        yield engine


@pytest.mark.parametrize("num_tokens", range(1, 3 * BLOCK_SIZE + 2))
def test_a_history_of_every_length_is_resumed_at_its_last_token(
    llama: Conversation, tmp_path: Path, num_tokens: int
) -> None:
    history = random_ids(random.Random(num_tokens), num_tokens)
    with running_engine(llama.model, tmp_path) as engine:
        reply = engine.generate(greedy(history, 1)).token_ids
        prompt = (*history, *reply, 99, 98)
        expected = engine.generate(greedy(prompt, 5))
        assert used_tiers(expected.report) == {"resident": num_tokens}
    shutil.rmtree(tmp_path / "kv")
    with running_engine(llama.model, tmp_path) as engine:
        engine.generate(greedy(history, 1))
        engine.flush()
        engine.evict_idle()
        answer = engine.generate(greedy(prompt, 5))
        assert used_tiers(answer.report) == {"ram": num_tokens}
        assert (answer.token_ids, answer.logprobs) == (expected.token_ids, expected.logprobs)


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 8, 9, 13, 512])
def test_prompts_chunked_at_any_size_resume_alike(llama: Conversation, tmp_path: Path, budget: int) -> None:
    """The saved state was computed in other chunks than the state that it continues."""
    with running_engine(llama.model, tmp_path, prefill_budget=budget) as engine:
        assert llama.ask(engine, 0).token_ids == llama.turns[0].reply
    with running_engine(llama.model, tmp_path) as engine:
        for number in (1, 2, 3):
            answer = llama.ask(engine, number)
            assert answer.token_ids == llama.turns[number].reply
            assert answer.report.cached_tokens == len(llama.turns[number - 1].token_ids) - 1


@pytest.mark.parametrize("block_size", [1, 2, 5, 16, 64])
def test_any_block_size_resumes_alike(llama: Conversation, tmp_path: Path, block_size: int) -> None:
    for number in range(4):
        with running_engine(llama.model, tmp_path, block_size=block_size) as engine:
            answer = llama.ask(engine, number)
            assert answer.token_ids == llama.turns[number].reply
            if number:
                assert used_tiers(answer.report) == {"disk": len(llama.turns[number - 1].token_ids) - 1}


def test_every_corrupt_block_costs_time_and_is_told(llama: Conversation, tmp_path: Path) -> None:
    """One byte of each block's payload, header or checksum: recomputed from there on, with the same answer."""
    with running_engine(llama.model, tmp_path / "sound") as engine:
        llama.ask(engine, 0)
    blocks = sorted(path.relative_to(tmp_path) for path in (tmp_path / "sound").rglob("*.kv"))
    assert len(blocks) == 3
    reasons = set()
    for number, block in enumerate(blocks):
        for position in (0, 100, -17, -1, -500):
            damaged = tmp_path / f"damaged {number} {position}"
            shutil.copytree(tmp_path / "sound", damaged)
            file = damaged / block.relative_to("sound")
            content = bytearray(file.read_bytes())
            content[position] ^= 1
            file.write_bytes(content)
            with running_engine(llama.model, damaged, ram_cache=0) as engine:
                answer = llama.ask(engine, 1)
                assert answer.token_ids == llama.turns[1].reply
                assert answer.report.miss is not None
                assert answer.report.miss.at_token == answer.report.cached_tokens
                assert answer.report.cached_tokens % BLOCK_SIZE == 0
                reasons.add(answer.report.miss.reason)
                engine.flush()
                engine.evict_idle()
                assert used_tiers(llama.ask(engine, 2).report) == {"disk": len(llama.turns[1].token_ids) - 1}
    assert reasons == {MissReason.CORRUPT}


def test_cut_and_swapped_blocks_never_give_a_wrong_token(llama: Conversation, tmp_path: Path) -> None:
    with running_engine(llama.model, tmp_path / "sound") as engine:
        llama.ask(engine, 0)
    blocks = sorted((tmp_path / "sound").rglob("*.kv"))
    contents = [block.read_bytes() for block in blocks]
    chance = random.Random(0)
    for round_number in range(12):
        for block, content in zip(blocks, contents, strict=True):
            other = chance.choice(contents)
            cut = chance.randrange(len(content))
            block.write_bytes(chance.choice([content, content[:cut], other, content[:cut] + other[cut:], b""]))
        damaged = tmp_path / f"damaged {round_number}"
        shutil.copytree(tmp_path / "sound", damaged)
        with running_engine(llama.model, damaged) as engine:
            assert llama.ask(engine, 1).token_ids == llama.turns[1].reply


def test_a_tier_that_dies_between_match_and_restore_costs_time_only(
    llama: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resumed(llama, tmp_path, ram_cache=0) as engine:
        admit = engine._admission.admit

        def admit_then_lose(*given: object) -> Plan | None:
            match = admit(*given)  # type: ignore[arg-type]
            shutil.rmtree(tmp_path / "kv", ignore_errors=True)
            return match

        monkeypatch.setattr(engine._admission, "admit", admit_then_lose)
        answer = llama.ask(engine, 1)
        assert answer.token_ids == llama.turns[1].reply
        assert answer.report.cached_tokens == 0
        assert answer.report.miss is not None


def test_a_restore_that_fails_half_way_costs_time_only(
    llama: Conversation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with resumed(llama, tmp_path) as engine:
        write, written = KVBuffer.write, list[int]()

        def write_one_then_fail(buffer: KVBuffer, start: int, num_tokens: int, payload: memoryview) -> None:
            if written:
                raise RuntimeError("half way")
            written.append(start)
            write(buffer, start, num_tokens, payload)

        monkeypatch.setattr(KVBuffer, "write", write_one_then_fail)
        answer = llama.ask(engine, 1)
        assert written
        assert answer.token_ids == llama.turns[1].reply
        report = answer.report
        assert report.cached_tokens + report.prefilled_tokens == report.prompt_tokens
        assert sum(report.cached_by_tier.values()) == report.cached_tokens


def changed_weights(model: Path) -> None:
    path = model / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.self_attn.k_proj.weight"][0, 0] += 1e-3
    save_file(tensors, path, metadata={"format": "pt"})


def changed_rope(model: Path) -> None:
    config = (model / "config.json").read_text()
    assert "10000.0" in config
    (model / "config.json").write_text(config.replace("10000.0", "10001.0"))


def changed_config(model: Path) -> None:
    config = (model / "config.json").read_text()
    assert '"rms_norm_eps": 1e-06' in config
    (model / "config.json").write_text(config.replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))


def changed_tokenizer(model: Path) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<one more>"])
    tokenizer.save(str(model / "tokenizer.json"))


def changed_template(model: Path) -> None:
    path = model / "chat_template.jinja"
    path.write_text(path.read_text() + " ")


CHANGES = [changed_weights, changed_rope, changed_config, changed_tokenizer, changed_template]


@pytest.mark.parametrize("change", CHANGES)
def test_state_of_a_changed_model_is_never_used(
    llama: Conversation, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    model, data_dir = shutil.copytree(llama.model, tmp_path / "model"), tmp_path / "data"
    with running_engine(model, data_dir) as engine:
        llama.ask(engine, 0)
    change(model)
    turn = Reference(model).turn(llama.turns[0].token_ids, random.Random(1), 5, REPLY_TOKENS)
    known = len(llama.turns[0].token_ids) - 1
    with running_engine(model, data_dir) as engine:
        answer = engine.generate(greedy(turn.prompt, REPLY_TOKENS, known_tokens=known))
    assert answer.token_ids == turn.reply
    assert answer.report.cached_tokens == 0
    assert answer.report.miss is not None
    assert (answer.report.miss.at_token, answer.report.miss.reason) == (0, MissReason.FINGERPRINT)


@pytest.mark.parametrize("settings", [{"block_size": 16}, {"dtype": "bfloat16"}], ids=str)
def test_state_of_other_settings_is_never_used(
    llama: Conversation, tmp_path: Path, settings: dict[str, object]
) -> None:
    with running_engine(llama.model, tmp_path) as engine:
        llama.ask(engine, 0)
    with running_engine(llama.model, tmp_path, **settings) as engine:
        report = llama.ask(engine, 1).report
    assert report.cached_tokens == 0
    assert report.miss is not None
    assert report.miss.reason is MissReason.FINGERPRINT


def test_another_tenant_gets_the_same_answer_and_none_of_the_state(llama: Conversation, tmp_path: Path) -> None:
    with running_engine(llama.model, tmp_path) as engine:
        first = engine.generate(greedy(llama.first.prompt, REPLY_TOKENS, tenant="anna"))
        other = engine.generate(greedy(llama.first.prompt, REPLY_TOKENS, tenant="bob"))
        again = engine.generate(greedy(llama.first.prompt, REPLY_TOKENS, tenant="anna"))
    assert first.token_ids == other.token_ids == again.token_ids == llama.first.reply
    assert (other.report.cached_tokens, again.report.cached_tokens) == (0, len(llama.first.prompt) - 1)

"""Promise 2, by chance: whatever is done to conversations and their state, the next answer is the recomputed one."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule
from tests.support.engines import BLOCK_SIZE, all_at_once, greedy, running_engine
from tests.support.models import SLIDING_WINDOW, TinyModels
from tests.support.reference import Reference, assert_greedy
from tests.support.tokenizer import TOKENIZER_SIZE

from warmturn_server.engine_api import Generated, ReuseMode

Tokens = tuple[int, ...]
History = tuple[Tokens, ...]
"""What a conversation's turns have left: prompt and reply of each, one after the other."""

WORDS = st.lists(st.integers(3, TOKENIZER_SIZE - 1), min_size=1, max_size=2 * BLOCK_SIZE + 1).map(tuple)
REPLY_TOKENS = st.integers(1, BLOCK_SIZE + 1)
SETTINGS = st.fixed_dictionaries(
    {
        "prefill_budget": st.sampled_from([3, 16, 512]),
        "ram_cache": st.sampled_from([0, 30_000, 10**8]),
        "disk_cache": st.sampled_from([0, 60_000, 10**8]),
        "kv_memory": st.sampled_from([1_000_000, 10**8]),
    }
)


class Conversations(RuleBasedStateMachine):
    """Real engines on one data folder, restarted with other settings as it comes, against a recomputing oracle."""

    model: Path
    oracle: Reference

    conversations = Bundle("conversations")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="warmturn-"))
        self.settings: dict[str, object] = {}
        self.open_engine()

    def open_engine(self) -> None:
        self._running = running_engine(self.model, self.folder, **self.settings)
        self.engine = self._running.__enter__()

    def close_engine(self) -> None:
        self._running.__exit__(None, None, None)

    def teardown(self) -> None:
        self.close_engine()
        shutil.rmtree(self.folder)

    def check(self, prompt: Tokens, answer: Generated) -> None:
        """The reply is what recomputing everything gives; a tie within rounding may go either way."""
        assert_greedy(self.oracle, prompt, answer.token_ids, ignore_eos=True)
        report = answer.report
        assert report.cached_tokens + report.prefilled_tokens == report.prompt_tokens == len(prompt)
        assert sum(report.cached_by_tier.values()) == report.cached_tokens < report.prompt_tokens
        assert report.miss is None or report.miss.at_token <= report.prompt_tokens

    def say(self, history: History, words: Tokens, count: int, reuse: ReuseMode = ReuseMode.STATE) -> History:
        prompt = sum(history, ()) + words
        known = len(prompt) - len(words) - 1 if history else 0
        answer = self.engine.generate(greedy(prompt, count, reuse, known_tokens=known))
        assert len(answer.token_ids) == count
        self.check(prompt, answer)
        return (*history, words + answer.token_ids)

    @initialize(target=conversations, words=WORDS, count=REPLY_TOKENS)
    def begin_first(self, words: Tokens, count: int) -> History:
        return self.say((), words, count)

    @rule(target=conversations, words=WORDS, count=REPLY_TOKENS)
    def begin(self, words: Tokens, count: int) -> History:
        return self.say((), words, count)

    @rule(target=conversations, history=consumes(conversations), words=WORDS, count=REPLY_TOKENS)
    def append(self, history: History, words: Tokens, count: int) -> History:
        return self.say(history, words, count)

    @rule(target=conversations, history=conversations, words=WORDS, count=REPLY_TOKENS, data=st.data())
    def fork(self, history: History, words: Tokens, count: int, data: st.DataObject) -> History:
        kept = data.draw(st.integers(0, len(history)))
        return self.say(history[:kept], words, count)

    @rule(target=conversations, history=consumes(conversations), words=WORDS, count=REPLY_TOKENS, data=st.data())
    def edit(self, history: History, words: Tokens, count: int, data: st.DataObject) -> History:
        """An earlier turn loses its end, in the middle of a block or not, and goes on otherwise."""
        at = data.draw(st.integers(0, len(history) - 1))
        cut = data.draw(st.integers(1, len(history[at])))
        return self.say((*history[:at], history[at][:cut]), words, count)

    @rule(history=conversations, count=REPLY_TOKENS, reuse=st.sampled_from(ReuseMode))
    def regenerate(self, history: History, count: int, reuse: ReuseMode) -> None:
        """The last turn's prompt once more, in any mode: nothing of its old reply may show."""
        *before, last = history
        self.say(tuple(before), last[: max(1, len(last) - count)], count, reuse)

    @rule(histories=st.lists(conversations, min_size=2, max_size=4), words=WORDS, count=REPLY_TOKENS)
    def all_together(self, histories: list[History], words: Tokens, count: int) -> None:
        prompts = [sum(history, ()) + words for history in histories]
        for prompt, answer in zip(
            prompts, all_at_once(self.engine, [greedy(prompt, count) for prompt in prompts]), strict=True
        ):
            self.check(prompt, answer)

    @rule()
    def evict_to_tiers(self) -> None:
        self.engine.flush()
        self.engine.evict_idle()

    @rule(chosen=SETTINGS)
    def restart(self, chosen: dict[str, object]) -> None:
        self.close_engine()
        self.settings = chosen
        self.open_engine()

    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        """Somebody cuts a block file, or turns a byte of it."""
        self.engine.flush()
        files = sorted(path for path in self.folder.rglob("*.kv") if path.stat().st_size)
        if not files:
            return
        path = data.draw(st.sampled_from(files))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] ^= 0x20
        else:
            content = content[:at]
        path.write_bytes(content)

    @rule(history=consumes(conversations))
    def delete(self, history: History) -> None:
        self.engine.forget("", sum(history, ()))

    @rule()
    def settle(self) -> None:
        """Everything else happens while the last turns may still be on their way to the tiers."""
        self.engine.flush()
        assert (self.engine.num_running, self.engine.num_waiting) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_conversations_in_any_order(tiny_models: TinyModels, architecture: str) -> None:
    class OnThisModel(Conversations):
        model = tiny_models(architecture)
        oracle = Reference(tiny_models(architecture))

    assert SLIDING_WINDOW > 2 * BLOCK_SIZE
    machine = OnThisModel.TestCase
    machine.settings = settings(
        max_examples=20,
        stateful_step_count=16,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    machine("runTest").runTest()

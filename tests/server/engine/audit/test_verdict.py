"""What an audit asks for and concludes, on made-up logits."""

import torch

from warmturn_server.engine.audit.logit_sketch import SKETCH_DIM, LogitSketch, WatchedLogits
from warmturn_server.engine.audit.noise_floor import NoiseFloor
from warmturn_server.engine.audit.verdict import TOLERATED, Audit, Replay, Result

VOCABULARY, COUNT = 1000, 24
SKETCH = LogitSketch(VOCABULARY, torch.device("cpu"))
TRUTH = torch.randn(COUNT, VOCABULARY, generator=torch.Generator().manual_seed(0)) * 3


def watch(seed: int, noise: float, first: int = 0) -> WatchedLogits:
    """The true logits with noise of this share of their spread."""
    logits = TRUTH + torch.randn(TRUTH.shape, generator=torch.Generator().manual_seed(seed)) * 3 * noise
    seen = WatchedLogits(SKETCH, first, COUNT)
    seen.record(range(first, COUNT), logits[first:])
    return seen


def learned(noise: float) -> NoiseFloor:
    floor = NoiseFloor(torch.bfloat16)
    for _ in range(8):
        floor.observe(noise)
    return floor


def conclude(audit: Audit, **replays: WatchedLogits) -> tuple[list[Replay], Result]:
    asked = []
    while (replay := audit.next) is not None:
        asked.append(replay)
        audit.take(replay, replays[replay.value])
    return asked, audit.verdict().result


def test_a_sketch_keeps_distances() -> None:
    for noise in (1e-4, 0.01, 0.3):
        deviation = watch(1, noise).deviation(watch(2, 0.0))
        assert deviation is not None
        assert abs(deviation / noise - 1) < 0.1
    assert SKETCH.of(TRUTH).shape == (COUNT, SKETCH_DIM + 1)


def test_what_looks_good_needs_one_replay() -> None:
    audit = Audit(watch(1, 0.01), reused=True, floor=learned(0.01))
    assert conclude(audit, scratch=watch(2, 0.005)) == ([Replay.SCRATCH], Result.CLEAN)


def test_what_looks_bad_is_computed_a_second_time() -> None:
    audit = Audit(watch(1, 0.2), reused=True, floor=learned(0.01))
    replays = {"scratch": watch(2, 0.01), "again": watch(3, 0.01)}
    assert conclude(audit, **replays) == ([Replay.SCRATCH, Replay.AGAIN], Result.BREACH)


def test_a_turn_whose_recomputations_differ_as_much_is_no_breach() -> None:
    """Some texts are harder to round than others."""
    audit = Audit(watch(1, 0.1), reused=True, floor=learned(0.01))
    assert conclude(audit, scratch=watch(2, 0.1), again=watch(3, 0.1))[1] is Result.CLEAN


def test_one_bad_recomputation_is_no_breach() -> None:
    audit = Audit(watch(1, 0.01), reused=True, floor=learned(0.01))
    assert conclude(audit, scratch=watch(2, 0.5), again=watch(3, 0.01))[1] is Result.CLEAN


def test_a_turn_recorded_from_scratch_is_compared_with_its_state() -> None:
    audit = Audit(watch(1, 0.01), reused=False, floor=learned(0.01))
    assert conclude(audit, reused=watch(2, 0.5), again=watch(3, 0.01)) == (
        [Replay.REUSED, Replay.AGAIN],
        Result.BREACH,
    )


def test_no_number_at_all_is_a_breach_if_it_came_from_state_alone() -> None:
    broken = watch(1, float("nan"))
    audit = Audit(broken, reused=True, floor=learned(0.01), lossless=False)
    assert conclude(audit, scratch=watch(2, 0.01), again=watch(3, 0.01))[1] is Result.BREACH
    audit = Audit(watch(1, 0.01), reused=True, floor=learned(0.01))
    assert conclude(audit, scratch=broken, again=broken)[1] is Result.INCONCLUSIVE


def test_state_that_was_rounded_on_purpose_is_not_called_bad() -> None:
    audit = Audit(watch(1, 0.2), reused=True, floor=learned(0.01), lossless=False)
    assert conclude(audit, scratch=watch(2, 0.01), again=watch(3, 0.01))[1] is Result.INCONCLUSIVE


def test_nothing_in_common_says_nothing() -> None:
    audit = Audit(watch(1, 0.01), reused=False, floor=learned(0.01))
    assert conclude(audit, reused=watch(2, 0.0, first=COUNT)) == ([Replay.REUSED], Result.INCONCLUSIVE)


def test_a_floor_of_exactly_0_does_not_make_rounding_an_alarm() -> None:
    floor = NoiseFloor(torch.float32)
    for _ in range(8):
        floor.observe(0.0)
    audit = Audit(watch(1, 1e-6), reused=True, floor=floor)
    assert conclude(audit, scratch=watch(2, 0.0))[1] is Result.CLEAN


def test_bad_state_cannot_raise_the_floor() -> None:
    floor = learned(0.01)
    for seed in range(100):
        audit = Audit(watch(seed, 0.5), reused=True, floor=floor)
        assert conclude(audit, scratch=watch(-seed - 1, 0.01), again=watch(-seed - 2, 0.01))[1] is Result.BREACH
    assert floor.value is not None and floor.value < 0.02 * TOLERATED


def test_the_floor_goes_on_learning_now_and_then() -> None:
    floor = learned(0.01)
    asked = []
    for seed in range(1, 40):
        audit = Audit(watch(seed, 0.005), reused=True, floor=floor)
        replays, result = conclude(audit, scratch=watch(100 + seed, 0.005), again=watch(200 + seed, 0.005))
        assert result is Result.CLEAN
        asked.append(Replay.AGAIN in replays)
    assert [number for number, twice in enumerate(asked) if twice] == [16, 32]

"""What a GPU is told and asked, as far as that shows without one; on one, WARMTURN_TESTS_DEVICE=cuda runs all of it."""

from collections.abc import Iterator

import pytest
import torch
from tests.support.device import DEVICE
from tests.support.models import TinyModels

from warmturn_server.engine import CostModel, ModelRunner, Work, calibrate, load_model
from warmturn_server.engine.model.device import refuse_more_than_fits, same_work_same_bits
from warmturn_server.errors import StartRefused

GPU = torch.device("cuda")


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """These settings are the process's."""
    deterministic, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    yield
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@pytest.mark.usefixtures("as_it_was")
def test_float32_stays_float32_and_sums_keep_their_order() -> None:
    torch.set_float32_matmul_precision("high")
    same_work_same_bits(GPU)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("kv_bytes", "refused"), [(2**30, False), (2**30 + 1, True)])
def test_a_budget_that_does_not_fit_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, kv_bytes: int, refused: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**33))
    if refused:
        with pytest.raises(StartRefused, match=r"--kv-memory .* lower it"):
            refuse_more_than_fits(kv_bytes, GPU)
    else:
        refuse_more_than_fits(kv_bytes, GPU)


def test_main_memory_is_the_operating_systems_business() -> None:
    refuse_more_than_fits(2**60, torch.device("cpu"))


@pytest.fixture(scope="module")
def runner(tiny_models: TinyModels) -> ModelRunner:
    return ModelRunner(load_model(str(tiny_models()), device=str(DEVICE), dtype="float32", max_context=None))


def test_the_clock_stops_when_the_work_is_done(runner: ModelRunner) -> None:
    """After a forward pass nothing is left to wait for."""
    logits = runner.forward([Work(runner.buffer(), range(3, 203))])
    if logits.is_cuda:
        assert torch.cuda.current_stream(DEVICE).query()
    assert logits.isfinite().all()


def test_what_is_calibrated_is_the_speed_of_a_warm_machine(runner: ModelRunner) -> None:
    cost_model = CostModel(512, runner.pair_cost)
    calibrate(runner, cost_model, 512)
    expected = cost_model.seconds(512)
    assert expected is not None
    assert 0 < expected < 10


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_same_work_gives_the_same_bits(tiny_models: TinyModels, dtype: str) -> None:
    """In a buffer of another size, after other work: what a restored conversation is."""
    runner = ModelRunner(load_model(str(tiny_models()), device=str(DEVICE), dtype=dtype, max_context=None))
    said = []
    for capacity in (0, 64, 1000):
        buffer = runner.buffer(capacity)
        steps = [range(3, 103), range(50, 71), range(9, 10), range(10, 11)]
        said.append([runner.forward([Work(buffer, list(ids))]) for ids in steps])
        runner.forward([Work(runner.buffer(), range(3, 40)), Work(runner.buffer(), range(3, 80))])
    for other in said[1:]:
        assert all(torch.equal(*pair) for pair in zip(said[0], other, strict=True))

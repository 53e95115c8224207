"""Trains the bundled model; stops and resumes at any step.

python -m warmturn_mini.train --work-dir /tmp/bundled --device cuda --workers 6 --export
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from warmturn_server.bundled import path

from . import network
from .batches import Batch, Batches, Rows
from .recipe import FROM_NOISE, GOING_ON, SHAPE, TOKENS, Rates, Recipe, Shape

WARM_UP_SHARE, WARM_UP_STEPS = 0.05, 200
"""Of the tokens that are planned; as long as nothing is planned, by steps."""
CLIP = 1.0
WARM_STEPS = 5
"""After so many everything is compiled."""
REPORTED_STEPS = 25
ENDLESS = 10**9


Body = Callable[..., tuple[Tensor, ...]]
"""The layers without the head: compiled they take half the time."""


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    total_tokens: int = 0
    """How many it will have read in the end; 0 as long as that is not planned."""


def optimizers(model: LlamaForCausalLM, rates: Rates) -> Sequence[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings and norms."""
    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return (
        torch.optim.Muon(inner, lr=rates.matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rates.others, betas=(0.9, 0.98), weight_decay=0.0),
    )


def share_of_rate(progress: Progress) -> float:
    """A short warm-up, a plateau, and a straight line to zero over the last half."""
    if not progress.total_tokens:
        return min(1.0, (progress.step + 1) / WARM_UP_STEPS)
    warm_up = (progress.tokens + 1) / (WARM_UP_SHARE * progress.total_tokens)
    return min(1.0, warm_up, 2 * max(progress.total_tokens - progress.tokens, 0) / progress.total_tokens)


def loss_of(model: LlamaForCausalLM, body: Body, batch: Batch) -> Tensor:
    """Cross-entropy of the learned tokens only; the vocabulary's logits are not computed elsewhere."""
    device = model.device
    tokens, positions, learned = (part.to(device, non_blocking=True).long() for part in batch)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = body(tokens, position_ids=positions, use_cache=False, return_dict=False)[0]
        logits = model.lm_head(hidden.flatten(0, 1)[learned - 1])
    return cross_entropy(logits.float(), tokens.flatten()[learned])


@dataclass(frozen=True)
class Machine:
    """What it is trained on; changes nothing but the time that it takes."""

    device: torch.device
    workers: int
    compiled: bool


class Plan:
    """How many tokens are read: a given number, or as many as fit into the given seconds.

    In the second case the number follows the speed until then, so that the rate falls to zero just as the time is
    over, whatever else the machine does. The log and the checkpoint hold the last one.
    """

    def __init__(self, tokens: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.tokens = tokens
        self.seconds = seconds
        self.clock = clock
        self.started = clock()
        self.steps = 0
        self.warm = 0, 0.0
        """Tokens and seconds when everything was compiled."""

    def total_tokens(self, progress: Progress) -> int:
        """Asked before each step."""
        if self.seconds == math.inf:
            return progress.total_tokens or self.tokens
        passed = self.clock() - self.started
        self.steps += 1
        if self.steps <= WARM_STEPS:
            self.warm = progress.tokens, passed
            return progress.total_tokens
        tokens, seconds = self.warm
        speed = (progress.tokens - tokens) / (passed - seconds)
        return progress.tokens + int(speed * max(self.seconds - passed, 0.0))

    def is_over(self, progress: Progress) -> bool:
        late = self.clock() - self.started >= self.seconds
        return late or 0 < progress.total_tokens <= progress.tokens


class Trainer:
    def __init__(self, shape: Shape, recipe: Recipe, seed: int, machine: Machine, work_dir: Path) -> None:
        torch.manual_seed(seed)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path())
        self.model = network.fresh(network.config(*shape, pad=tokenizer.pad_token_id, eos=tokenizer.eos_token_id))
        torch.nn.Module.to(self.model, machine.device)
        self.body: Body = torch.compile(self.model.model, dynamic=True) if machine.compiled else self.model.model
        self.optimizers = optimizers(self.model, recipe.rates)
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.machine = machine
        self.batches = Batches(Rows(tokenizer, seed), recipe.mixes)
        self.progress = Progress()
        self.work_dir = work_dir
        self.checkpoint = work_dir / "checkpoint.pt"
        work_dir.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()

    def start_from(self, folder: Path) -> None:
        """Goes on from trained weights; what was learned about the gradients begins anew."""
        trained = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.model.load_state_dict(trained.state_dict())

    def run(self, plan: Plan, save_every_seconds: float = 60.0) -> None:
        saved = time.monotonic()
        losses: list[Tensor] = []
        for loss in self._steps(plan):
            losses.append(loss)
            if len(losses) == REPORTED_STEPS:
                self._report(torch.stack(losses).mean().item())
                losses.clear()
                if time.monotonic() - saved > save_every_seconds:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def save(self) -> None:
        temporary = self.checkpoint.with_suffix(".new")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "progress": vars(self.progress),
            },
            temporary,
        )
        temporary.replace(self.checkpoint)

    def export(self, folder: Path) -> None:
        self.model.bfloat16()
        self.model.save_pretrained(folder)

    def _resume(self) -> None:
        saved = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(saved["model"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.progress = Progress(**saved["progress"])

    def _report(self, loss: float) -> None:
        done = self.progress
        print(
            f"step {done.step} tokens {done.tokens} of {done.total_tokens} loss {loss:.4f} "
            f"rate {share_of_rate(done):.2f} seconds {done.seconds:.0f}",
            flush=True,
        )
        if not math.isfinite(loss):
            raise ArithmeticError(f"loss {loss} at step {done.step}")

    def _steps(self, plan: Plan) -> Iterator[Tensor]:
        started = time.monotonic() - self.progress.seconds
        self.progress.total_tokens = plan.total_tokens(self.progress)
        for batch in self._loader():
            if plan.is_over(self.progress):
                return
            self._set_rates(share_of_rate(self.progress))
            loss = self._step(batch)
            self.progress.step += 1
            self.progress.tokens += batch.tokens.numel()
            self.progress.seconds = time.monotonic() - started
            self.progress.total_tokens = plan.total_tokens(self.progress)
            yield loss

    def _loader(self) -> DataLoader[Batch]:
        workers = self.machine.workers
        return DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(self.progress.step, ENDLESS),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.machine.device.type == "cuda",
        )

    def _step(self, batch: Batch) -> Tensor:
        loss = loss_of(self.model, self.body, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    def _set_rates(self, share: float) -> None:
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, required=True, help="for checkpoints; not inside the repository")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that make the dialogues")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--minutes", type=float, default=math.inf, help="instead of --tokens: as many as it can read")
    parser.add_argument(
        "--start-from", type=Path, help="a folder with weights to go on from, not noise: smaller steps, lower rates"
    )
    parser.add_argument("--export", type=Path, nargs="?", const=path(), help="write the weights here at the end")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = Machine(arguments.device, arguments.workers, compiled=not arguments.eager)
    recipe = GOING_ON if arguments.start_from else FROM_NOISE
    trainer = Trainer(SHAPE, recipe, arguments.seed, machine, arguments.work_dir)
    if arguments.start_from and not trainer.progress.step:
        trainer.start_from(arguments.start_from)
    trainer.run(Plan(arguments.tokens, arguments.minutes * 60))
    if arguments.export:
        trainer.export(arguments.export)


if __name__ == "__main__":
    main()

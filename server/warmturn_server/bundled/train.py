"""Trains the bundled model, in stages of growing length; stops and resumes at any step.

python -m warmturn_server.bundled.train --work-dir /tmp/bundled --export
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from . import network, path
from .batches import Batch, Mix, Rows
from .recipe import RATES, SHAPE, STAGES, Rates, Shape, Stage

WARM_UP_TOKENS = 200_000
CLIP = 1.0


Body = Callable[..., tuple[Tensor, ...]]
"""The compiled layers: twice as fast as eager ones."""


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def optimizers(model: LlamaForCausalLM, rates: Rates) -> Sequence[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for embeddings and norms."""
    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return (
        torch.optim.Muon(inner, lr=rates.matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rates.others, betas=(0.9, 0.98), weight_decay=0.0),
    )


def share_of_rate(tokens: int, total: int) -> float:
    """A short warm-up, a plateau, and a straight line to zero over the last half."""
    if tokens < WARM_UP_TOKENS:
        return max(tokens, 10_000) / WARM_UP_TOKENS
    return min(1.0, 2 * max(total - tokens, 0) / total)


def loss_of(model: LlamaForCausalLM, body: Body, batch: Batch) -> Tensor:
    """Cross-entropy of the learned tokens only; the vocabulary's logits are not computed elsewhere."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # An explicit mask keeps transformers from reading jumps in the positions as packed sequences.
        hidden = body(
            batch.tokens,
            attention_mask=torch.ones_like(batch.tokens),
            position_ids=batch.positions,
            use_cache=False,
            return_dict=False,
        )[0]
        learned = batch.learned[:, 1:]
        logits = model.lm_head(hidden[:, :-1][learned])
    return cross_entropy(logits.float(), batch.tokens[:, 1:][learned])


def stage_at(tokens: int, stages: Sequence[Stage]) -> Stage:
    for stage in stages:
        if tokens < stage.until_tokens:
            return stage
    return stages[-1]


class Trainer:
    def __init__(self, shape: Shape, rates: Rates, stages: Sequence[Stage], seed: int, work_dir: Path) -> None:
        torch.manual_seed(seed)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(path())
        self.model = network.fresh(network.config(*shape, pad=tokenizer.pad_token_id, eos=tokenizer.eos_token_id))
        self.body: Body = torch.compile(self.model.model, dynamic=False)
        self.optimizers = optimizers(self.model, rates)
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.rows = Rows(tokenizer, seed)
        self.stages = stages
        self.progress = Progress()
        self.checkpoint = work_dir / "checkpoint.pt"
        work_dir.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._resume()

    def run(self, until_tokens: int, save_every_seconds: float = 120.0) -> None:
        saved = time.monotonic()
        losses: list[float] = []
        for loss in self._steps(until_tokens):
            losses.append(loss)
            if len(losses) == 25:
                print(
                    f"step {self.progress.step} tokens {self.progress.tokens} loss {sum(losses) / 25:.4f} "
                    f"seconds {self.progress.seconds:.0f}",
                    flush=True,
                )
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

    def _steps(self, until_tokens: int) -> Iterator[float]:
        total = self.stages[-1].until_tokens
        while self.progress.tokens < until_tokens:
            started = time.monotonic()
            mix = stage_at(self.progress.tokens, self.stages).mix
            self._set_rates(share_of_rate(self.progress.tokens, total))
            loss = self._step(mix)
            self.progress.step += 1
            self.progress.tokens += mix.rows * mix.length
            self.progress.seconds += time.monotonic() - started
            yield loss

    def _step(self, mix: Mix) -> float:
        loss = loss_of(self.model, self.body, self.rows.batch(self.progress.step, mix))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    def _set_rates(self, share: float) -> None:
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work-dir", type=Path, required=True, help="for checkpoints; not inside the repository")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--until-tokens", type=int, default=STAGES[-1].until_tokens)
    parser.add_argument("--export", type=Path, nargs="?", const=path(), help="write the weights here at the end")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    trainer = Trainer(SHAPE, RATES, STAGES, arguments.seed, arguments.work_dir)
    trainer.run(arguments.until_tokens)
    if arguments.export:
        trainer.export(arguments.export)


if __name__ == "__main__":
    main()

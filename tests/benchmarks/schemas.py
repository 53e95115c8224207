"""Whether replies are what their schemas say: `python -m tests.benchmarks.schemas --count 200`.

Random schemas of the shapes that public suites have (`tests/support/schemas.py`), a reply of a random tiny model to
each, some greedy, some at temperature 1.5, with penalties or without, eight at a time. Every reply that came to its end
is compared with its schema by the package `jsonschema`. Prints what was wrong; ends with one line of JSON, and with
exit code 1 if anything was.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.support.engines import running_engine
from tests.support.models import IM_START, make_model
from tests.support.structured import replies_within


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first schema")
    parser.add_argument("--max-tokens", type=int, default=300)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder, "model"))
        with running_engine(model, Path(folder, "data")) as engine:
            replies = replies_within(engine, (IM_START, 90, 91, 92), seeds, options.max_tokens)
    for seed, what in {**replies.refused, **replies.wrong}.items():
        print(f"schema {seed}: {what}")
    counts = {"schemas": options.count, "completed": replies.completed, "cut": replies.cut}
    print(json.dumps({**counts, "refused": len(replies.refused), "wrong": len(replies.wrong)}))
    sys.exit(bool(replies.wrong or replies.refused))


if __name__ == "__main__":
    main()

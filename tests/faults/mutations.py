"""`python -m tests.faults.mutations`: breaks one thing at a time and sees whether the suite notices.

Each mutation is made in a copy of the working tree; the tests named with it must fail there. Prints a table, ends with
one line of JSON, and with exit code 1 if anything went unnoticed. With names, only these are tried.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_SERVER = "server/warmturn_server"
_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replaces `right` by `wrong` in a file, where it occurs once; `tests` are arguments of pytest."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


MUTATIONS: Final = (
    Mutation(
        "fsync: the log is not synced",
        f"{_SERVER}/chat/storage/sqlite/schema.py",
        '"synchronous": 2,',
        '"synchronous": 0,',
        ("tests/faults/test_power_cuts.py",),
    ),
    Mutation(
        "checksum: of a block it is not compared",
        f"{_SERVER}/kvcache/codec.py",
        "if xxhash.xxh3_128_digest(block[:-_CHECKSUM_BYTES]) != block[-_CHECKSUM_BYTES:]:",
        "if False:",
        ("tests/faults/test_corrupted_blocks.py",),
    ),
    Mutation(
        "checksum: of a row it is not compared",
        f"{_SERVER}/chat/storage/sqlite/seal.py",
        "return isinstance(mac, bytes) and hmac.compare_digest(mac, self._mac(table, content))",
        "return isinstance(mac, bytes)",
        ("tests/faults/test_corrupted_log.py",),
    ),
    Mutation(
        "fence: a server that slept may write",
        f"{_SERVER}/chat/storage/redis/lua/includes/appending.lua",
        "if append.token ~= '' and (fence or '0') ~= append.fence then return 'stale' end",
        "",
        ("tests/promises/test_contended.py", "-k", "took_over"),
    ),
    Mutation(
        "version: a turn is appended to whatever is there",
        f"{_SERVER}/chat/storage/redis/lua/includes/appending.lua",
        "if version ~= append.expected",
        "if false",
        ("tests/server/chat/storage/test_stores.py", "-k", "redis and not cluster"),
    ),
    Mutation(
        "position: behind restored state one too far",
        f"{_SERVER}/engine/model/batch.py",
        "positions.extend(range(start, start + count))",
        "positions.extend(range(start + (start > 0), start + (start > 0) + count))",
        ("tests/faults/test_fuzzed_turns.py",),
    ),
    Mutation(
        "key derivation: without what comes before a block",
        f"{_SERVER}/kvcache/keys.py",
        'hashlib.sha256(previous + np.asarray(token_ids, dtype="<i8").tobytes())',
        'hashlib.sha256(np.asarray(token_ids, dtype="<i8").tobytes())',
        ("tests/faults/test_fuzzed_turns.py",),
    ),
    Mutation(
        "deletion: freed pages keep what was in them",
        f"{_SERVER}/chat/storage/sqlite/schema.py",
        '"secure_delete": 1,',
        '"secure_delete": 0,',
        ("tests/promises/test_deleted_is_gone.py",),
    ),
    Mutation(
        "deletion: the write-ahead log keeps it",
        f"{_SERVER}/chat/storage/sqlite/connection.py",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA wal_checkpoint(PASSIVE)",
        ("tests/promises/test_deleted_is_gone.py",),
    ),
    Mutation(
        "deletion: its state stays",
        f"{_SERVER}/chat/conversations.py",
        "await asyncio.to_thread(self._engine.forget, tenant, entry.record.token_ids, entry.shared_tokens)",
        "pass",
        ("tests/promises/test_deleted_is_gone.py",),
    ),
)


def main(names: Sequence[str]) -> int:
    chosen = [mutation for mutation in MUTATIONS if not names or any(mutation.name.startswith(name) for name in names)]
    noticed = {}
    for mutation in chosen:
        began = time.monotonic()
        noticed[mutation.name] = is_noticed(mutation)
        verdict = "noticed" if noticed[mutation.name] else "NOT NOTICED"
        print(f"{mutation.name:55} {verdict:12} {time.monotonic() - began:5.0f} s", flush=True)
    print(json.dumps({"mutations": len(noticed), "noticed": sum(noticed.values())}))
    return 0 if all(noticed.values()) else 1


def is_noticed(mutation: Mutation) -> bool:
    """Whether a test failed; that none could be run is not enough."""
    with tempfile.TemporaryDirectory(prefix="warmturn-mutation-") as folder:
        copy = Path(folder) / "tree"
        _copy_tree(copy)
        file = copy / mutation.file
        file.write_text(mutated(mutation, file.read_text()))
        paths = os.pathsep.join(str(copy / part) for part in (".", "client", "server"))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *mutation.tests]
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False, timeout=_SECONDS)
    assert done.returncode in (0, 1), done.stdout.decode() + done.stderr.decode()
    return done.returncode == 1


def mutated(mutation: Mutation, content: str) -> str:
    assert content.count(mutation.right) == 1, f"{mutation.file} does not say so once any more: {mutation.right}"
    return content.replace(mutation.right, mutation.wrong)


def _copy_tree(copy: Path) -> None:
    """What git knows, as it is now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

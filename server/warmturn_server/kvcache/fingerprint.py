"""Everything that must agree for saved state to be valid, as one digest."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import NewType

FORMAT_VERSION = 1
FingerprintDigest = NewType("FingerprintDigest", bytes)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One field for each thing that changes K and V, or what the token ids mean; hashes are hex strings.

    `runtime` names what computes (torch and transformers versions, device type): another version may round otherwise.
    `products` is not "own" where the model's weights are kept in other bits than its files have.
    `precision` is not "exact" where state is kept in fewer bits: whoever did not ask for that never meets it.
    """

    weights: str
    config: str
    tokenizer: str
    template: str
    dtype: str
    rope: str
    attention: str
    layout: str
    block_size: int
    runtime: str
    products: str = "own"
    precision: str = "exact"
    format_version: int = FORMAT_VERSION

    def digest(self) -> FingerprintDigest:
        """SHA-256 over all fields by name, so that no two fields can stand in for each other."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return FingerprintDigest(hashlib.sha256(text.encode()).digest())

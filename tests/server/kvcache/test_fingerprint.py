"""Everything that must agree, agrees or differs in the digest."""

import dataclasses

import pytest
from tests.support.state import FINGERPRINT, LAYOUT, changed_fingerprint

from warmturn_server.kvcache import Fingerprint, LayerShape
from warmturn_server.kvcache.layout import KVLayout

FIELDS = [field.name for field in dataclasses.fields(Fingerprint)]


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_alone_changes_the_digest(name: str) -> None:
    assert changed_fingerprint(name).digest() != FINGERPRINT.digest()


def test_no_field_can_stand_in_for_another() -> None:
    digests = {changed_fingerprint(name).digest() for name in FIELDS}
    assert len(digests) == len(FIELDS)
    shifted = dataclasses.replace(FINGERPRINT, weights="wc", config="")
    assert shifted.digest() != dataclasses.replace(FINGERPRINT, weights="w", config="c").digest()


def test_the_digest_is_the_same_for_equal_fields() -> None:
    assert dataclasses.replace(FINGERPRINT).digest() == FINGERPRINT.digest()


def test_a_layouts_description_tells_layers_apart() -> None:
    reordered = KVLayout.of([LayerShape(1, 6, 2), LayerShape(2, 4, 4)], LAYOUT.dtype)
    assert reordered.bytes_per_token == LAYOUT.bytes_per_token
    assert reordered.describe() != LAYOUT.describe()

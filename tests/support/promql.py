"""What a PromQL expression asks for, and what an exposition has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

_SELECTOR = re.compile(r"\b((?:warmturn|haproxy)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
SCRAPED_LABELS = {"instance", "job"}
"""Prometheus adds these to everything."""


@dataclass(frozen=True)
class Selector:
    metric: str
    matchers: tuple[tuple[str, str, str], ...]


@dataclass
class Exposed:
    """The series of one sample name: its labels, and the values each of them has."""

    labels: dict[str, set[str]] = field(default_factory=dict)


def exposed(text: str) -> dict[str, Exposed]:
    found: dict[str, Exposed] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            entry = found.setdefault(sample.name, Exposed())
            for name, value in sample.labels.items():
                entry.labels.setdefault(name, set()).add(value)
    return found


def selectors(expression: str) -> list[Selector]:
    return [Selector(metric, tuple(_MATCHER.findall(matchers))) for metric, matchers in _SELECTOR.findall(expression)]


def grouping_labels(expression: str) -> set[str]:
    return {name.strip() for names in _GROUPING.findall(expression) for name in names.split(",") if name.strip()}


def complaints(expression: str, series: dict[str, Exposed]) -> Iterator[str]:
    """What the expression asks for that nobody exports."""
    asked = selectors(expression)
    if not asked:
        yield f"no metric of ours in {expression}"
    labels = set(SCRAPED_LABELS)
    for selector in asked:
        if selector.metric not in series:
            yield f"{selector.metric} is not exported"
            continue
        known = series[selector.metric].labels
        labels |= set(known)
        for name, operator, value in selector.matchers:
            if name in SCRAPED_LABELS:
                continue
            if name not in known:
                yield f"{selector.metric} has no label {name}"
            elif operator in ("=", "!=") and value not in known[name]:
                yield f"{selector.metric} has no {name}={value!r}"
            elif operator == "=~" and not any(re.fullmatch(value, one) for one in known[name]):
                yield f"{selector.metric} has no {name} like {value!r}"
    for name in grouping_labels(expression) - labels:
        yield f"no metric in {expression} has the label {name}"

"""How families of models write what they think: the marks between thought and answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final


class Place(Enum):
    """Where in a reply a text stands."""

    THOUGHT = auto()
    ANSWER = auto()
    ANSWERED = auto()
    """Behind what was said; more that is said there is part of the answer."""
    NOWHERE = auto()
    """Between two messages of one reply: a role's name, which is neither thought nor said."""
    CALL = auto()
    """Of a function; said, to who knows of none."""
    LABEL = auto()
    """In the name of what comes next, a channel's for instance."""


@dataclass(frozen=True, slots=True)
class Format:
    """`marks`: what stands behind each. A label ends at `label_end`, and begins with the mark that it stands behind.

    `signs`: a template that has all of these is of this family. `labels`: what stands behind a label that has this in
    it; the first that fits.
    """

    name: str
    signs: tuple[str, ...]
    marks: Mapping[str, Place]
    label_end: str = ""
    labels: Mapping[str, Place] = field(default_factory=dict)

    @property
    def all_marks(self) -> tuple[str, ...]:
        return (*self.marks, *([self.label_end] if self.label_end else []))

    @property
    def openings(self) -> list[str]:
        """The marks that thinking can begin with: none of them, no thinking."""
        places = (Place.THOUGHT, Place.LABEL)
        return [mark for mark, place in self.marks.items() if place in places]

    def marks_of(self, place: Place) -> list[str]:
        return [mark for mark, behind in self.marks.items() if behind is place]

    def behind_label(self, label: str) -> Place:
        return next(place for text, place in self.labels.items() if text in label)


def _tags(name: str, opening: str, closing: str) -> Format:
    return Format(name, (closing,), {opening: Place.THOUGHT, closing: Place.ANSWER})


_HARMONY: Final = Format(
    "harmony",
    ("<|channel|>analysis",),
    {
        "<|channel|>": Place.LABEL,
        "<|start|>": Place.LABEL,
        "<|constrain|>": Place.LABEL,
        "<|end|>": Place.NOWHERE,
        "<|return|>": Place.NOWHERE,
        "<|call|>": Place.NOWHERE,
    },
    label_end="<|message|>",
    labels={"to=functions.": Place.CALL, "<|channel|>analysis": Place.THOUGHT, "": Place.ANSWER},
)
_COMMAND: Final = Format(
    "command",
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    {
        "<|START_THINKING|>": Place.THOUGHT,
        "<|END_THINKING|>": Place.ANSWER,
        "<|START_RESPONSE|>": Place.ANSWER,
        "<|END_RESPONSE|>": Place.ANSWERED,
        "<|START_TEXT|>": Place.ANSWER,
        "<|END_TEXT|>": Place.ANSWERED,
    },
)
_GEMMA: Final = Format(
    "gemma",
    ("<|channel>", "<channel|>"),
    {"<|channel>": Place.LABEL, "<channel|>": Place.ANSWER},
    label_end="\n",
    labels={"": Place.THOUGHT},
)
_MUSE: Final = Format(
    "muse",
    ("to=self", "<|message|>"),
    {"<|start|>": Place.LABEL, "<|eom|>": Place.NOWHERE, "<|eot|>": Place.NOWHERE},
    label_end="<|message|>",
    labels={"to=self": Place.THOUGHT, "": Place.ANSWER},
)
_KIMI: Final = Format(
    "kimi",
    ("<|open|>", "<|sep|>"),
    {"<|open|>": Place.LABEL, "<|close|>": Place.LABEL},
    label_end="<|sep|>",
    labels={
        "<|close|>": Place.NOWHERE,
        "<|open|>think": Place.THOUGHT,
        "<|open|>message": Place.NOWHERE,
        "": Place.ANSWER,
    },
)
_SOLAR: Final = Format(
    "solar",
    ("<|think|>", "<|content|>"),
    {
        "<|think|>": Place.THOUGHT,
        "<|content|>": Place.ANSWER,
        "<|begin|>": Place.NOWHERE,
        "<|end|>": Place.NOWHERE,
    },
)
_GRANITE: Final = Format(
    "granite",
    ("<think></think>", "<response></response>"),
    {
        "<think>": Place.THOUGHT,
        "</think>": Place.ANSWER,
        "<response>": Place.ANSWER,
        "</response>": Place.ANSWERED,
    },
)
_APRIEL: Final = Format(
    "apriel",
    ("[BEGIN FINAL RESPONSE]",),
    {
        "Here are my reasoning steps:": Place.THOUGHT,
        "[BEGIN FINAL RESPONSE]": Place.ANSWER,
        "[END FINAL RESPONSE]": Place.ANSWERED,
    },
)

FORMATS: Final[Mapping[str, Format]] = {
    form.name: form
    for form in (
        _HARMONY,
        _COMMAND,
        _GEMMA,
        _MUSE,
        _KIMI,
        _SOLAR,
        _APRIEL,
        _tags("apertus", "<|inner_prefix|>", "<|inner_suffix|>"),
        _tags("seed", "<seed:think>", "</seed:think>"),
        _tags("minimax", "<mm:think>", "</mm:think>"),
        _tags("hunyuan", "<think:opensource>", "</think:opensource>"),
        _tags("mistral", "[THINK]", "[/THINK]"),
        _GRANITE,
        _tags("think", "<think>", "</think>"),
    )
}
"""By name, those with marks of their own first. `harmony`: gpt-oss; `command`: Command-R7B, Command A, Cohere2MoE;
`think`: Qwen3, R1, GLM, LFM2.5, Nemotron, Kimi-K2, SmolLM3, MiniMax-M2, DeepSeek and most others."""

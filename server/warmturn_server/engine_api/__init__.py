"""What the engine is asked and what it says: plain data and protocols, without torch."""

from .engine import Generating, TurnEngine
from .grammar import Grammar, GrammarKind, Thought
from .lookback import MAX_LOOKS, AtDepth, LayerLooks, Look, Lookback, LookbackRequest, Seen
from .report import (
    ControlMode,
    ControlReport,
    Drafts,
    Finish,
    FinishReason,
    Generated,
    Located,
    Miss,
    MissReason,
    PrefetchStatus,
    RecomputeSource,
    TokenDelta,
    TokenLogprobs,
    TurnReport,
)
from .request import AheadCause, AheadRequest, GenerationRequest, Reading, ReuseMode, Rewrite, SamplingParams
from .token_stream import TokenStream

__all__ = [
    "MAX_LOOKS",
    "AheadCause",
    "AheadRequest",
    "AtDepth",
    "ControlMode",
    "ControlReport",
    "Drafts",
    "Finish",
    "FinishReason",
    "Generated",
    "Generating",
    "GenerationRequest",
    "Grammar",
    "GrammarKind",
    "LayerLooks",
    "Located",
    "Look",
    "Lookback",
    "LookbackRequest",
    "Miss",
    "MissReason",
    "PrefetchStatus",
    "Reading",
    "RecomputeSource",
    "ReuseMode",
    "Rewrite",
    "SamplingParams",
    "Seen",
    "Thought",
    "TokenDelta",
    "TokenLogprobs",
    "TokenStream",
    "TurnEngine",
    "TurnReport",
]

"""Runs the model: sequences, batching, attention on saved state, sampling."""

from ..kvcache import Held, MissReason
from .audit import Result, Verdict
from .calibration import calibrate
from .control import ControlMode, ControlObserver, Controls, ControlTurn
from .controlled_savings import ControlledSavings, Interval
from .cost_model import CostModel
from .digest import LogitSketch
from .engine import Engine
from .generation import Generation
from .lookback import AtDepth, LayerLooks, Look, Lookback, LookbackRequest, Seen
from .loop import EngineObserver
from .miss import Miss
from .model_loader import LoadedModel, load_model
from .model_runner import ModelRunner, Work
from .queries import MAX_LOOKS
from .report import Finish, FinishReason, Generated, TokenDelta, TokenLogprobs, TurnReport
from .request import GenerationRequest, Reading, ReuseMode, Rewrite, SamplingParams
from .residents import Residents
from .token_stream import TokenStream

__all__ = [
    "MAX_LOOKS",
    "AtDepth",
    "ControlMode",
    "ControlObserver",
    "ControlTurn",
    "ControlledSavings",
    "Controls",
    "CostModel",
    "Engine",
    "EngineObserver",
    "Finish",
    "FinishReason",
    "Generated",
    "Generation",
    "GenerationRequest",
    "Held",
    "Interval",
    "LayerLooks",
    "LoadedModel",
    "LogitSketch",
    "Look",
    "Lookback",
    "LookbackRequest",
    "Miss",
    "MissReason",
    "ModelRunner",
    "Reading",
    "Residents",
    "Result",
    "ReuseMode",
    "Rewrite",
    "SamplingParams",
    "Seen",
    "TokenDelta",
    "TokenLogprobs",
    "TokenStream",
    "TurnReport",
    "Verdict",
    "Work",
    "calibrate",
    "load_model",
]

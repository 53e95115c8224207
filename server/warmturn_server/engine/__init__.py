"""Runs the model: sequences, batching, attention on saved state, sampling."""

from .audit.control import ControlObserver, Controls, ControlTurn
from .audit.logit_sketch import LogitSketch
from .audit.savings import ControlledSavings, Interval
from .audit.verdict import Result, Verdict
from .delivery import Generation
from .engine import Engine
from .kv_pool import KVPool
from .loop import EngineObserver
from .model.calibration import calibrate
from .model.cost_model import CostModel
from .model.loader import LoadedModel, load_model
from .model.runner import ModelRunner, Work

__all__ = [
    "ControlObserver",
    "ControlTurn",
    "ControlledSavings",
    "Controls",
    "CostModel",
    "Engine",
    "EngineObserver",
    "Generation",
    "Interval",
    "KVPool",
    "LoadedModel",
    "LogitSketch",
    "ModelRunner",
    "Result",
    "Verdict",
    "Work",
    "calibrate",
    "load_model",
]

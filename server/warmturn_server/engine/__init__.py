"""Runs the model: sequences, batching, attention on saved state, sampling."""

from .accounting import EngineObserver
from .audit.control import ControlObserver, Controls, ControlTurn
from .audit.logit_sketch import LogitSketch
from .audit.savings import ControlledSavings, Interval, MeanOfFew
from .audit.verdict import Result, Verdict
from .delivery import Generation
from .engine import Capacity, Engine
from .kv_pool import KVPool
from .memory import Memory
from .model.calibration import calibrate
from .model.cost_model import CostModel
from .model.executor import Executor, Work
from .model.loader import LoadedModel, load_model
from .model.runner import ModelRunner
from .sequence import Vocabulary

__all__ = [
    "Capacity",
    "ControlObserver",
    "ControlTurn",
    "ControlledSavings",
    "Controls",
    "CostModel",
    "Engine",
    "EngineObserver",
    "Executor",
    "Generation",
    "Interval",
    "KVPool",
    "LoadedModel",
    "LogitSketch",
    "MeanOfFew",
    "Memory",
    "ModelRunner",
    "Result",
    "Verdict",
    "Vocabulary",
    "Work",
    "calibrate",
    "load_model",
]

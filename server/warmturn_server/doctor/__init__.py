"""`warmturn doctor`: what a server would find here, and what of it is slow or will not work."""

from .examine import examine
from .finding import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]

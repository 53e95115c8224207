"""What is done to a data folder from outside of its server: it is looked through, and copied."""

from .backup import BackupRefused, back_up
from .verify import Findings, verify

__all__ = ["BackupRefused", "Findings", "back_up", "verify"]

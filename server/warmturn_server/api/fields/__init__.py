"""What becomes of each field that a request may have: honoured, harmless, or refused by its name. Nothing is ignored
that would have changed the answer.

A test takes every field of OpenAI's request types, and of vLLM's and llama.cpp's extensions, and finds it here.
"""

from __future__ import annotations

from .decisions import Decided, FieldRefused, Fields, Refused

__all__ = ["Decided", "FieldRefused", "Fields", "Refused"]

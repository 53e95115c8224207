"""Where tests compute: on the CPU, or on what WARMTURN_TESTS_DEVICE names, such as `cuda`; and by which executor:
the server's own choice, or what WARMTURN_TESTS_EXECUTOR names, as `--executor` takes it.

The oracle (`reference.py`) stays on the CPU: what another device says must be what it says.
"""

import os
from typing import Final

import torch

DEVICE: Final = torch.device(os.environ.get("WARMTURN_TESTS_DEVICE", "cpu"))
EXECUTOR: Final = os.environ.get("WARMTURN_TESTS_EXECUTOR", "auto")

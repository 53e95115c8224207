"""The Warmturn server. Importing it sets one default that has to be set before torch is loaded."""

import os

# How long threads of a parallel region wait awake for the next one, in rounds of a loop; libgomp's own 300,000 burn the
# very core that the slowest of them needs. A step of 64 tokens of the 135M shape on two cores of a virtual machine,
# whose sleeping cores are slow to wake: 115 ms without waiting, 46 with 5,000 rounds, 42 with 10,000; beside a process
# that keeps one of the cores busy 65, 160 and 225.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

"""The Warmturn server. Importing it sets one default that has to be set before torch is loaded."""

import os

# Threads of a parallel region that wait by spinning burn the very core that the slowest of them needs: beside one other
# busy process a forward pass took 2 to 5 times as long (two cores, GOMP_SPINCOUNT=10000 to 20000). Sleeping has its
# price where idle cores are slow to wake: on a virtual machine with nothing else to do, about half of a small step.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

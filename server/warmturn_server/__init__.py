"""The Warmturn server. Importing it sets one default that has to be set before torch is loaded."""

import os

# Threads of a parallel region that wait by spinning burn the very core that the slowest of them needs: beside any other
# busy process on the machine a forward pass took 4 to 9 times as long (two cores). Sleeping costs microseconds.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

"""C++ that is compiled on the machine that runs it: the sources, and how they become a library."""

"""`warmturn bench --compare A B`: two runs of the same load beside each other."""

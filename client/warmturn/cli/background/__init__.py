"""Servers that run beside the terminal: started when one is missed, listed, and told to end."""

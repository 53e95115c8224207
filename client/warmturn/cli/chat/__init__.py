"""The conversation at the prompt: `warmturn chat`."""

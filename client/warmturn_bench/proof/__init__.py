"""Whether a server answers after a restart as it did before, token by token: any that speaks OpenAI's API."""

"""The servers under load: this one, and any other that speaks OpenAI's API."""

"""How the bundled model was made: its dialogues, its training and its evaluation. Not part of what is installed."""

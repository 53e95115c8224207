"""What a reply will say next, guessed from what was said before; the model decides which guesses come true."""

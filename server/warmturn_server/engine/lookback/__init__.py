"""What output tokens looked at: queries copied while the turn runs, weighed against saved keys after it."""

"""What callers ask of saved state: marked places, lifetimes, and why a prompt's state was not there."""

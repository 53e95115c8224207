"""What is said: scenarios that are made up, and traces that are played again."""

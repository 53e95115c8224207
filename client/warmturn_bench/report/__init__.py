"""The run as a page that a person can read without knowing the code, and the data behind it."""

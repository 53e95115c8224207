"""Speed, as tables and one line of JSON; run by hand, never by the test runner."""

"""Speed, as tables and one line of JSON; run by hand, never by the test runner."""

import warmturn_server  # noqa: F401  # first, for it sets how threads wait before torch is loaded

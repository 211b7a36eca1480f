"""Exit codes of `btcbot` and `btcbot-ctl`: public, and the same for every command."""

from typing import Final

OK: Final = 0  # Done, healthy.
ERROR: Final = 1  # An unexpected error.
USAGE: Final = 2  # click's own: a flag or an argument that does not exist.
NOT_RUNNING: Final = 3  # No fleet, or not reachable.
NOT_FOUND: Final = 4
TIMED_OUT: Final = 5
REFUSED: Final = 6  # By a guard: the answer was no, and says why.
PROBLEM: Final = 7  # A check found what it looks for.
TRY_LATER: Final = 75  # Another instance holds the lock (sysexits' EX_TEMPFAIL).
CONFIG: Final = 78  # Configuration invalid; supervisord does not restart it (EX_CONFIG).

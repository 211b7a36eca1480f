"""The crash-loop guard: five starts within a minute that ended before READY.

The runtime makes `run/NAME.ready` when an actor is READY; `run/NAME.starts` holds the time of each
start since a life that got there. A death after READY does not count, so a fleet whose actors are
killed all day is not mistaken for a broken one.
What the guard does is the safe thing, and it stays up: execution starts at once, because somebody
has to manage the orders that are open, but behind `run/KILL`, which stops every POST and cancels
what is open until a person resumes; any other actor waits before it tries again.
"""

import time
from pathlib import Path
from typing import Final

STARTS_MAX: Final = 5
WINDOW_NS: Final = 60_000_000_000
PAUSE_S: Final = 10.0


class Guard:
    """Counts the starts of actor `name` in the folder `run`."""

    def __init__(self, run: Path, name: str) -> None:
        self._file = run / f"{name}.starts"
        self._mark = run / f"{name}.ready"
        self._kill = run / "KILL"
        self._must_start = name == "execution"

    def enter(self, now_ns: int) -> bool:
        """Note a start at `now_ns` (boot time); return whether this is a crash loop."""
        starts = [] if self._mark.exists() else self._read()
        self._mark.unlink(missing_ok=True)
        recent = [start for start in starts if 0 <= now_ns - start < WINDOW_NS]
        recent.append(now_ns)
        fresh = self._file.with_suffix(".new")
        fresh.write_text("\n".join(map(str, recent[-STARTS_MAX - 1 :])), encoding="ascii")
        fresh.replace(self._file)
        return len(recent) > STARTS_MAX

    def hold(self) -> str:
        """Do the safe thing of a crash loop; return what was done, for the log."""
        if self._must_start:
            self._kill.touch(mode=0o600)
            return f"sending is stopped by {self._kill}; see the log, then btcbot-ctl resume"
        time.sleep(PAUSE_S)
        return f"waited {PAUSE_S:.0f} s before this start"

    def _read(self) -> list[int]:
        try:
            return [int(word) for word in self._file.read_text(encoding="ascii").split()]
        except (FileNotFoundError, ValueError):
            return []

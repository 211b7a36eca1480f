"""Where refused frames rest: counted by reason, the newest hundred kept as files to look at."""

from collections import Counter
from pathlib import Path

from bus.envelope import Refused

FILES_MAX = 100


class Quarantine:
    """Frames that were no messages; keeping one never fails the actor."""

    def __init__(self, folder: Path, actor: str) -> None:
        self._folder = folder
        self._actor = actor
        self.counts: Counter[str] = Counter()

    def keep(self, frame: bytes, refused: Refused) -> None:
        """Count the refusal and keep the frame, in place of the hundredth before it."""
        self.counts[refused.reason] += 1
        slot = self.counts.total() % FILES_MAX
        path = self._folder / f"{self._actor}-{slot:02d}.frame"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(f"{refused}\n".encode() + frame[: 1 << 16])
        except OSError:
            self.counts["not_kept"] += 1  # A full disk must not stop an actor over bad input.

"""Where refused frames rest: counted by reason, a hundred kept as files to look at."""

import logging
import os
from collections import Counter
from pathlib import Path

from bus.envelope import Refused

log = logging.getLogger("btcbot.bus")

FILES_MAX = 100
KEPT_MAX = 1 << 16


class Quarantine:
    """Frames that were no messages; keeping one never fails the actor."""

    def __init__(self, folder: Path, actor: str) -> None:
        self._folder = folder
        self._actor = actor
        self.counts: Counter[str] = Counter()
        self._kept = 0

    def keep(self, frame: bytes, refused: Refused, source: str) -> None:
        """Count the refusal; log it and keep the frame.

        After a hundred only each hundredth is logged and kept, in place of the oldest: a flood of
        frames is neither a flood of lines nor of writes that an actor waits for.
        """
        self.counts[refused.reason] += 1
        count = self.counts.total() - self.counts["not_kept"]
        if count > FILES_MAX and count % FILES_MAX:
            return
        about = {"source": source, "error": str(refused), "count": count}
        log.warning("frame_refused", extra=about)
        path = self._folder / f"{self._actor}-{self._kept % FILES_MAX:02d}.frame"
        self._kept += 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(f"{refused}\n".encode("utf-8", "backslashreplace") + frame[:KEPT_MAX])
        except OSError:
            self.counts["not_kept"] += 1  # A full disk must not stop an actor over bad input.

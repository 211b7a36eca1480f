"""`run/KILL`: the switch that works with nothing but a disk. While it exists, nothing is sent."""

from contextlib import suppress
from pathlib import Path


class KillFile:
    """The file, and which making of it was looked at last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made_ns = 0

    def look(self) -> int | None:
        """Return when the file was made or touched last, which names that command; None: no file.

        Raises OSError when nobody can tell whether it exists.
        """
        try:
            self._made_ns = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        return self._made_ns

    def make(self) -> int:
        """Make it, or touch it; return when, which names the command."""
        self.path.touch(mode=0o600)
        return self.path.stat().st_mtime_ns

    def keep(self, *, exists: bool) -> None:
        """Make it, for a kill that came another way, or remove the one that was looked at.

        A file that was made or touched since then is a new command, and stays.
        """
        if exists and not self.path.exists():
            self.path.touch(mode=0o600)
            self.look()
        elif not exists:
            with suppress(FileNotFoundError):
                if self.path.stat().st_mtime_ns == self._made_ns:
                    self.path.unlink()

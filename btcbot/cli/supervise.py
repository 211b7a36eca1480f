"""supervisord, made to outlive its own logs, and to start at once what died.

On a full disk it writes nothing, and goes on. What goes wrong with a log supervisord tells stderr;
a detached fleet has that on the same disk, so the second failure would end it, and with it every
actor that manages an open order.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

from supervisor import loggers, poller, supervisord  # type: ignore[import-untyped]

LOOK_S: Final = 0.1


class Forgiving:
    """A text stream of which nobody notices when it cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


class Enduring(loggers.RotatingFileHandler):  # type: ignore[misc]  # It has no types.
    """A log file whose rotation may fail: the old file is closed by then, so it is opened again."""

    def emit(self, record: loggers.LogRecord) -> None:
        try:
            super().emit(record)
        except (OSError, ValueError):
            with suppress(OSError):
                self.stream = Path(self.baseFilename).open("ab")  # noqa: SIM115 (it stays open)


class Prompt(poller.Poller):  # type: ignore[misc]  # It has no types.
    """Waits a tenth of the second that supervisord would.

    It sees a death at once, and starts anew only what it finds dead when it looks the next time.
    """

    def poll(self, timeout: float) -> Any:  # noqa: ANN401 - lists of descriptors
        return super().poll(min(timeout, LOOK_S))


def main() -> None:
    """Be supervisord, with its own command line."""
    sys.stdout = Forgiving(sys.stdout)
    sys.stderr = Forgiving(sys.stderr)
    loggers.RotatingFileHandler = Enduring
    poller.Poller = Prompt
    supervisord.main()


if __name__ == "__main__":
    main()

"""Structured logs: one JSON object a line on stderr, one event a decision.

    log.info("order_submitted", extra={"client_order_id": order_id})

`event` is the message: stable snake_case. Fields: ts (UTC), level, actor, run_id, mode, event, then
whatever `extra` holds. What a library says is no event of ours: its text goes to `error`. A line
that would hold a secret is not written; what is written instead says so.
"""

import logging
import sys
import time
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from btcbot.secret import leaks

ERROR_TEXT_MAX: Final = 8_192
_OURS: Final = frozenset({"btcbot", "bus", "actors"})
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; control characters come out escaped."""

    def __init__(self, actor: str, run_id: str, mode: str) -> None:
        super().__init__()
        self._who = {"actor": actor, "run_id": run_id, "mode": mode}

    def format(self, record: logging.LogRecord) -> str:
        line = self._line(record)
        if leaks(line):
            return _encode(
                {
                    **self._head(record, "CRITICAL"),
                    "event": "secret_withheld",
                    "error": f"a line of {record.name}, {record.module}:{record.lineno}",
                }
            )
        return line

    def _line(self, record: logging.LogRecord) -> str:
        fields = self._head(record, record.levelname)
        text = record.getMessage()
        is_ours = record.name.partition(".")[0] in _OURS
        fields["event"] = text if is_ours else "library_message"
        fields |= {k: v for k, v in vars(record).items() if k not in _OWN}
        if not is_ours:
            fields |= {"library": record.name, "error": text[-ERROR_TEXT_MAX:]}
        if record.exc_info:
            trace = self.formatException(record.exc_info)[-ERROR_TEXT_MAX:]
            fields["error"] = trace if is_ours else f"{fields['error']}\n{trace}"
        return _encode(fields)

    def _head(self, record: logging.LogRecord, level: str) -> dict[str, Any]:
        seconds, fraction = divmod(int(record.created * 1e9), 1_000_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))  # noqa: TID251 (its own)
        return {"ts": f"{stamp}.{fraction:09d}Z", "level": level, **self._who}


def configure(
    actor: str, *, run_id: str, mode: str, level: str = "info", stream: TextIO | None = None
) -> None:
    """Send every record of this process, warnings and the last exception included, to `stream`.

    `stream` defaults to stderr, which supervisord writes to HOME/log/<actor>.log and rotates.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(actor, run_id, mode))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their debug and info lines show requests with headers; a signed header is a secret.
    for library in ("httpx", "httpcore", "websockets", "asyncio", "uvicorn.access"):
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_last_words


def log_file(home: Path, actor: str) -> Path:
    """Return where supervisord keeps the lines of `actor`."""
    return home / "log" / f"{actor}.log"


def _log_last_words(kind: type[BaseException], error: BaseException, trace: Any) -> None:  # noqa: ANN401
    logging.getLogger("btcbot").critical("crashed", exc_info=(kind, error, trace))


def _encode(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()

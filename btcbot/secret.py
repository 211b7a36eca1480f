"""Secrets: read once from a 0600 file, kept in a type that no log, pickle or traceback shows."""

import base64
import os
import stat
from pathlib import Path
from typing import Final, NoReturn

SECRET_BYTES_MAX: Final = 4_096

_known: list[str] = []


class SecretError(ValueError):
    """A secret file that may not be used; says what was found and what to do."""


class Secret:
    """A text that only `reveal` shows. It is also remembered, so that a log line can be held to it.

    `repr` and `str` hide it; pickling and encoding it raise TypeError.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        _remember(text)

    def reveal(self) -> str:
        """Return the text; called where it is signed with, nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled or copied: pass the path of its file instead")


def leaks(said: str | bytes) -> bool:
    """Return whether `said` holds a secret of this process, plain or in base64 or hex."""
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    return any(form in text for form in _known)


def read_secret(path: Path) -> Secret:
    """Return the secret in `path`, without the white space around it.

    Raises SecretError unless it is a regular file of ours (no link) that only we can read (0600 or
    less), with 1 to 4096 bytes of text.
    """
    try:
        # O_NONBLOCK: a pipe by that name must not hang us before we see that it is one.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretError(
            f"secret file {path}: {error.strerror}; expected a regular file of yours, mode 0600"
        ) from None
    try:
        _check(path, os.fstat(descriptor))
        raw = os.read(descriptor, SECRET_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if not 0 < len(raw.strip()) <= SECRET_BYTES_MAX:
        raise SecretError(
            f"secret file {path}: {len(raw.strip())} bytes of text; allowed 1 to {SECRET_BYTES_MAX}"
        )
    try:
        return Secret(raw.decode("ascii").strip())
    except UnicodeDecodeError:
        raise SecretError(f"secret file {path}: not plain ASCII text") from None


def write_secret(path: Path, text: str) -> None:
    """Write `text` to a new 0600 file at `path`; an existing file is left as it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretError(f"secret file {path}: not a regular file")
    if found.st_uid != os.geteuid():
        raise SecretError(
            f"secret file {path}: owned by uid {found.st_uid}, we are uid {os.geteuid()}; "
            f"chown it to the user that runs btcbot"
        )
    if mode := stat.S_IMODE(found.st_mode) & 0o077:
        raise SecretError(
            f"secret file {path}: mode {stat.S_IMODE(found.st_mode):04o} lets others at it "
            f"({mode:04o}); allowed is 0600: chmod 600 {path}"
        )


def _remember(text: str) -> None:
    raw = text.encode()
    for form in (text, base64.b64encode(raw).decode().rstrip("="), raw.hex()):
        # A short text would be found in every line; no key of an exchange is that short.
        if len(form) >= 12 and form not in _known:
            _known.append(form)

"""Where the reading of a foreign file stands, and what is to become of a row that is wrong."""

import csv
import gzip
import zlib
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from btcbot.domain.recorded import DatasetError

# What a row may be wrong by, and what a file may be.
WRONG: Final = (ValueError, KeyError, msgspec.MsgspecError)
CUT_OFF: Final = (EOFError, zlib.error, gzip.BadGzipFile)
BROKEN: Final = (OSError, *CUT_OFF, csv.Error, UnicodeDecodeError)


class Place(Struct):
    """The row of a file being read, from 1; `has_quotes`: whether tops of book are wanted."""

    file: str = ""
    row: int = 0
    has_quotes: bool = True
    on_wrong: Callable[[int, str], None] | None = None  # None: the first wrong row ends it.

    def wrong(self, error: Exception | str) -> None:
        """Tell of a wrong row; what comes after may be read on. Raises DatasetError, else."""
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        if self.on_wrong is None:
            raise DatasetError(f"{self.file}, row {self.row}: {reason}") from None
        self.on_wrong(self.row, reason)

"""What `btcbot check` looks at on this machine: home, files, ports, disk, clock, key, database."""

import shutil
import stat
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct

from btcbot.btcturk.auth import KeyPair
from btcbot.cli.fleet import FOLDERS, check_owner, holder_of, is_free
from btcbot.cli.times import utc
from btcbot.config import Config
from btcbot.layers import ConfigError
from btcbot.secret import SecretError, read_secret
from btcbot.store.database import SCHEMA_VERSION, StoreError
from btcbot.store.examine import examine

DISK_FREE_MIN_MB: Final = 2_048
MB: Final = 1 << 20
FILES_MAX: Final = 100_000
NAMES_MAX: Final = 3  # In one row; a number says how many more.


class Row(Struct, frozen=True, kw_only=True):
    """One check; `remedy` says what to do where it is not ok."""

    name: str
    ok: bool
    found: str
    wanted: str
    remedy: str = ""


def machine(config: Config) -> Iterator[Row]:
    """Yield every check that needs no exchange."""
    yield _home(config.home)
    if config.home.is_dir():
        yield _modes(config.home)
        yield _disk(config)
    yield from _ports(config)
    yield from _database(config.database)


def key_row(config: Config) -> tuple[Row, KeyPair | None]:
    """Return whether the key's files can be used, and the key."""
    if config.is_paper:
        found = f"mode = {config.mode!r} has none"
        return Row(name="key files", ok=True, found=found, wanted="nothing"), None
    key_file, secret_file = config.key_files
    wanted = "two files of ours, mode 0600: the key, and its secret in base64"
    try:
        keys = KeyPair(read_secret(key_file).reveal(), read_secret(secret_file).reveal())
    except (SecretError, ValueError) as error:
        remedy = "set exchange.api_key_file and exchange.api_secret_file"
        if config.owns_sandbox:
            remedy = "`btcbot up` writes the sandbox's key"
        return Row(name="key files", ok=False, found=str(error), wanted=wanted, remedy=remedy), None
    found = f"{key_file}, {secret_file}"
    return Row(name="key files", ok=True, found=found, wanted=wanted), keys


def _home(home: Path) -> Row:
    wanted = "a folder of ours, mode 0700"
    if not home.is_dir():
        return Row(
            name="home", ok=False, found=f"{home}: no such folder", wanted=wanted,
            remedy="btcbot init, or start the fleet once",
        )  # fmt: skip
    try:
        check_owner(home)
    except ConfigError as error:
        return Row(name="home", ok=False, found=str(error), wanted=wanted, remedy="see left")
    mode = stat.S_IMODE(home.stat().st_mode)
    missing = [name for name in FOLDERS if not (home / name).is_dir()]
    found = f"{home}, mode {mode:04o}" + (f", without {', '.join(missing)}" if missing else "")
    return Row(
        name="home", ok=mode & 0o077 == 0, found=found, wanted=wanted,
        remedy=f"chmod 700 {home}",
    )  # fmt: skip


def _modes(home: Path) -> Row:
    """Return whether others may read or write anything under `home`."""
    looked, open_ = 0, []
    for path in islice(home.rglob("*"), FILES_MAX):
        looked += 1
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # A file that a running fleet removed meanwhile.
        # What lies in a 0700 folder is reached by nobody; a file's own mode is the second door.
        if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) & 0o077:
            open_.append(f"{path.relative_to(home)} {stat.S_IMODE(status.st_mode):04o}")
    return Row(
        name="modes of files",
        ok=not open_,
        found=_some(open_) if open_ else f"{looked} files and folders, none open to others",
        wanted="nothing that group or others may read, write or enter",
        remedy=f"chmod -R go= {home}",
    )


def _disk(config: Config) -> Row:
    free_mb = shutil.disk_usage(config.home).free // MB
    return Row(
        name="disk",
        ok=free_mb >= DISK_FREE_MIN_MB,
        found=f"{free_mb} MB free",
        wanted=f"{DISK_FREE_MIN_MB} MB free; raw capture alone may keep "
        f"{config.capture.disk_max_mb} MB",
        remedy="make room, or set home to another disk",
    )


def _ports(config: Config) -> Iterator[Row]:
    ports = {"dashboard.port": config.dashboard.port}
    if config.owns_sandbox:
        ports["sandbox.port"] = config.sandbox.port
    holder = holder_of(config) if config.run.is_dir() else None
    for key, port in ports.items():
        is_open = holder is not None or is_free(port)
        told = f"taken by the fleet of this home (pid {holder})" if holder else "free"
        yield Row(
            name=key,
            ok=is_open,
            found=f"127.0.0.1:{port} is {told if is_open else 'taken by another program'}",
            wanted="free, or the fleet's own",
            remedy=f"set {key} to a free port",
        )


def _database(path: Path) -> Iterator[Row]:
    wanted = f"schema {SCHEMA_VERSION}, every link of the hash chain, the anchor's event in it"
    if not path.exists():
        told = "none yet: the first start makes it"
        yield Row(name="database", ok=True, found=told, wanted=wanted)
        yield _clock(0)
        return
    try:
        found = examine(path)
    except (StoreError, OSError) as error:
        remedy = "keep the file as it is; restore a backup"
        yield Row(name="database", ok=False, found=str(error), wanted=wanted, remedy=remedy)
        yield _clock(0)
        return
    yield Row(
        name="database",
        ok=found.has_anchor,
        found=f"schema {found.schema}, {found.events} events, chain unbroken, "
        + ("anchor agrees" if found.has_anchor else "no anchor: an end cut off would not show"),
        wanted=wanted,
        remedy="the next start of execution writes the anchor",
    )
    yield _clock(found.newest_ns)


def _clock(newest_ns: int) -> Row:
    """Return whether this machine's clock is past the newest thing it has written."""
    now_ns = time.time_ns()
    return Row(
        name="clock",
        ok=now_ns >= newest_ns,
        found=f"{utc(now_ns)}, newest event {utc(newest_ns) if newest_ns else 'none'}",
        wanted="no earlier than the newest event",
        remedy="the clock was set back: set it right (timedatectl), and keep it so",
    )


def _some(names: list[str]) -> str:
    more = len(names) - NAMES_MAX
    return ", ".join(names[:NAMES_MAX]) + (f" and {more} more" if more > 0 else "")

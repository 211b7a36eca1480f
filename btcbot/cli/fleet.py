"""One fleet on one home: its folders, its lock, and the supervisord that holds it.

The lock `run/fleet.lock` is a flock that `btcbot up` takes and supervisord inherits by exec: it
lives exactly as long as supervisord, cannot expire under a paused holder, and no child has it.
"""

import contextlib
import fcntl
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import btcbot
from btcbot.arming import Gate, refusals
from btcbot.cli import exits
from btcbot.cli.common import stop
from btcbot.config import Config, freeze
from btcbot.layers import ConfigError
from btcbot.secret import write_secret
from btcbot.simulation import defaults
from bus.standby import waiting_file

ACTORS: Final = (
    "execution",
    "accounting",
    "risk_gate",
    "market_data",
    "strategy",
    "control",
    "dashboard",
)
FOLDERS: Final = ("run", "log", "journal", "data", "quarantine", "sandbox", "checks")
# supervisord closes 5 and up when it reloads, and 3 and up in every child.
LOCK_DESCRIPTOR: Final = 3
LOCK_WAIT_S: Final = 0.2
PORT_WAIT_S: Final = 2.0
# Nine programs are stopped one after the other; each gets 10 s before it is killed.
STOP_WAIT_S: Final = 100.0


def refuse_unarmed(found: Sequence[Gate]) -> None:
    """Raise ConfigError with every gate that is shut: then nothing may start."""
    if reasons := refusals(found):
        raise ConfigError(*reasons)


def make_folders(config: Config) -> None:
    """Make home and what belongs under it, 0700. Raises ConfigError if home is not ours alone."""
    try:
        config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(config.home.iterdir()):
            config.home.chmod(0o700)
        check_owner(config.home)
        for name in FOLDERS:
            (config.home / name).mkdir(mode=0o700, exist_ok=True)
            (config.home / name).chmod(0o700)
    except OSError as error:
        raise ConfigError(f"home = {str(config.home)!r}: {error}") from None


def check_owner(home: Path) -> None:
    """Raise ConfigError where another user could put files of theirs for ours."""
    found = home.stat()
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"home = {str(home)!r}: owned by uid {found.st_uid}, we are uid {os.geteuid()}; "
            "choose a home of your own"
        )
    if found.st_mode & 0o022:
        raise ConfigError(
            f"home = {str(home)!r}: mode {stat.S_IMODE(found.st_mode):04o} lets others write in "
            f"it; chmod 700 {home}, or choose another home"
        )


def take_lock(config: Config) -> int:
    """Return the descriptor of the fleet's lock; exits 75 when another fleet has this home."""
    descriptor = os.open(config.run / "fleet.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # `holder_of` has the lock for microseconds while it looks: that is not a fleet.
    give_up = time.monotonic() + LOCK_WAIT_S
    while not _flock(descriptor):
        if time.monotonic() > give_up:
            stop(
                exits.TRY_LATER,
                f"btcbot: a fleet runs on {config.home} already (pid {_written_pid(descriptor)}); "
                "stop it with `btcbot down`, or choose another --home",
            )
        time.sleep(0.01)
    write_pid(descriptor)
    return descriptor


def write_pid(lock: int) -> None:
    """Write our pid into the lock's file, for whoever wants to end us."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def holder_of(config: Config) -> int | None:
    """Return the pid of the supervisord that runs this home, None if there is none."""
    try:
        descriptor = os.open(config.run / "fleet.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _flock(descriptor) else _written_pid(descriptor)
    finally:
        os.close(descriptor)


def check_ports(config: Config) -> None:
    """Exit 75 if somebody else listens where the sandbox or the dashboard will.

    Another fleet's sandbox on our port would be taken for ours. What a killed fleet left closing
    gets two seconds.
    """
    wanted = {"dashboard.port": config.dashboard.port}
    if config.owns_sandbox:
        wanted["sandbox.port"] = config.sandbox.port
    give_up = time.monotonic() + PORT_WAIT_S
    for key, port in wanted.items():
        while not is_free(port):
            if time.monotonic() > give_up:
                stop(
                    exits.TRY_LATER,
                    f"btcbot: 127.0.0.1:{port} is taken by another program; set {key} to a free "
                    f"port (BTCBOT__{key.upper().replace('.', '__')}=...)",
                )
            time.sleep(0.05)


def write_keys(config: Config) -> None:
    """Write the sandbox's documented key where no other was configured."""
    key_file, secret_file = config.key_files
    if config.mode == "sandbox":
        if config.exchange.api_key_file is None:
            write_secret(key_file, defaults.API_KEY)
        if config.exchange.api_secret_file is None:
            write_secret(secret_file, defaults.API_SECRET)


def forget_lives(config: Config) -> None:
    """Forget who was READY and who was not: a person who starts the fleet starts it afresh."""
    for name in (*ACTORS, "sandbox"):
        for kind in ("ready", "starts"):
            (config.run / f"{name}.{kind}").unlink(missing_ok=True)
    waiting_file(config.run / "exec.lock").unlink(missing_ok=True)


def write_config(config: Config, run_id: str) -> None:
    """Write the configuration that every process of this fleet reads, now and when restarted."""
    fresh = config.run / "config.json.new"
    fresh.write_bytes(freeze(config, run_id))
    fresh.replace(config.run / "config.json")


def environment(config: Config, inherited: dict[str, str], pid: int) -> dict[str, str]:
    """Return supervisord's environment: what it was, and what supervisord.conf refers to."""
    return {
        **inherited,
        "BTCBOT__HOME": str(config.home),  # Whatever a child starts belongs to this home.
        "BTCBOT_PYTHON": sys.executable,
        "BTCBOT_RUN": str(config.run),
        "BTCBOT_LOG": str(config.home / "log"),
        "BTCBOT_SANDBOX": "true" if config.owns_sandbox else "false",
        "BTCBOT_SUPERVISOR_PID": str(pid),
        "SPT_NOENV": "1",  # setproctitle must not overwrite /proc/PID/environ.
    }


def become_supervisord(config: Config, lock: int, inherited: dict[str, str]) -> None:
    """Replace this process with supervisord, which keeps the lock; does not return."""
    write_pid(lock)
    os.dup2(lock, LOCK_DESCRIPTOR)
    # Said again: dup2 of a descriptor onto itself leaves it closing on exec.
    os.set_inheritable(LOCK_DESCRIPTOR, True)  # noqa: FBT003
    arguments = [sys.executable, "-I", "-m", "btcbot.cli.supervise"]
    arguments += ["--configuration", str(supervisord_conf()), "--silent"]
    if os.geteuid() == 0:
        arguments += ["--user", "root"]  # Said outright, it is not worth a warning.
    os.execve(sys.executable, arguments, environment(config, inherited, os.getpid()))  # noqa: S606


def supervisord_conf() -> Path:
    """Return the installed supervisord.conf; in a clone it stands at the root."""
    package = Path(btcbot.__file__).parent
    for path in (package / "supervisord.conf", package.parent / "supervisord.conf"):
        if path.is_file():
            return path
    raise ConfigError(f"{package}/supervisord.conf is missing: install btcbot again")


def end_supervisord(config: Config, pid: int) -> bool:
    """Ask supervisord to stop everything, in order; return whether it did within the bound."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            # The handle is of one process for good: a pid that was used again is not signalled.
            if holder_of(config) == pid:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)
    give_up = time.monotonic() + STOP_WAIT_S
    while holder_of(config) is not None:
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def remove_sockets(config: Config) -> list[Path]:
    """Remove sockets that dead processes left under run/; return those somebody still holds."""
    held = []
    for path in sorted(config.run.iterdir()) if config.run.is_dir() else ():
        if stat.S_ISSOCK(path.lstat().st_mode):
            if _is_locked(path.with_name(path.name + ".lock")):
                held.append(path)
            else:
                path.unlink(missing_ok=True)
    return held


def _flock(descriptor: int) -> bool:
    """Return whether we have the lock now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _written_pid(descriptor: int) -> int:
    """Return the pid in a lock file; 0 in the instant before it is written."""
    return int(os.pread(descriptor, 20, 0).decode().strip() or 0)


def _is_locked(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        return not _flock(file.fileno())
    return False


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

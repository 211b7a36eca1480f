"""What supervisord calls: `python -I -m btcbot.cli.process NAME HOME/run/config.json [--standby]`.

Sets the process up (dies with its parent, no core dumps, umask, title, logs), minds the crash-loop
guard, then becomes the actor. Imports no click: an actor starts fast and stays small.
"""

import importlib
import logging
import os
import resource
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from setproctitle import setproctitle

from btcbot import logs
from btcbot.arming import refusals, settled
from btcbot.cli import exits
from btcbot.cli.guard import Guard
from btcbot.config import Config, thaw
from btcbot.cores import keep_to_half
from btcbot.domain.instruments import DOCUMENTED
from btcbot.layers import ConfigError
from btcbot.parent import die_with_parent
from btcbot.secret import SecretError, read_secret
from btcbot.simulation import defaults
from btcbot.vitals import standby_title_of, title_of
from bus.zeromq import EndpointError, Locked

if TYPE_CHECKING:
    from btcbot.cli.sandbox import Settings

STANDBY: Final = "--standby"
log = logging.getLogger("btcbot.process")


def main(arguments: list[str]) -> int:
    """Run the actor (or the sandbox) that `arguments` name; return its exit code."""
    name, path, *rest = arguments
    assert rest in ([], [STANDBY]), f"unknown arguments: {rest}"
    die_with_parent(int(os.environ.get("BTCBOT_SUPERVISOR_PID", "0")))
    try:
        config, run_id = thaw(Path(path))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return exits.CONFIG
    return live(name, config, run_id, waits=bool(rest))


def live(name: str, config: Config, run_id: str, *, waits: bool = False) -> int:
    """Be the actor `name` until it ends; return 75 if it lives already, 78 if it may not start.

    With `waits` (execution alone has this), 75 does not occur: it becomes the warm standby.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    setproctitle(standby_title_of(name) if waits else title_of(name))
    keep_to_half(name)
    logs.configure(name, run_id=run_id, mode=config.mode, level=config.log.level)
    try:
        if name == "sandbox":
            serve_sandbox(config)
        else:
            become(name, config, waits=waits)
    except Locked as error:
        log.error("already_running", extra={"error": str(error)})  # noqa: TRY400 (it says it all)
        return exits.TRY_LATER
    except (ConfigError, SecretError, EndpointError) as error:
        log.critical("configuration_refused", extra={"error": str(error)})
        return exits.CONFIG
    return exits.OK


def become(name: str, config: Config, *, waits: bool = False) -> None:
    """Run the actor until it ends. Raises ConfigError with every reason why it may not."""
    if name == "execution":
        # Its life begins when it has its place: a standby that waits has started nothing.
        load(name).main(config, begin=lambda: begin(name, config), waits=waits)
    else:
        begin(name, config)
        load(name).main(config)


def begin(name: str, config: Config) -> None:
    """Begin a life: count it, and refuse it where the configuration may not trade."""
    setproctitle(title_of(name))
    guard = Guard(config.run, name)
    if guard.enter(time.clock_gettime_ns(time.CLOCK_BOOTTIME)):
        log.critical("crash_loop", extra={"error": guard.hold()})
    # Only what the configuration decides: in a fleet that was started, somebody has to manage the
    # orders that are open, whatever the home says by now. Execution holds new ones to the rest.
    if reasons := refusals(list(settled(config))):
        raise ConfigError(*reasons)


def load(name: str) -> ModuleType:
    """Import what has the actor's `main`, and no more than it needs."""
    # httpx imports its own command line, and with it click and rich, unless it cannot: 6 MB and
    # 40 ms in each actor that talks to the exchange.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    # Execution's is beside us: a panic lives the same life.
    return importlib.import_module("btcbot.cli.life" if name == "execution" else f"actors.{name}")


def serve_sandbox(config: Config) -> None:
    """Be the exchange of mode sandbox until told to end."""
    from btcbot.cli.sandbox import run

    run(sandbox_of(config))


def sandbox_of(config: Config) -> "Settings":
    """Return what the exchange of mode sandbox is run with. Raises ConfigError, SecretError."""
    from btcbot.cli.sandbox import Settings
    from btcbot.fault_profile import profile_of
    from btcbot.simulation.faults import Profile

    if unknown := [pair for pair in config.pairs if pair not in DOCUMENTED]:
        raise ConfigError(f"pairs = {unknown}: the sandbox trades {', '.join(DOCUMENTED)}")
    key_file, secret_file = config.key_files
    return Settings(
        host=defaults.HOST,
        port=config.sandbox.port,
        key=read_secret(key_file).reveal(),
        secret=read_secret(secret_file).reveal(),
        balances=dict(defaults.BALANCES),
        # A recording is played for the first pair.
        pairs=tuple(dict.fromkeys([*config.pairs, *DOCUMENTED])),
        seed=config.sandbox.seed,
        data=(config.sandbox.data,) if config.sandbox.data else (),
        speed=float(config.sandbox.speed),
        state=config.home / "sandbox",
        faults=profile_of(config.sandbox.faults) if config.sandbox.faults else Profile(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

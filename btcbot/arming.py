"""What has to hold before orders may go out: by mode, each gate by its code.

`btcbot up` holds a start to all of them. Execution looks again while it lives (`withdrawn`) and
holds every order to what it saw last, so that an arming which is taken back stops the next order.
The other modes need no arming: their orders cannot leave this machine.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from btcbot.config import Config
from btcbot.domain.venue import ArmingSeen
from btcbot.portfolio.adaptive import NAME as ADAPTIVE
from btcbot.sections import seats_of

ACKNOWLEDGEMENT = "I_UNDERSTAND"
DAY_NS = 86_400_000_000_000
# BTCTurk takes stamps that are old, and lists orders late: sooner, absence is a guess.
ABSENCE_WAIT_MIN_S = 900


class Waiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A check that was not green, and that a person answers for."""

    check: str
    reason: str
    by: str


class LiveCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `btcbot check --live` found the last time on this home."""

    at_ns: int
    config: str  # Digest of the configuration that was checked.
    red: tuple[str, ...]  # The checks that were not green, and that nobody waived.
    waived: tuple[Waiver, ...] = ()


class Gate(Struct, frozen=True):
    """One condition of arming, and whether it holds."""

    code: str
    is_open: bool
    found: str
    wanted: str


def checks(config: Config) -> Path:
    """Return the folder in which the results of checks are kept."""
    return config.home / "checks"


def digest(config: Config) -> str:
    """Return what changes with any setting."""
    told = msgspec.json.encode(config, enc_hook=str, order="sorted")
    return blake2b(told, digest_size=8).hexdigest()


def read_live_check(config: Config) -> LiveCheck | None:
    """Return the last result; None when there is none that can be read."""
    try:
        return msgspec.json.decode((checks(config) / "live.json").read_bytes(), type=LiveCheck)
    except (OSError, msgspec.MsgspecError):
        return None


def gates(config: Config, now_ns: int | None = None) -> list[Gate]:
    """Return every gate of the configured mode; without `now_ns` a check may be of any age."""
    if config.mode != "live":
        return list(settled(config))
    return [*settled(config), *of_home(config, now_ns)]


def settled(config: Config) -> Iterator[Gate]:
    """Yield the gates that the configuration alone decides: they hold for the life of a fleet."""
    if config.mode == "live":
        yield from of_live(config)
    else:
        yield Gate("mode", is_open=True, found=f"mode = {config.mode!r}", wanted="not 'live'")


def of_live(config: Config) -> Iterator[Gate]:
    """Yield what `config` has to say for live trading, whatever its mode."""
    yield Gate("mode", config.mode == "live", f"mode = {config.mode!r}", "must be 'live'")
    live, exchange, wait_s = config.live, config.exchange, config.orders.absence_wait_s
    yield Gate(
        "armed", live.armed, f"live.armed = {str(live.armed).lower()}",
        "must be true to trade live",
    )  # fmt: skip
    yield Gate(
        "acknowledge", live.acknowledge == ACKNOWLEDGEMENT,
        f"live.acknowledge = {live.acknowledge!r}", f"must be {ACKNOWLEDGEMENT!r} to trade live",
    )  # fmt: skip
    has_key = exchange.api_key_file is not None and exchange.api_secret_file is not None
    yield Gate(
        "key", has_key,
        "exchange.api_key_file and api_secret_file are " + ("set" if has_key else "not both set"),
        "name the two files of your key",
    )  # fmt: skip
    yield Gate(
        "absence_wait", wait_s >= ABSENCE_WAIT_MIN_S, f"orders.absence_wait_s = {wait_s}",
        f"must be at least {ABSENCE_WAIT_MIN_S} to trade live",
    )  # fmt: skip
    yield from of_adaptation(config)


def of_adaptation(config: Config) -> Iterator[Gate]:
    """Yield a gate for each strategy that would change its own parameters while it trades live."""
    for _, table, seat in seats_of(config.strategy, config.strategies):
        if seat.uses == ADAPTIVE:
            given = str(seat.params.get("allow_live", False)).lower()
            yield Gate(
                "adaptation", given == "true", f"{table}.params.allow_live = {given}",
                f"must be true for {ADAPTIVE} to change its own parameters in live; else set "
                f"mode to paper, or choose portfolio, which changes nothing",
            )  # fmt: skip


def of_home(config: Config, now_ns: int | None) -> Iterator[Gate]:
    """Yield the gates that the home decides."""
    yield kill_switch(config)
    reason = why_unchecked(config, now_ns)
    found = reason or "btcbot check --live is green"
    yield Gate("live_check", not reason, found, "it has to be green, and of today")


def kill_switch(config: Config) -> Gate:
    """Return the gate that the file HOME/run/KILL shuts."""
    kill = config.run / "KILL"
    is_killed = kill.exists()
    return Gate(
        "kill_switch", not is_killed,
        f"the kill switch is on: {kill} exists" if is_killed else "the kill switch is off",
        "remove the file; the trading state stays as it is until btcbot-ctl resume",
    )  # fmt: skip


def refusals(gates: Sequence[Gate]) -> list[str]:
    """Return every reason why a fleet may not start; empty: it may."""
    return [f"{gate.code}: {gate.found}; {gate.wanted}" for gate in gates if not gate.is_open]


def headline(config: Config, gates: Sequence[Gate]) -> str:
    """Return the line that tells whether orders will go out, and each gate with what was found."""
    shut = [gate.code for gate in gates if not gate.is_open]
    told = "; ".join(f"{g.code} {'ok' if g.is_open else 'NO'}: {g.found}" for g in gates)
    if shut:
        return f"BLOCKED by {', '.join(shut)} [{told}]"
    return f"ARMED: orders go to {_whither(config)} [{told}]"


def _whither(config: Config) -> str:
    """Return where orders go, in words for people."""
    match config.mode:
        case "paper":
            return f"a simulated account, at the prices of {config.addresses.rest}"
        case "dry_run":
            return f"nobody: each is recorded, at the prices of {config.addresses.rest}"
        case _:
            return config.addresses.rest


def withdrawn(config: Config) -> tuple[str, ...]:
    """Return the codes of the gates that are shut while a fleet lives: it may start no order.

    A check counts for as long as the fleet lives, however old it grows. One of another
    configuration says nothing of this one.
    """
    shut = [gate.code for gate in settled(config) if not gate.is_open]
    if (config.run / "KILL").exists():
        shut.append("kill_switch")
    last = read_live_check(config)
    if last is None or (last.red and last.config == digest(config)):
        shut.append("live_check")
    return tuple(shut)


class GateWatch:
    """Looks at the gates of a fleet that lives, and tells what changed since it looked last."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._told: ArmingSeen | None = None

    def __call__(self) -> ArmingSeen | None:
        seen = ArmingSeen(shut=withdrawn(self._config))
        if seen == self._told:
            return None
        self._told = seen
        return seen


def why_unchecked(config: Config, now_ns: int | None = None) -> str:
    """Return why the last `btcbot check --live` does not count; "" when it does."""
    last = read_live_check(config)
    if last is None:
        return "`btcbot check --live` was not run on this home: run it, and end what it finds"
    if last.red:
        return f"`btcbot check --live` is not green: {', '.join(last.red)}; run it for the details"
    if last.config != digest(config):
        return "`btcbot check --live` was green for another configuration: run it again"
    if now_ns is not None and not 0 <= now_ns - last.at_ns <= DAY_NS:
        return "`btcbot check --live` was green more than a day ago: run it again"
    return ""

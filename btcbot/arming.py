"""What has to hold before a fleet may start: by mode, and for live each gate by its name."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
from msgspec import Struct

from btcbot.config import Config

ACKNOWLEDGEMENT = "I_UNDERSTAND"
DAY_NS = 86_400_000_000_000


class LiveCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `btcbot check --live` found the last time on this home."""

    at_ns: int
    config: str  # Digest of the configuration that was checked.
    red: tuple[str, ...]  # The checks that were not green.


class Gate(Struct, frozen=True):
    """One condition of arming, and whether it holds."""

    name: str
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


def gates(config: Config) -> Iterator[Gate]:
    """Yield the gates of `mode = "live"` that the configuration and the home decide."""
    live, kill = config.live, config.run / "KILL"
    yield Gate("mode", config.mode == "live", f"mode = {config.mode!r}", "mode = 'live'")
    yield Gate(
        "armed", live.armed, f"live.armed = {str(live.armed).lower()}",
        "live.armed: must be true to trade live",
    )  # fmt: skip
    yield Gate(
        "acknowledge", live.acknowledge == ACKNOWLEDGEMENT,
        f"live.acknowledge = {live.acknowledge!r}",
        f"live.acknowledge: must be {ACKNOWLEDGEMENT!r} to trade live",
    )  # fmt: skip
    yield Gate(
        "kill switch", not kill.exists(),
        f"the kill switch is on: {kill} exists" if kill.exists() else "off", "off",
    )  # fmt: skip


def refusals(config: Config, now_ns: int | None = None) -> list[str]:
    """Return every reason why `config` may not start trading; empty: it may.

    Only sandbox trades in this version. For live, each missing condition of arming is named too;
    without `now_ns` a check may be of any age.
    """
    if config.mode == "sandbox":
        return []
    found = [f"mode = {config.mode!r}: this version trades in sandbox only; set mode = 'sandbox'"]
    if config.mode == "live":
        found += [f"{gate.found}: {gate.wanted}" for gate in gates(config) if not gate.is_open]
        if reason := why_unchecked(config, now_ns):
            found.append(reason)
    return found


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

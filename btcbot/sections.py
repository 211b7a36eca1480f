"""The sections of the configuration, one frozen struct each; every default is safe."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from btcbot.simulation import defaults

Port = Annotated[int, Meta(ge=1, le=65_535)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Exchange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the exchange is and who we are to it; empty addresses are chosen by mode."""

    rest_url: str = ""  # Empty in sandbox: our own sandbox. Else it must be a loopback address.
    graph_url: str = ""  # Charts. Empty in sandbox: the same as rest_url.
    ws_url: str = ""  # WebSocket. Empty in sandbox: rest_url's host and port, path /ws.
    api_key_file: Path | None = None  # 0600, yours. Empty: the sandbox's documented key.
    api_secret_file: Path | None = None  # 0600, yours; base64 text as BTCTurk shows it.
    maker_bps: Decimal | None = None  # Fee of a resting order. Empty: BTCTurk's level 1 list.
    taker_bps: Decimal | None = None  # Fee of an order that crosses. Empty: the level 1 list.


class Live(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arming of `mode = "live"`: every condition must hold, or btcbot does not start."""

    armed: bool = False  # Must be true to trade live.
    acknowledge: str = ""  # Must be "I_UNDERSTAND" to trade live.


class Strategy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which strategy decides; its parameters are checked by the strategy's own types."""

    name: str = "profit_aware"  # One of btcbot/strategies/.
    params: dict[str, Any] = field(default_factory=dict)  # A table: [strategy.params].


class Agent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The language model's policy; this version has none, and says so instead of ignoring it."""

    mode: Literal["off"] = "off"  # "shadow" and "advise" are refused in this version.


class Sandbox(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exchange that `btcbot up` starts beside the fleet in mode sandbox."""

    port: Port = defaults.PORT  # REST and WebSocket, on 127.0.0.1.
    seed: Seed = 1  # Of the synthetic market: one seed, one market.
    data: Path | None = None  # A recording to play instead of the synthetic market.
    speed: Decimal = Decimal(1)  # Market seconds per second, up to 1000.
    faults: str = ""  # What goes wrong: calm, flaky, hostile, maintenance, or a file's full path.


class Paper(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The simulated account of the modes paper and dry_run, at the prices of the real exchange."""

    # What it holds on a home's first start; after that the account's own file counts.
    balances: dict[str, Decimal] = field(default_factory=lambda: {"TRY": Decimal(100_000)})
    latency_ms: Annotated[int, Meta(ge=0, le=5_000)] = 25  # A request's way to it; back the same.


class Dashboard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The web page: read-only, on 127.0.0.1."""

    port: Port = 8791  # http://127.0.0.1:8791/


class Store(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The disk of the journal: room kept for the last facts, and copies of the database."""

    # MiB given up when the disk is full, so that cancels can still be journaled. 0: none is kept.
    reserve_mb: Annotated[int, Meta(ge=0, le=65_536)] = 64
    backup_interval_s: Annotated[int, Meta(ge=0, le=604_800)] = 3_600  # 0: no copies are taken.
    backup_keep: Annotated[int, Meta(ge=1, le=1_000)] = 24  # The newest; older ones are removed.


class Log(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to HOME/log."""

    level: Literal["debug", "info", "warning", "error"] = "info"  # The least level written.

"""The sections of the configuration, one frozen struct each; every default is safe."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from btcbot.domain.ids import Asset, Pair
from btcbot.portfolio.bounds import check_amounts
from btcbot.portfolio.budget import PlanLimits
from btcbot.portfolio.universe import PairRules, UniverseRules
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


class Seat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several strategies on the account: a table [strategies.NAME]."""

    uses: str  # A strategy of btcbot, or the absolute path of a file of yours that ends in .py.
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 100  # Its part of the capital.
    interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 250  # Between two decisions of a pair.
    params: dict[str, Any] = field(default_factory=dict)


def seats_of(
    strategy: Strategy, strategies: Mapping[str, Seat]
) -> tuple[tuple[str, str, Seat], ...]:
    """Return (name, its table, seat): those of [strategies], else [strategy] alone.

    The heaviest first, then by name: the order in which they are served.
    """
    if not strategies:
        path = Path(strategy.name)
        name = path.stem if path.suffix == ".py" else strategy.name
        return ((name, "strategy", Seat(uses=strategy.name, params=strategy.params)),)
    named = sorted(strategies.items(), key=lambda row: (-row[1].weight, row[0]))
    return tuple((name, f"strategies.{name}", seat) for name, seat in named)


class Plan(PlanLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of what is ordered at one time, each in the quote asset. A cap of zero means zero.

    They cut what is wished, so that it fits; the limits of [risk] refuse what does not, and hold
    whatever stands here. Whoever raises one there raises its cap here too.
    """

    cash_reserve: Decimal = Decimal(1_000)  # Never spent.
    use_share: Decimal = Decimal(1)  # Of what lies above the reserve, at one time.
    fee_buffer_bps: Decimal = Decimal(20)  # Kept for fees beside each buy; the taker's at least.
    position_max: Decimal = Decimal(20_000)  # Held and being bought, of one pair.
    exposure_max: Decimal = Decimal(40_000)  # Held and being bought, of all pairs.
    cycle_max: Decimal = Decimal(10_000)  # Bought at one time. Sells are not counted.
    order_max: Decimal = Decimal(5_000)  # Of one order, buy or sell.
    notional_min: Decimal = Decimal(10)  # Of one order; the exchange's own if that is more.
    orders_max: Annotated[int, Meta(ge=0, le=100)] = 8  # At one time; sells come first.


class Universe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which pairs a strategy may choose that looks at the whole account; others have `pairs`."""

    quote: Asset = Asset("TRY")  # Its own account's; only these pairs are chosen from.
    allow: tuple[Pair, ...] = ()  # Empty: every pair of `pairs`.
    deny: tuple[Pair, ...] = ()  # Never.
    stables: bool = False  # Whether pairs of two currencies (USDTTRY) are in.
    spread_max_bps: Decimal = Decimal(200)  # Now, of the middle.
    size: Annotated[int, Meta(ge=0, le=100)] = 20  # The best by spread, then by turnover.

    @property
    def rules(self) -> UniverseRules:
        """The rules without memory. Raises ValueError."""
        bare = PairRules(quote=self.quote, allow=self.allow, deny=self.deny)
        pairs = replace(bare, stables=()) if self.stables else bare
        return UniverseRules(pairs=pairs, spread_max_bps=self.spread_max_bps, size=self.size)

    def __post_init__(self) -> None:
        check_amounts(self)


class Agent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The agent policy: rules, and a language model if one is named, that let the bot buy less.

    Money is in the currency the model is paid in. `btcbot-ctl agent mode` changes the mode of a
    fleet that was started with anything but "off".
    """

    mode: Literal["off", "shadow", "advise"] = "off"  # shadow: asked and recorded, no influence.
    url: str = ""  # OpenAI-compatible base, such as http://127.0.0.1:8080/v1. Empty: rules alone.
    model: str = ""  # The server's name for it; wanted with agent.url.
    key_file: Path | None = None  # 0600, yours; sent as a bearer token. Empty: none is sent.
    interval_s: Annotated[int, Meta(ge=10, le=86_400)] = 300  # At least, between two questions.
    timeout_s: Annotated[int, Meta(ge=1, le=120)] = 10  # Of one question; it is not repeated.
    tokens_per_day_max: Annotated[int, Meta(ge=0)] = 1_000_000  # Read and written, in a UTC day.
    money_per_day_max: Decimal = Decimal(1)  # In a UTC day.
    money_per_mtok_in: Decimal = Decimal(0)  # Of a million tokens read.
    money_per_mtok_out: Decimal = Decimal(0)  # Of a million written.
    spread_max_bps: Annotated[int, Meta(ge=0, le=10_000)] = 120  # Rule: nothing is bought above.
    drawdown_max_bps: Annotated[int, Meta(ge=0, le=10_000)] = 1_000  # Rule: nor from here on.

    @property
    def has_model(self) -> bool:
        """Whether anybody is asked."""
        return self.mode != "off" and bool(self.url)


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

"""The configuration: one frozen `Config`, read in layers, checked before anything starts.

Layers, later wins: the defaults here, one `btcbot.toml`, each `-c` file, the environment
(`BTCBOT__SECTION__KEY`), flags. The base file is `HOME/btcbot.toml` when a home is named by flag or
environment, else `./btcbot.toml`, else `btcbot.toml` in the default home; it need not exist.
Every default is safe: nothing here trades live. This is the only module that reads the environment.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from btcbot import addresses, fault_profile
from btcbot.addresses import BTCTURK, Addresses
from btcbot.catalog.bounds import DAY_S, CaptureBounds
from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import DOCUMENTED, FeeRates, default_fees
from btcbot.domain.money import Bps
from btcbot.domain.words import PAPER_MODES
from btcbot.layers import (
    ConfigError,
    Layer,
    convert,
    expanded,
    merge,
    nest,
    read_environment,
    read_file,
)
from btcbot.orders.bounds import OrderBounds
from btcbot.risk.limits import RiskLimits
from btcbot.sections import (
    Agent,
    Dashboard,
    Exchange,
    Live,
    Log,
    Paper,
    Plan,
    Sandbox,
    Seat,
    Store,
    Strategy,
    Universe,
    seats_of,
)

Mode = Literal["sandbox", "dry_run", "paper", "live"]

FILE_NAME = "btcbot.toml"
HOME_DEFAULT = Path("~/.local/state/btcbot")
# The kernel takes 107 bytes. supervisord binds "sv.sock.<pid>" first, which is no longer than this.
SOCKET_PATH_MAX = 100
LONGEST_SOCKET = "market_data.pub"
SPEED_MAX = 1_000
MONEY_MAX = 1_000_000


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that may be set, checked; paths are absolute."""

    mode: Mode = "sandbox"  # Where prices come from, and where orders go; live wants arming.
    home: Path = HOME_DEFAULT  # Database, journals, sockets, logs; 0700.
    pairs: tuple[Pair, ...] = (Pair("BTCTRY"), Pair("ETHTRY"))  # What is traded.
    exchange: Exchange = Exchange()
    live: Live = Live()
    risk: RiskLimits = RiskLimits()
    orders: OrderBounds = OrderBounds()
    strategy: Strategy = field(default_factory=Strategy)
    strategies: dict[str, Seat] = field(default_factory=dict)  # Several: a table for each by name.
    plan: Plan = Plan()
    universe: Universe = Universe()
    agent: Agent = Agent()
    capture: CaptureBounds = CaptureBounds()
    sandbox: Sandbox = Sandbox()
    paper: Paper = field(default_factory=Paper)
    dashboard: Dashboard = Dashboard()
    store: Store = Store()
    log: Log = Log()

    @property
    def run(self) -> Path:
        """Sockets, locks, and the file KILL that stops all sending."""
        return self.home / "run"

    @property
    def journal(self) -> Path:
        """Each actor's inbox."""
        return self.home / "journal"

    @property
    def data(self) -> Path:
        """The catalog of recorded data: raw segments, and data sets by name."""
        return self.home / "data"

    @property
    def quarantine(self) -> Path:
        """Frames that were refused."""
        return self.home / "quarantine"

    @property
    def backups(self) -> Path:
        """Copies of the database."""
        return self.home / "backup"

    @property
    def raw(self) -> Path:
        """What the exchange said, byte for byte: a folder for each that listens."""
        return self.home / "data" / "raw"

    @property
    def database(self) -> Path:
        return self.home / "btcbot.db"

    @property
    def key_files(self) -> tuple[Path, Path]:
        """The files of the API key and of its secret; only execution reads them."""
        return (
            self.exchange.api_key_file or self.run / "sandbox.key",
            self.exchange.api_secret_file or self.run / "sandbox.secret",
        )

    @property
    def addresses(self) -> "Addresses":
        """Where the exchange of this mode is."""
        rest, graph, ws = self.exchange.rest_url, self.exchange.graph_url, self.exchange.ws_url
        if self.mode != "sandbox":
            return Addresses(rest or BTCTURK.rest, graph or BTCTURK.graph, ws or BTCTURK.ws)
        rest = (rest or f"http://127.0.0.1:{self.sandbox.port}").rstrip("/")
        return Addresses(rest, graph or rest, ws or rest.replace("http", "ws", 1) + "/ws")

    @property
    def strategy_names(self) -> tuple[str, ...]:
        """What each strategy's orders and profit are booked under, in the order they are served."""
        return tuple(name for name, _, _ in seats_of(self.strategy, self.strategies))

    @property
    def is_paper(self) -> bool:
        """Whether prices are the real exchange's, and the account is the model in execution."""
        return self.mode in PAPER_MODES

    @property
    def owns_sandbox(self) -> bool:
        """Whether `btcbot up` starts the exchange itself."""
        return self.mode == "sandbox" and not self.exchange.rest_url

    def fees(self, quote: Asset) -> FeeRates:
        """Return the rates for pairs quoted in `quote`: as set, else the exchange's list."""
        listed = default_fees(quote)
        maker, taker = self.exchange.maker_bps, self.exchange.taker_bps
        return FeeRates(
            maker_bps=listed.maker_bps if maker is None else Bps(maker),
            taker_bps=listed.taker_bps if taker is None else Bps(taker),
        )

    def fees_of(self, pair: Pair) -> FeeRates:
        """Return the rates of `pair`; every pair of BTCTurk is quoted in TRY or USDT."""
        return self.fees(Asset("TRY" if pair.endswith("TRY") else "USDT"))


class Loaded(Struct, frozen=True):
    """A configuration with the origin of each value that was set, and the files it came from."""

    config: Config
    origins: Mapping[str, str]
    files: tuple[Path, ...] = ()
    layers: tuple[Layer, ...] = ()  # Lowest first.

    def overridden(self, key: str) -> Iterator[tuple[str, Any]]:
        """Yield where else `key` is set, and to what, from the layer that would win next."""
        for layer in reversed(self.layers):
            if key in layer.values and layer.origin != self.origins.get(key):
                yield layer.origin, layer.values[key]


def load(files: Sequence[Path] = (), flags: Mapping[str, Any] | None = None) -> Loaded:
    """Return the configuration of all layers; `flags` are keys given on the command line.

    Raises ConfigError with every problem found.
    """
    here = Path.cwd()
    above = [*read_environment(os.environ, Config, here), Layer("flag", dict(flags or {}), here)]
    base = _base_file(above)
    paths = (*((base,) if base else ()), *files)
    layers = (*map(read_file, paths), *above)
    values, origins = merge(layers, Config)
    return Loaded(_checked(values, origins), origins, paths, layers)


def load_alone(path: Path) -> Loaded:
    """Return what one file says over the defaults, whatever the environment has.

    For a folder it is that home's: its btcbot.toml, or the defaults on it. Raises ConfigError.
    """
    file = path / FILE_NAME if path.is_dir() else path
    layers: tuple[Layer, ...] = ()
    if file.exists() or not path.is_dir():
        layers += (read_file(file),)
    if path.is_dir():
        layers += (Layer("argument", {"home": str(path.absolute())}, path),)
    values, origins = merge(layers, Config)
    return Loaded(_checked(values, origins), origins, (file,), layers)


def freeze(config: Config, run_id: str = "") -> bytes:
    """Return `config` as JSON: what `btcbot up` hands to every actor of one fleet, whole.

    An actor that is restarted reads this, not the files: a fleet never runs half of an edit.
    """
    return msgspec.json.encode({"run_id": run_id, "config": config}, enc_hook=str)


def thaw(path: Path) -> tuple[Config, str]:
    """Return the configuration and the run id that `freeze` wrote. Raises ConfigError."""
    try:
        tree = msgspec.json.decode(path.read_bytes())
        config: Config = convert(tree["config"], Config)
        return config, str(tree["run_id"])
    except (OSError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: {error}; start the fleet with `btcbot up`") from None


def _base_file(above: Sequence[Layer]) -> Path | None:
    """Return the btcbot.toml to read first: naming a home names its file."""
    for layer in reversed(above):
        if home := layer.values.get("home"):
            path = layer.base / (expanded(str(home)) or str(home)) / FILE_NAME
            return path if path.exists() else None
    for folder in (Path.cwd(), HOME_DEFAULT.expanduser()):
        if (folder / FILE_NAME).exists():
            return folder / FILE_NAME
    return None


def _checked(values: Mapping[str, Any], origins: Mapping[str, str]) -> Config:
    """Return the whole configuration. Raises ConfigError with all that does not go together."""
    tree = {"home": str(HOME_DEFAULT.expanduser()), **nest(values)}
    problems = []
    for section in msgspec.structs.fields(Config):
        try:
            convert(tree.get(section.name, {}), section.type) if section.name in tree else None
        except msgspec.ValidationError as error:
            # Each value was converted before: this is what a section says of its own keys.
            problems.append(f"{section.name}.{error}")
    config: Config | None = None
    if not problems:
        config = convert(tree, Config)
        problems = list(_problems(config))
    if config is None or problems:
        raise ConfigError(*(f"{_origin(text, origins)}: {text}" for text in problems))
    return config


def _origin(problem: str, origins: Mapping[str, str]) -> str:
    """Return where the key that starts `problem` was set, or a key under it."""
    key = problem.partition(" ")[0]
    return next((origins[name] for name in origins if f"{name}.".startswith(f"{key}.")), "default")


def _problems(config: Config) -> Iterator[str]:
    """Yield what is wrong between the keys; each text starts with the key to change."""
    if found := re.search(r"[\x00-\x1f\"'\\%]", str(config.home)):
        yield f"home = {str(config.home)!r}: {found[0]!r} cannot stand in a supervisord command"
    longest = len(os.fsencode(config.run / LONGEST_SOCKET))
    if longest > SOCKET_PATH_MAX:
        yield (
            f"home = {str(config.home)!r}: its longest socket path has {longest} bytes; allowed "
            f"are {SOCKET_PATH_MAX}: choose a home {longest - SOCKET_PATH_MAX} bytes shorter"
        )
    yield from _problems_of_strategy(config)
    yield from _problems_of_pairs(config.pairs)
    if config.owns_sandbox:
        yield from _problems_of_sandbox_pairs(config.pairs)
    yield from _problems_of_exchange(config.exchange, config.mode)
    yield from _problems_of_capture(config.capture)
    yield from _problems_of_sandbox(config)
    yield from _problems_of_paper(config.paper.balances)
    yield from _problems_of_agent(config.agent)


def _problems_of_sandbox(config: Config) -> Iterator[str]:
    if not 0 < config.sandbox.speed <= SPEED_MAX:
        yield (
            f"sandbox.speed = {config.sandbox.speed}: expected more than 0 (1 is real time), "
            f"up to {SPEED_MAX}"
        )
    if config.sandbox.port == config.dashboard.port and config.owns_sandbox:
        yield f"dashboard.port = {config.dashboard.port}: the sandbox has it; choose another"
    if config.sandbox.faults:
        yield from fault_profile.problems("sandbox.faults", config.sandbox.faults)
    if config.sandbox.data is not None and not config.sandbox.data.is_file():
        yield f"sandbox.data = {str(config.sandbox.data)!r}: no such file"


def _problems_of_paper(balances: Mapping[str, Decimal]) -> Iterator[str]:
    for asset, amount in balances.items():
        if not re.fullmatch(r"[A-Z0-9]{2,10}", asset):
            yield f"paper.balances.{asset}: expected an asset's name, such as TRY or BTC"
        elif amount < 0:
            yield f"paper.balances.{asset} = {amount}: expected 0 or more"


def _problems_of_agent(agent: Agent) -> Iterator[str]:
    for name in ("money_per_day_max", "money_per_mtok_in", "money_per_mtok_out"):
        amount = getattr(agent, name)
        if not 0 <= amount <= MONEY_MAX:
            yield f"agent.{name} = {amount}: expected 0 to {MONEY_MAX}"
    if bool(agent.url) is not bool(agent.model):
        yield f"agent.model = {agent.model!r}: set agent.url and agent.model, or neither"
    if agent.url:
        has_prices = bool(agent.money_per_mtok_in and agent.money_per_mtok_out)
        yield from addresses.problems_of_model(agent.url, has_prices=has_prices)


def _problems_of_capture(bounds: CaptureBounds) -> Iterator[str]:
    if DAY_S % bounds.rotate_s:
        yield (
            f"capture.rotate_s = {bounds.rotate_s}: expected a divisor of a day, such as 900 or "
            "3600, so that no segment has two days"
        )
    # The newest segment of each of three writers is never deleted.
    if bounds.disk_max_mb < 4 * bounds.rotate_mb:
        yield (
            f"capture.disk_max_mb = {bounds.disk_max_mb}: expected at least "
            f"{4 * bounds.rotate_mb}, four times capture.rotate_mb"
        )


def _problems_of_strategy(config: Config) -> Iterator[str]:
    # Imported where a person's configuration is judged: six of seven actors have no use for it.
    from btcbot.chosen import problems  # noqa: PLC0415

    yield from problems(config)


def _problems_of_pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    if not pairs:
        yield 'pairs = []: expected at least one pair, such as ["BTCTRY"]'
    for pair in pairs:
        if not re.fullmatch(r"[A-Z0-9]{5,16}", pair):
            yield f'pairs = {pair!r}: expected the exchange\'s name, such as "BTCTRY"'
    if len(set(pairs)) < len(pairs):
        yield f"pairs = {list(pairs)}: a pair stands there twice"


def _problems_of_sandbox_pairs(pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield the pairs that our own exchange does not have; of another one market_data tells."""
    for pair in pairs:
        if pair not in DOCUMENTED:
            near = difflib.get_close_matches(pair, DOCUMENTED, n=3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            yield f"pairs = {pair!r}: the sandbox trades {', '.join(DOCUMENTED)}{hint}"


def _problems_of_exchange(exchange: Exchange, mode: Mode) -> Iterator[str]:
    given = {name: getattr(exchange, name) for name in addresses.SCHEMES}
    yield from addresses.problems(mode, given)
    for name in ("maker_bps", "taker_bps"):
        rate = getattr(exchange, name)
        if rate is not None and not 0 <= rate < 10_000:
            yield f"exchange.{name} = {rate}: expected 0 to 10000 bps"

"""Fuzz every decoder of the exchange's answers: `scripts/fuzz COUNT SEED exchange`.

A decoder reads an answer or refuses it with WireError; nothing else may come of it. What it reads
has no NaN, no float where money is, and no id past 64 bits. The classifier says REJECTED of no body
that could follow an accepted order.
"""

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from btcbot.btcturk import (
    account,
    exchange_info,
    frames,
    private_frames,
    public,
    public_frames,
    rules,
    wire,
)
from btcbot.btcturk.classify import classify
from btcbot.btcturk.drift import KNOWN, unknown_fields
from btcbot.btcturk.grammar import ID_MAX, WireError
from btcbot.domain.ids import ClientOrderId, IntentId, Pair
from btcbot.domain.money import is_sane
from btcbot.domain.venue import Outcome, Submitted
from tests.btcturk.captures import names, sample
from tests.btcturk.mutations import Mutator

Read = Callable[[bytes], Any]
PAIR = Pair("BTCTRY")
LABEL = ClientOrderId("98e5c491-7ed9-462b-9666-93553180fb28")  # Of the sample of a submit's reply.
STATUSES = (200, 200, 200, 400, 400, 401, 403, 404, 405, 422, 429, 500, 502, 503, 504, 301, 307, 0)
RARE = ("rest-exchangeinfo",)  # Long: spoilt less often, so that a million takes minutes.


def frame_of(read: Callable[[int, msgspec.Raw], Any]) -> Read:
    return lambda raw: read(*frames.split(raw))


def login(kind: int, body: msgspec.Raw) -> Any:
    return private_frames.login_answer(body) if kind == 114 else None


REST: dict[str, Read] = {
    "time": public.server_time,
    "ping": public.ping,
    "exchange_info": exchange_info.exchange_info,
    "rules": rules.instruments,
    "tickers": public.tickers,
    "order_book": public.order_book,
    "book": wire.book,
    "public_trades": public.public_trades,
    "daily": public.daily,
    "chart_days": public.chart_days,
    "candles": public.candles,
    "server_ms": wire.server_ms,
    "balances": account.balances,
    "balance_rows": account.balance_rows,
    "fills": wire.fills,
    "transfers": account.transfers,
    "open_orders": lambda raw: wire.open_orders(raw, PAIR),
    "all_orders": lambda raw: wire.all_orders(raw, PAIR),
    "order": wire.order,
}
FRAMES: dict[str, Read] = {
    "public frame": lambda raw: public_frames.read(raw, {"BTCTRY"})[1],
    "private frame": frame_of(private_frames.private),
    "login": frame_of(login),
}
# Which decoders a sample is for; the rest gets it now and then.
OWN: dict[str, tuple[str, ...]] = {
    "rest-server-time": ("time", "server_ms"),
    "rest-server-ping": ("ping",),
    "rest-exchangeinfo": ("exchange_info", "rules"),
    "rest-ticker": ("tickers",),
    "rest-ticker-currency": ("tickers",),
    "rest-orderbook": ("order_book", "book"),
    "rest-trades": ("public_trades",),
    "rest-ohlc-v2-daily": ("daily",),
    "rest-graph-ohlcs": ("chart_days",),
    "rest-graph-klines-history": ("candles",),
    "rest-graph-klines-no-data": ("candles",),
    "rest-balances": ("balances", "balance_rows"),
    "rest-transactions-trade": ("fills",),
    "rest-transactions-crypto": ("transfers",),
    "rest-transactions-fiat": ("transfers",),
    "rest-openorders": ("open_orders",),
    "rest-allorders": ("all_orders",),
    "rest-allorders-stop-triggered": ("all_orders",),
    "rest-order-get": ("order",),
}


class Broken(AssertionError):
    """A decoder did what none may; `raw` is what made it."""


class Fuzz:
    """Counts what became of each body, by decoder."""

    def __init__(self, seed: int) -> None:
        self.mutator = Mutator(seed)
        self.counts: Counter[tuple[str, str]] = Counter()
        odd = ("vectors", "chain")
        self._samples = [(n, sample(n)) for n in names() if not any(word in n for word in odd)]

    def one(self) -> None:
        """Spoil one body and give it to what may have to read it. Raises Broken."""
        draw = self.mutator.random
        name, raw = draw.choice(self._samples)
        if name in RARE and draw.random() < 0.9:
            name, raw = draw.choice(self._samples)
        spoilt = self.mutator.spoil(raw)
        readers = FRAMES if name.startswith("ws-") else REST
        chosen = (*OWN.get(name, ()), draw.choice(tuple(readers)))
        if readers is FRAMES:
            chosen = tuple(FRAMES)
        for reader in dict.fromkeys(chosen):
            self._read(reader, readers[reader], spoilt)
        self._judge(draw.choice(STATUSES), spoilt)
        if draw.random() < 0.1:
            self._guard("drift", lambda: unknown_fields(spoilt, KNOWN["order"]), spoilt)

    def _read(self, name: str, read: Read, raw: bytes) -> None:
        try:
            found = read(raw)
        except WireError as error:
            self.counts[name, "refused"] += 1
            if len(str(error)) > 500:
                raise Broken(f"{name}: a refusal of {len(str(error))} characters") from error
            return
        except Exception as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}\n{raw!r}") from error
        self.counts[name, "read"] += 1
        if wrong := wrong_in(found):
            raise Broken(f"{name}: {wrong}\n{raw!r}")

    def _judge(self, status: int, raw: bytes) -> None:
        judged = self._guard("classify", lambda: classify(IntentId("i"), LABEL, status, raw), raw)
        self.counts["classify", judged.outcome.value] += 1
        if wrong := wrong_verdict(judged, status, raw):
            raise Broken(f"classify: HTTP {status}: {wrong}\n{raw!r}")

    def _guard(self, name: str, call: Callable[[], Any], raw: bytes) -> Any:
        try:
            return call()
        except Exception as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}\n{raw!r}") from error


def wrong_in(value: Any) -> str:
    """Return what no parsed answer may hold; empty when it holds none."""
    if isinstance(value, float):
        return f"the float {value}"
    if isinstance(value, Decimal):
        return "" if is_sane(value) else f"the number {value}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if abs(value) <= ID_MAX else f"the integer {value}"
    if isinstance(value, tuple | list):
        return next(filter(None, map(wrong_in, value)), "")
    if isinstance(value, msgspec.Struct):
        parts = (getattr(value, name) for name in value.__struct_fields__)
        return next(filter(None, map(wrong_in, parts)), "")
    return ""


def wrong_verdict(judged: Submitted, status: int, raw: bytes) -> str:
    """Return why the outcome of a submit cannot stand."""
    if judged.outcome is Outcome.NOT_SENT:
        return "an answer says that nothing was sent"
    if judged.outcome is Outcome.UNKNOWN:
        return ""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return f"{judged.outcome} of what is no JSON"
    if judged.outcome is Outcome.REJECTED:
        if LABEL.encode() in raw or body.get("data"):
            return "REJECTED, and it speaks of an order"
        return "" if status in (200, 400, 401, 429) else "REJECTED by a status that proves nothing"
    order = body["data"]
    is_ours = (
        status == 200 and order["newOrderClientId"] == LABEL and order["id"] == judged.order_id
    )
    return "" if is_ours else "ACKED, and it is not our order"


def run(count: int, seed: int) -> Counter[tuple[str, str]]:
    """Spoil `count` bodies; return what became of them. Raises Broken."""
    fuzz = Fuzz(seed)
    for number in range(count):
        try:
            fuzz.one()
        except Broken as broken:
            raise Broken(f"body {number} of seed {seed}: {broken}") from broken
    return fuzz.counts

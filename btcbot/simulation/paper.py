"""The paper exchange: the exchange model as execution's venue, moved by the live market.

It hears what market_data says: the rules, the newest touch, ten levels once a second, every trade.
What it acknowledges is in its file first, so a life that is killed goes on where it was. Nothing
here can reach an exchange: paper orders meet the recorded prices of one, and change none of them.
"""

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from btcbot.domain.ids import Asset, Pair
from btcbot.domain.instruments import FeeRates, Instrument
from btcbot.domain.messages import (
    BookDepth,
    BookTop,
    InstrumentRules,
    Level,
    Message,
    Trade,
    VenueState,
)
from btcbot.domain.venue import ConnectionsIdle, ShowMarket, VenueEffect
from btcbot.domain.words import SocketStatus
from btcbot.simulation.account import Order
from btcbot.simulation.account import Trade as Execution
from btcbot.simulation.exchange import Exchange
from btcbot.simulation.statefile import Saved, StateFile
from btcbot.simulation.venue import CallAt, Deliver, Latency, Now, SimulatedVenue

log = logging.getLogger("btcbot.paper")
REPORT_NS: Final = 5_000_000_000
Side = dict[Decimal, Decimal]  # Price to quantity.
Seen = BookTop | BookDepth | Trade | InstrumentRules


class Shown(Struct, frozen=True):
    """The levels of one pair that the market showed last."""

    bids: Side
    asks: Side


class PaperVenue:
    """Performs venue effects against the model; ShowMarket tells it of the live market."""

    def __init__(  # noqa: PLR0913 - what a venue is made of
        self,
        state: StateFile,
        balances: Mapping[Asset, Decimal],
        fees: Mapping[Asset, FeeRates],
        latency: Latency,
        *,
        now: Now,
        call_at: CallAt,
        deliver: Deliver,
    ) -> None:
        """Begin with `balances`, or go on from `state`, whose balances then count.

        Raises StateError where the file cannot be gone on with.
        """
        saved = state.load()
        held = {Asset(asset): row.total for asset, row in saved.balances.items()}
        self._rules: dict[Pair, Instrument] = {rules.pair: rules for rules in saved.rules}
        self.exchange = Exchange(
            self._rules.values(), fees, held or balances,
            cancel_delay_ns=latency.cancel_effect_ns, trades_delay_ns=latency.fills_ns,
        )  # fmt: skip
        for asset, row in saved.balances.items():
            self.exchange.account.balances[Asset(asset)] = row
        self.exchange.restore(saved.orders, saved.trades)
        self._state, self._now, self._call_at, self._deliver = state, now, call_at, deliver
        self._shown: dict[Pair, Shown] = {}
        self._unsaved: tuple[list[Order], list[Execution]] = ([], [])
        self._is_saved = bool(saved.balances)
        self._model = SimulatedVenue(self.exchange, latency, now, call_at, self._tell)

    def open(self) -> None:
        """Say that the connections stand, and from now on how they are."""
        self._save()
        self._model.open()
        self._report()

    def start(self, effect: VenueEffect) -> None:
        """Begin one effect; its outcome comes after the round trip."""
        if isinstance(effect, ShowMarket):
            self._show(effect.seen)
        else:
            self._model.start(effect)

    async def close(self) -> None:
        """End; whatever was acknowledged is in the file."""
        self._state.close()

    # --- inside -------------------------------------------------------------------------------

    def _show(self, seen: Seen) -> None:
        """Let the market be as it was just seen: our orders fill or move up in their queues."""
        now_ns = self._now()
        self.exchange.advance(now_ns)
        match seen:
            case InstrumentRules():
                self._list(seen)
            case Trade() if seen.pair in self.exchange.markets:
                self.exchange.print_trade(seen.pair, seen.side, seen.price, seen.quantity, now_ns)
            case BookDepth():
                self._move(seen.pair, Shown(_side(seen.bids), _side(seen.asks)), now_ns)
            case BookTop():
                shown = self._shown.get(seen.pair, Shown({}, {}))
                self._move(seen.pair, _with_touch(shown, seen), now_ns)
        self._model.ring()

    def _list(self, heard: InstrumentRules) -> None:
        """Take the rules; those of pairs with orders are needed again by the next life."""
        rules = self._rules | {row.pair: row for row in heard.instruments}
        if rules == self._rules:
            return
        self._rules = rules
        for row in heard.instruments:
            self.exchange.list_pair(row)
        self._is_saved = False
        self._save()

    def _move(self, pair: Pair, now: Shown, now_ns: int) -> None:
        """Change what the market changed: what we took of a level stays gone until it does."""
        if pair not in self.exchange.markets:
            return
        before, self._shown[pair] = self._shown.get(pair, Shown({}, {})), now
        bids, asks = _changes(before.bids, now.bids), _changes(before.asks, now.asks)
        self.exchange.change_book(pair, bids.items(), asks.items(), now_ns)

    def _tell(self, message: Message) -> None:
        """Say nothing that is not written down: an exchange without a disk does not answer."""
        if self._save() or isinstance(message, ConnectionsIdle):
            self._deliver(message)

    def _save(self) -> bool:
        """Write down what changed; return whether everything is."""
        orders, trades = self.exchange.account.changes()
        self._unsaved[0].extend(orders)
        self._unsaved[1].extend(trades)
        if self._is_saved and not any(self._unsaved):
            return True
        held = {str(asset): row for asset, row in self.exchange.balances().items()}
        rules = [] if self._is_saved else list(self._rules.values())
        try:
            self._state.append(Saved(*self._unsaved, held, rules=rules))
        except OSError as error:
            log.warning("paper_not_saved", extra={"error": str(error)})
            return False
        self._unsaved, self._is_saved = ([], []), True
        return True

    def _report(self) -> None:
        now_ns = self._now()
        self._call_at(now_ns + REPORT_NS, self._report)
        self._deliver(
            VenueState(
                rate=(), private_socket=SocketStatus.UP, socket_reason="", clock_offset_ms=0,
                clock_error_ms=0, trouble="", drift=0, at_ns=now_ns,
            )
        )  # fmt: skip


def _side(levels: tuple[Level, ...]) -> Side:
    return {level.price: level.quantity for level in levels}


def _with_touch(shown: Shown, top: BookTop) -> Shown:
    """Return the levels with a newer touch: what lies inside of it is gone."""
    bids = {price: size for price, size in shown.bids.items() if price < top.bid}
    asks = {price: size for price, size in shown.asks.items() if price > top.ask}
    return Shown({top.bid: top.bid_quantity, **bids}, {top.ask: top.ask_quantity, **asks})


def _changes(old: Side, new: Side) -> Side:
    """Return the levels that differ; 0: gone."""
    changed = {price: size for price, size in new.items() if old.get(price) != size}
    return {**{price: Decimal(0) for price in old if price not in new}, **changed}

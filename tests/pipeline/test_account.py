"""What a seat may spend and is asked for: live orders are spoken for, fills and refusals count."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from msgspec import Struct

from actors import strategy
from btcbot.domain.decisions import DecisionRecord, Why
from btcbot.domain.ids import Asset
from btcbot.domain.instruments import DOCUMENTED, FEES_TRY
from btcbot.domain.messages import BookTop, IntentVerdict, OrderIntent
from btcbot.domain.money import Quantity
from btcbot.domain.words import FeedStatus, Rule, Side
from btcbot.pipeline import book
from btcbot.pipeline.book import Books, Market
from btcbot.pipeline.registry import AnyStrategy
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.portfolio.account import Account
from btcbot.portfolio.picture import Picture
from btcbot.portfolio.rebalance import Proposal
from btcbot.strategies.contract import MarketView, Want
from bus.actor import Actor, Ask, CaughtUp, PeerBack, Publish, Woken
from tests import builders as make
from tests.builders import BTCTRY, FEES, SECOND_NS, START_NS

RULES = {BTCTRY: DOCUMENTED[BTCTRY]}
MARKET = Market(
    quote=Asset("TRY"), rules=RULES, fees={BTCTRY: FEES_TRY},
    tops={BTCTRY: make.book_top(bid=2_500_000, ask=2_500_000)},
)  # fmt: skip
KNOWN: list[Struct] = [
    *(PeerBack(source=p, epoch=1, pid=1) for p in ("market_data", "risk_gate", "execution")),
    CaughtUp(head=1),
    make.trading(),
    make.balances(TRY=10_000, BTC=1),
    make.instrument_rules(BTCTRY),
    make.feed_state(FeedStatus.LIVE),
]


def seen(books: Books) -> Account:
    return book.account(books, (), MARKET, START_NS)


def test_a_live_buy_is_spoken_for_with_its_fee_until_it_is_filled() -> None:
    books, wish = Books(), make.intent(quantity="0.001", limit_price=2_000_000)
    book.state(books, make.balances(TRY=10_000))

    book.rest(books, wish)
    assert seen(books).cash_free == Decimal(8_000) - Decimal("4.8")
    assert seen(books).lines[BTCTRY].buying == 2_000

    book.fill(books, {}, make.fill(wish, quantity="0.0004", price=2_000_000))
    assert seen(books).lines[BTCTRY].buying == 1_200
    assert seen(books).lines[BTCTRY].held == Decimal("0.0004")


def test_what_a_live_sell_holds_is_not_free() -> None:
    books, sale = Books(), make.intent(2, side=Side.SELL, quantity="0.0003")
    book.state(books, make.balances(TRY=0, BTC="0.001"))
    book.fill(books, {}, make.fill(make.intent(quantity="0.001")))

    book.rest(books, sale)

    line = seen(books).lines[BTCTRY]
    assert (line.held, line.free) == (Decimal("0.001"), Decimal("0.0007"))


def test_what_a_person_holds_beside_us_is_neither_counted_nor_sold() -> None:
    books = Books()
    book.state(books, make.balances(TRY=0, BTC=5))

    line = seen(books).lines[BTCTRY]
    assert line.held == line.free == 0


class Alternating:
    """Wants what cannot be, for another reason each time."""

    NAME = "alternating"
    WANTS_DEPTH = False
    DECIDES_ON_FILLS = False
    Params: type[Struct] = OrderIntent

    def start(self, _params: Any) -> int:
        return 0

    def decide(
        self, state: int, _params: Any, _view: MarketView, top: BookTop, _now_ns: int
    ) -> tuple[int, tuple[Want, ...]]:
        quantity = Quantity(Decimal("0.00000001") if state % 2 else Decimal(0))
        want = Want(
            pair=top.pair, side=Side.BUY, quantity=quantity, limit_price=top.ask, reason="",
            life_ns=SECOND_NS,
        )  # fmt: skip
        return state + 1, (want,)


class Looking:
    """Keeps every picture it is shown; wants nothing."""

    NAME = "looking"
    WANTS_DEPTH = False
    WANTS_DAY = False
    Params: type[Struct] = OrderIntent

    def __init__(self) -> None:
        self.pictures: list[Picture] = []

    def start(self, _params: Any) -> None:
        return None

    def every_s(self, _params: Any) -> int:
        return 1_000

    def propose(
        self, state: None, _params: Any, picture: Picture, _now_ns: int
    ) -> tuple[None, Proposal]:
        self.pictures.append(picture)
        return state, Proposal(())


def hosting(
    *strategies: AnyStrategy, weights: tuple[int, ...] = (100,), interval_ns: int = 0
) -> Actor[Any]:
    seats = tuple(
        SeatSetup(name=f"s{n}", uses="", params=None, weight=weight, interval_ns=interval_ns)
        for n, weight in enumerate(weights)
    )
    actor = strategy.actor(Setup(seats=seats), FEES, strategies)
    hear(actor, KNOWN)
    return actor


def hear(actor: Actor[Any], messages: Iterable[Struct], after_s: int = 0) -> list[Struct]:
    now_ns = START_NS + after_s * SECOND_NS
    return [e for m in messages for e in actor.handle(actor.state, m, now_ns).effects]


def tick(actor: Actor[Any], after_s: int) -> None:
    hear(actor, [Woken(name="tick", due_ns=0)], after_s)


def records(effects: list[Struct]) -> list[DecisionRecord]:
    said = [e.message for e in effects if isinstance(e, Publish)]
    return [message for message in said if isinstance(message, DecisionRecord)]


def test_blocks_that_come_and_go_are_told_ten_times_a_minute_and_counted() -> None:
    actor = hosting(Alternating())

    told = records([e for n in range(30) for e in hear(actor, [make.book_top()], n)])
    later = records(hear(actor, [make.book_top()], 100))

    assert len(told) == 10
    assert [record.unsaid for record in later] == [20]


def test_a_seat_is_shown_its_part_of_the_cash_and_what_it_holds_itself() -> None:
    light, heavy = Looking(), Looking()
    actor = hosting(light, heavy, weights=(30, 70))
    hear(actor, [make.book_top()])

    tick(actor, 1)

    reserve = actor.state.setup.limits.cash_reserve
    shown = [looking.pictures[0].account.cash_free for looking in (light, heavy)]
    assert shown == [(10_000 - reserve) * part / 100 + reserve for part in (30, 70)]


def test_what_a_seat_is_selling_is_not_free_to_it_again() -> None:
    one, other = Looking(), Looking()
    actor = hosting(one, other, weights=(50, 50))
    for number, seat in enumerate(("s0", "s1"), 1):
        bought = make.intent(number, strategy=seat)
        hear(actor, [make.submitting(bought), make.fill(bought, number), make.book_top()])
    sale = make.intent(3, strategy="s0", side=Side.SELL, quantity="0.0006")
    hear(actor, [make.submitting(sale)])

    tick(actor, 1)

    lines = [looking.pictures[-1].account.lines[BTCTRY] for looking in (one, other)]
    assert [line.held for line in lines] == [Decimal("0.001")] * 2
    assert [line.free for line in lines] == [Decimal("0.0004"), Decimal("0.001")]


def test_a_strategy_of_the_clock_looks_again_after_a_fill_of_its_own_and_not_before() -> None:
    looking = Looking()
    actor = hosting(looking)
    hear(actor, [make.book_top()])
    for after_s in (1, 2, 3):
        tick(actor, after_s)
    assert len(looking.pictures) == 1

    hear(actor, [make.fill(make.intent())], 4)
    tick(actor, 5)

    assert len(looking.pictures) == 2
    assert looking.pictures[1].account.lines[BTCTRY].held == Decimal("0.001")


def test_without_any_price_a_strategy_of_the_clock_looks_as_soon_as_there_is_one() -> None:
    looking = Looking()
    actor = hosting(looking)
    tick(actor, 1)
    assert not looking.pictures

    hear(actor, [make.book_top()], 1)
    tick(actor, 2)

    assert len(looking.pictures) == 1


class Eager(Alternating):
    """Wants to buy on every quote."""

    reason = ""

    def decide(
        self, state: int, _params: Any, _view: MarketView, top: BookTop, _now_ns: int
    ) -> tuple[int, tuple[Want, ...]]:
        want = Want(
            pair=top.pair, side=Side.BUY, quantity=make.intent().quantity, limit_price=top.ask,
            reason=self.reason, life_ns=SECOND_NS,
        )  # fmt: skip
        return state, (want,)


class Wordy(Eager):
    reason = "because " * 10_000


def intents(effects: list[Struct]) -> list[OrderIntent]:
    asked = [e.message for e in effects if isinstance(e, Ask)]
    return [message for message in asked if isinstance(message, OrderIntent)]


def test_a_wish_that_rests_is_told_once_counted_and_numbered() -> None:
    actor = hosting(Eager())
    [first] = records(told := hear(actor, [make.book_top()]))
    [intent] = intents(told)
    refused = IntentVerdict(intent_id=intent.intent_id, rule=Rule.SPREAD, detail="")

    resting = records(hear(actor, [refused, *[make.book_top()] * 6]))
    [last] = records(hear(actor, [make.book_top()], 2))

    assert [line.why for record in resting for line in record.lines] == [Why.REFUSED_LATELY]
    assert last.lines[0].intent_id is not None
    assert last.unsaid == 5
    numbers = [int(record.decision.partition(".")[2]) for record in (first, *resting, last)]
    assert numbers == [1, 2, 8]


def test_a_strategy_that_talks_too_much_trades_and_is_cut_short_in_intent_and_record() -> None:
    effects = hear(hosting(Wordy()), [make.book_top()])

    [intent], [record] = intents(effects), records(effects)
    assert [len(intent.reason), *(len(told.reason) for told in record.lines)] == [256, 256]


@pytest.mark.parametrize("interval_s", [0, 10])
def test_a_clock_that_is_set_back_silences_no_seat(interval_s: int) -> None:
    """After a refusal, and between two decisions, it would for as long as it was set back."""
    actor = hosting(Eager(), interval_ns=interval_s * SECOND_NS)
    [intent] = intents(hear(actor, [make.book_top()], 7_200))
    refused = make.with_changes(make.verdict(rule=Rule.STALE_BOOK), {"intent_id": intent.intent_id})
    hear(actor, [refused], 7_200)
    assert not intents(hear(actor, [make.book_top()], 7_200))

    assert intents(hear(actor, [make.book_top()], 3_600))


def test_a_clock_that_is_set_back_keeps_no_strategy_of_the_clock_from_looking() -> None:
    looking = Looking()
    actor = hosting(looking)
    hear(actor, [make.book_top()], 7_200)
    tick(actor, 7_200)

    tick(actor, 3_600)

    assert len(looking.pictures) == 2


@pytest.mark.parametrize(("code", "whys"), [("1123", [Why.COOLDOWN]), ("1006", [Why.CYCLE_CAP])])
def test_three_refusals_for_the_minimum_within_an_hour_make_a_pair_rest(
    code: str, whys: list[Why]
) -> None:
    actor = hosting(Eager())
    for n in range(3):
        effects = hear(actor, [make.book_top()], 100 * n)
        [intent] = [e.message for e in effects if isinstance(e, Ask)]
        assert isinstance(intent, OrderIntent)
        refused = make.with_changes(make.rejected(intent), {"code": code})
        hear(actor, [refused], 100 * n)

    told = records(hear(actor, [make.book_top()], 400))

    assert [line.why for record in told for line in record.lines] == whys

"""A strategy that looks back a day has it within minutes, also when it alone starts again."""

from decimal import Decimal

from actors import strategy
from btcbot.domain.feed import CandlesRead, ReadCandles, SeenCandle
from btcbot.domain.instruments import FEES_TRY
from btcbot.domain.messages import Ohlc
from btcbot.domain.money import Price, Quantity
from btcbot.market.candles import MINUTE_NS
from btcbot.pipeline.seats import SeatSetup, Setup
from btcbot.portfolio import by_momentum
from btcbot.portfolio.features import FeatureRules, read
from btcbot.portfolio.reasons import Missing
from tests.trusting import PAIR, Market


def begin(market: Market) -> None:
    """Start a life of the strategy actor."""
    seat = SeatSetup(name="momentum", uses="momentum", params=by_momentum.Params())
    market.bus.start(strategy.actor(Setup(seats=(seat,)), {PAIR: FEES_TRY}))
    market.bus.run()


def answer(market: Market, mark: int) -> None:
    """Let the charts answer the first read after `mark`: 1 % less than now, all day long."""
    [asked, *_] = [e for _, e in market.asked[mark:] if isinstance(e, ReadCandles)]
    price = Price(Decimal(3_960_000))
    ohlc = Ohlc(open=price, high=price, low=price, close=price)
    rows = tuple(
        SeenCandle(at_ns, ohlc, Quantity(Decimal(1)))
        for at_ns in range(asked.from_ns, asked.to_ns, MINUTE_NS)
    )
    market.hear(CandlesRead(pair=PAIR, candles=rows))


def lacks(market: Market) -> tuple[Missing, ...]:
    """Return what the strategy actor does not know of the pair's day."""
    memory = market.bus.state("strategy").memories.get(PAIR)
    if memory is None:
        return (Missing.MOMENTUM, Missing.TURNOVER)
    missing = read(memory, FeatureRules(), market.clock.now_ns()).missing
    return tuple(m for m in missing if m in (Missing.MOMENTUM, Missing.TURNOVER))


def test_the_day_before_is_known_soon_after_the_start_and_after_a_death_of_the_strategy() -> None:
    market = Market(wants_day=True)
    begin(market)
    market.live(12)
    assert lacks(market) == (Missing.MOMENTUM, Missing.TURNOVER)
    answer(market, 0)
    market.live(20)
    assert lacks(market) == ()

    market.bus.crash("strategy")
    mark = len(market.asked)
    begin(market)
    assert lacks(market) == (Missing.MOMENTUM, Missing.TURNOVER)
    market.live(12)
    answer(market, mark)
    market.live(20)

    assert lacks(market) == ()

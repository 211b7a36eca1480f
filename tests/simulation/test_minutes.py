"""A market as minutes of its middle."""

from decimal import Decimal

from btcbot.simulation.minutes import MINUTE_NS, Minute, sample


def test_a_minute_has_its_first_highest_lowest_and_last_sample() -> None:
    minutes: list[Minute] = []

    for second, price in ((3, 10), (4, 14), (5, 7), (59, 9), (60, 20), (200, 5)):
        sample(minutes, second * 10**9, Decimal(price))

    found = [(m.open_ns // MINUTE_NS, *map(int, (m.open, m.high, m.low, m.close))) for m in minutes]
    assert found == [(0, 10, 14, 7, 9), (1, 20, 20, 20, 20), (3, 5, 5, 5, 5)]

"""Three 401s in a row, and nothing private goes but one probe a minute; per permission too."""

from hypothesis import given
from hypothesis import strategies as st

from btcbot.btcturk.breaker import PROBE_NS, Breaker

MINUTE_NS = 60_000_000_000


def refused(*groups: str) -> Breaker:
    breaker = Breaker()
    for group in groups:
        breaker.refused(group, "HTTP 401", 0)
    return breaker


def test_two_refusals_close_nothing_and_three_close_everything_private() -> None:
    assert refused("balances", "order").take("balances", 0)

    breaker = refused("balances", "order", "trades")
    assert not any(breaker.take(group, PROBE_NS - 1) for group in ("balances", "submit", "cancel"))
    assert breaker.take("public", 0)
    assert breaker.take("order_book", 0)
    assert breaker.trouble == "HTTP 401"


def test_one_probe_a_minute_goes_whoever_asks() -> None:
    breaker = refused("balances", "balances", "balances")

    went = [breaker.take("order", n * MINUTE_NS // 60) for n in range(1, 301)]
    assert sum(went) == 5


def test_an_answer_of_any_kind_but_401_opens_it_again() -> None:
    breaker = refused("balances", "balances", "balances")
    breaker.accepted("balances")

    assert breaker.take("balances", 0)
    assert breaker.take("submit", 0)
    assert breaker.trouble == ""


def test_a_permission_the_key_lacks_is_closed_alone() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.refused("open_orders", "HTTP 401", 0)
        breaker.accepted("balances")

    assert breaker.take("balances", 1)
    assert breaker.take("trades", 1)
    assert not breaker.take("submit", 1)
    assert not breaker.take("order", 1)
    assert breaker.trouble


@given(st.lists(st.tuples(st.sampled_from(["balances", "order", "trades"]), st.integers(0, 10**9))))
def test_a_key_that_is_always_refused_never_reaches_fifty_calls_in_forty_minutes(
    asked: list[tuple[str, int]],
) -> None:
    breaker, sent, now_ns = Breaker(), 0, 0
    for group, step in asked * 50:
        now_ns += step
        if breaker.take(group, now_ns):
            sent += 1
            breaker.refused(group, "HTTP 401", now_ns)

    assert sent <= 3 + now_ns // PROBE_NS

"""Times as people type them: exact, and refused with what was found and what is expected."""

from collections.abc import Callable

import pytest

from btcbot.cli import exits
from btcbot.cli.times import LAST_NS, day_span, moment_ns, timerange_span, utc

DAY_NS = 86_400 * 10**9
NOV_24_NS = 1_795_478_400 * 10**9  # 2026-11-24, from `date -u -d 2026-11-24 +%s`.


def test_a_day_is_from_midnight_to_midnight_utc() -> None:
    assert day_span("DAY", "2026-11-24") == (NOV_24_NS, NOV_24_NS + DAY_NS)


@pytest.mark.parametrize(
    ("given", "after_ns"),
    [
        ("2026-11-24", 0),
        ("2026-11-24T18:00:00", 18 * 3_600 * 10**9),
        ("2026-11-24T18:00:00Z", 18 * 3_600 * 10**9),
        ("2026-11-24T18:00:00+03:00", 15 * 3_600 * 10**9),
        ("2026-11-24T00:00:00.000001", 1_000),
    ],
)
def test_a_moment_without_a_zone_is_utc_and_none_loses_a_microsecond(
    given: str, after_ns: int
) -> None:
    assert moment_ns("--until", given) == NOV_24_NS + after_ns


@pytest.mark.parametrize(
    ("given", "span"),
    [
        ("", None),
        ("20261124-20261125", (NOV_24_NS, NOV_24_NS + DAY_NS)),
        ("20261124-", (NOV_24_NS, LAST_NS)),
        ("-20261124", (0, NOV_24_NS)),
    ],
)
def test_either_side_of_a_time_range_may_be_missing(
    given: str, span: tuple[int, int] | None
) -> None:
    assert timerange_span(given) == span


@pytest.mark.parametrize(
    ("read", "given", "said"),
    [
        (lambda day: day_span("DAY", day), "2026-13-45", "DAY '2026-13-45': expected a UTC day"),
        (lambda day: day_span("--day", day), "today", "--day 'today': expected a UTC day"),
        (lambda at: moment_ns("--since", at), "yesterday", "--since 'yesterday': expected UTC"),
        (timerange_span, "2026-", "--timerange: '2026' is no day"),
        (timerange_span, "20261124", "--timerange: '20261124'; expected FIRST-END"),
        (timerange_span, "20261125-20261124", "expected FIRST-END"),
    ],
)
def test_what_is_no_time_is_refused_by_name(
    read: Callable[[str], object], given: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(given)
    assert ended.value.code == exits.USAGE
    assert said in capsys.readouterr().err


def test_a_time_is_shown_to_the_second() -> None:
    assert utc(NOV_24_NS + 999_999_999) == "2026-11-24T00:00:00Z"

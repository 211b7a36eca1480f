"""A home's database as a run: the same figures as its rows, the market as its journal heard it."""

from decimal import Decimal
from pathlib import Path

import pytest

from actors import CODEC
from btcbot import backtest
from btcbot.backtest import Stage
from btcbot.domain.facts import BalancesExplained, Fact, OrderAbsent, Posting
from btcbot.domain.ids import CommandId, IntentId
from btcbot.domain.money import Amount
from btcbot.research import checks, fingerprint, folder, period
from btcbot.research.figures import figures
from btcbot.research.read import open_run
from btcbot.store.queries import FOREVER, History
from btcbot.store.writer import Writer
from bus.envelope import WIRE_VERSION, Envelope
from bus.journal import Journal
from tests import stages
from tests.builders import START_NS, book_top
from tests.cli import books

SECOND_NS = 10**9
SECONDS = 60


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, backtest.Result]:
    """Play a market into a home's database."""
    home = tmp_path_factory.mktemp("home")
    stage = Stage(stages.PLAN, START_NS, database=str(home / "btcbot.db"))
    stage.play(stages.market(SECONDS))
    result = stage.result(START_NS, 0)
    stage.journal.close()
    assert len(result.fills) > 3, "the market must make it trade"
    return home, result


def test_a_database_tells_the_same_of_a_run_as_the_run_itself(
    played: tuple[Path, backtest.Result],
) -> None:
    home, result = played

    found = open_run(str(home), home)

    assert [line.client_order_id for line in found.orders] == [
        row["client_order_id"] for row in result.orders
    ]
    assert [line.trade_id for line in found.fills] == [row["trade_id"] for row in result.fills]
    assert found.refusals == result.refusals
    assert found.balances_first == {k: v for k, v in result.balances_first.items() if v}
    assert {k: v for k, v in found.balances_last.items() if v} == {
        asset: total for asset, total in result.balances.items() if total
    }
    assert checks.problems(found) == []
    assert figures(found)["orders"]["sent"] == len(result.orders)
    assert found.identity["facts"] > len(result.orders)
    assert len(found.identity["data"]) == 32
    assert found.identity["config"] is None
    (home / "run").mkdir()
    (home / "run" / "config.json").write_text("{}", encoding="utf-8")
    assert len(open_run(str(home), home).identity["config"] or "") == 32
    as_file = open_run(str(home / "btcbot.db"), home)
    assert fingerprint.of(found) == fingerprint.of(as_file)


def test_a_part_of_a_database_begins_with_what_was_there_and_adds_up(
    played: tuple[Path, backtest.Result],
) -> None:
    home, result = played
    middle_ns = result.fills[len(result.fills) // 2]["ts_ns"]

    early = period.read(home / "btcbot.db", (0, middle_ns))
    late = period.read(home / "btcbot.db", (middle_ns, FOREVER))

    assert len(early.fills) + len(late.fills) == len(result.fills)
    assert early.fills
    assert {k: v for k, v in early.balances_last.items() if v} == {
        k: v for k, v in late.balances_first.items() if v
    }
    assert checks.problems(early) == checks.problems(late) == []


def test_the_curve_follows_the_market_that_the_journal_heard(
    played: tuple[Path, backtest.Result],
) -> None:
    home, _ = played
    journal = Journal(home / "journal" / "accounting", "accounting", START_NS)
    journal.open(b"", "code", START_NS)
    for second in range(SECONDS):
        at_ns = START_NS + second * SECOND_NS
        price = Decimal(4_000_000 + 1_000 * second)
        top = book_top(bid=price, ask=price + 20, confirmed_ns=at_ns)
        frame = CODEC.encode(
            Envelope(WIRE_VERSION, "market_data", 1, "mark.BTCTRY", second, "", 0, 0, top)
        )
        journal.append(at_ns, frame)
    journal.close()

    found = open_run(str(home), home)

    assert {bar.pair for bar in found.bars} == {"BTCTRY"}
    assert found.bars[0].open >= 4_000_010
    assert found.bars[-1].close == 4_000_010 + 1_000 * (SECONDS - 1)
    units, cash = found.balances_last.get("BTC", Decimal(0)), found.balances_last["TRY"]
    last = found.equity[-1]
    assert last.at_ns == START_NS + 50 * SECOND_NS  # A mark every ten seconds.
    assert last.equity == cash + units * (4_000_010 + 1_000 * 50)
    assert checks.problems(found) == []
    first = found.fills[0]
    [then] = [line for line in found.equity if line.at_ns == first.ts_ns]
    heard = 4_000_010 + (first.ts_ns - START_NS) // (10 * SECOND_NS) * 10_000
    spent = first.notional + first.charges
    assert then.equity == found.balances_first["TRY"] - spent + first.quantity * heard
    [segment] = (home / "journal" / "accounting").iterdir()
    segment.write_bytes(b"x" * 64)
    assert open_run(str(home), home).bars == ()
    segment.unlink()


def written(path: Path, facts: list[Fact]) -> Path:
    writer = Writer(str(path))
    for fact in facts:
        writer.commit((fact,), writer.head + 1)
    writer.close()
    return path


def test_doubt_about_an_order_has_a_begin_an_end_and_a_way_it_ended(tmp_path: Path) -> None:
    at_ns, story = books.START_NS, books.story()
    open_still = written(tmp_path / "a.db", story)
    ended = written(
        tmp_path / "b.db",
        [
            *story,
            OrderAbsent(intent_id=IntentId("doubtful"), sweeps=3, at_ns=at_ns + 9 * SECOND_NS),
        ],
    )

    [now] = figures(period.read(open_still, None))["unknown"]
    [then] = figures(period.read(ended, None))["unknown"]

    assert (now["client_order_id"], now["pair"]) == (books.label(books.DOUBTFUL), "BTCTRY")
    assert (now["to"], now["ended"]) == (None, "")
    assert (then["from"], then["to"], then["ended"]) == (
        "2026-11-18T11:06:45Z",
        "2026-11-18T11:06:49Z",
        "absent",
    )


def test_what_people_pay_in_is_neither_profit_nor_a_problem(
    tmp_path: Path, played: tuple[Path, backtest.Result]
) -> None:
    home, _ = played
    copy = tmp_path / "btcbot.db"
    copy.write_bytes((home / "btcbot.db").read_bytes())
    before = open_run(str(copy), home)
    writer = Writer(str(copy))
    paid = BalancesExplained(
        postings=(
            Posting("asset", books.TRY, Amount(Decimal(5_000))),
            Posting("external", books.TRY, Amount(Decimal(-5_000))),
        ),
        by="test",
        reason="deposit",
        command_id=CommandId("c"),
        at_ns=before.ended_ns + 1,
    )
    writer.commit((paid,), writer.head + 1)
    writer.close()

    after = open_run(str(copy), home)

    assert after.moved_in == {"TRY": Decimal(5_000)}
    assert after.balances_last["TRY"] == before.balances_last["TRY"] + 5_000
    assert after.equity == before.equity
    assert checks.problems(after) == []


def test_what_is_written_while_a_period_is_read_is_no_part_of_it(tmp_path: Path) -> None:
    story = books.story()
    path = written(tmp_path / "btcbot.db", story[:-2])
    history, writer = History(path), Writer(str(path))

    with history.one_moment():
        before = [list(history.orders()), list(history.events())]
        writer.commit(tuple(story[-2:]), writer.head + 1)
        within = [list(history.orders()), list(history.events())]
    writer.close()

    assert within == before
    assert len(before[1]) == len(story) - 2
    assert len(list(history.events())) == len(story)


def test_what_is_no_database_is_an_error_and_no_empty_run(tmp_path: Path) -> None:
    (tmp_path / "btcbot.db").write_bytes(b"no database, but something of that name" * 100)

    with pytest.raises(folder.RunError, match=r"btcbot\.db"):
        open_run(str(tmp_path), tmp_path)

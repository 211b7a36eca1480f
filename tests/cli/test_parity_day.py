"""`btcbot parity DAY`: a day that was lived, beside a backtest of the market it heard."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import CODEC
from btcbot.backtest import Stage
from btcbot.cli import exits
from btcbot.simulation.venue import MILLISECOND_NS, Latency
from bus.actor import Actor
from bus.envelope import WIRE_VERSION, Envelope
from bus.journal import Entry, Journal, read
from tests import stages
from tests.builders import START_NS
from tests.cli.terminal import Ended, Terminal

DAY = "2026-11-18"
SECONDS = 120
CAUSES = ["data", "latency", "queue", "slippage", "fee", "rejection", "risk"]


class Lived(Stage):
    """A stage that leaves what a fleet leaves: a database, and the journal of market_data."""

    def __init__(self, home: Path, plan: Any) -> None:
        self.tape, self.began = stages.Tape(), b""
        super().__init__(plan, START_NS, database=str(home / "btcbot.db"))

    def actor(self, name: str) -> Actor[Any]:
        made = super().actor(name)
        if name != "market_data":
            return made
        self.began = msgspec.msgpack.encode(made.state)
        return self.tape.recorded(made)


def live(terminal: Terminal, latency_ms: int = 25) -> Path:
    """Live through two minutes of the made market in a home; return the home."""
    home = terminal.folder / "home"
    home.mkdir()
    one_way_ns = latency_ms * MILLISECOND_NS
    latency = Latency(submit_ns=one_way_ns, cancel_ns=one_way_ns, read_ns=one_way_ns)
    stage = Lived(home, msgspec.structs.replace(stages.PLAN, latency=latency))
    stage.play(stages.market(SECONDS))
    stage.journal.close()
    journal = Journal(home / "journal" / "market_data", "market_data", START_NS)
    journal.open(stage.began, "code", START_NS)
    for handled_ns, frame in stage.tape.handled:
        message = CODEC.decode_message(frame)
        envelope = Envelope(WIRE_VERSION, "self", 1, "", 0, "", 0, 0, message)
        journal.append(handled_ns, CODEC.encode(envelope))
    journal.close()
    return home


def compared(terminal: Terminal, day: str = DAY, *flags: str) -> Ended:
    return terminal.btcbot("parity", day, "--home", "home", *flags)


@pytest.mark.parametrize("latency_ms", [25, 400])
def test_what_a_day_brought_more_than_its_backtest_has_a_cause_to_the_last_unit(
    terminal: Terminal, latency_ms: int
) -> None:
    live(terminal, latency_ms)

    done = compared(terminal, DAY, "--json")
    table = compared(terminal)

    assert (done.code, table.code) == (exits.OK, exits.OK), done.err
    found = json.loads(done.out)
    assert Decimal(found["latency_ms"]) == latency_ms
    assert found["orders"]["day"] > 3
    assert found["orders"]["paired"] > 0
    assert found["replay"]["handled"] > 100
    assert (found["replay"]["differences"], found["replay"]["first"]) == (0, None)
    assert [row["cause"] for row in found["causes"]] == CAUSES
    whole = Decimal(found["difference"]["TRY"])
    assert abs(sum(Decimal(row["TRY"]) for row in found["causes"]) - whole) < Decimal("0.04")
    shown = sum(Decimal(row["TRY"]) for row in found["rows"])
    assert abs(shown - whole) < Decimal("0.01") * len(found["rows"])
    bps = whole / Decimal(found["turnover"]) * 10_000
    assert abs(Decimal(found["difference"]["bps"]) - bps) < Decimal("0.05")
    for word in ("data", "slippage", "latency one way", found["rows"][0]["pair"]):
        assert word in table.out


def test_a_day_that_todays_code_does_not_replay_is_shown_and_is_a_problem(
    terminal: Terminal,
) -> None:
    home = live(terminal)
    [segment] = (home / "journal" / "market_data").iterdir()
    entries = [entry for entry in read(segment) if isinstance(entry, Entry)]
    segment.unlink()
    journal = Journal(home / "journal" / "market_data", "market_data", START_NS)
    journal.open(b"of other code", "code", START_NS)
    for entry in entries:
        journal.append(entry.handled_ns, entry.frame)
    journal.close()

    done = compared(terminal, DAY, "--json")

    assert done.code == exits.PROBLEM
    assert "replayed, market_data differs" in done.err
    assert json.loads(done.out)["replay"]["first"]["actor"] == "market_data"


def test_other_fees_than_the_days_are_a_difference_of_fees(terminal: Terminal) -> None:
    live(terminal)

    same = json.loads(compared(terminal, DAY, "--json").out)
    settings = {"BTCBOT__EXCHANGE__TAKER_BPS": "48"}
    other = terminal.btcbot("parity", DAY, "--home", "home", "--json", **settings)

    fees = {
        name: Decimal(next(row["TRY"] for row in found["causes"] if row["cause"] == "fee"))
        for name, found in (("same", same), ("other", json.loads(other.out)))
    }
    assert fees["other"] > fees["same"], "the day paid half of what the backtest did"


def test_a_day_without_orders_or_without_its_market_is_not_compared(terminal: Terminal) -> None:
    home = live(terminal)

    before = compared(terminal, "2026-11-17")
    [segment] = (home / "journal" / "market_data").iterdir()
    content = segment.read_bytes()
    segment.write_bytes(content[:200] + b"x" + content[201:])
    damaged = compared(terminal)
    segment.unlink()
    missing = compared(terminal)
    wrong = compared(terminal, "yesterday")

    assert (before.code, before.out) == (exits.NOT_FOUND, "")
    assert "nothing was ordered" in before.err
    assert (damaged.code, damaged.out) == (exits.PROBLEM, "")
    assert "is not whole" in damaged.err
    assert (missing.code, missing.out) == (exits.PROBLEM, "")
    assert "has heard no market" in missing.err
    assert wrong.code == exits.USAGE


def test_a_report_of_a_home_measures_slippage_against_the_middle_its_journal_heard(
    terminal: Terminal,
) -> None:
    home = live(terminal)

    known = json.loads(terminal.btcbot("report", "home", "--json").out)["quality"]
    [segment] = (home / "journal" / "market_data").iterdir()
    segment.unlink()
    blind = json.loads(terminal.btcbot("report", "home", "--json").out)["quality"]

    assert known["slippage_unknown_fills"] == 0
    # The made market's spread is some bps wide, and these orders reach across it.
    assert 0 < Decimal(known["slippage_bps"]) < 10
    assert (blind["slippage_bps"], blind["slippage_fills"]) == (None, 0)

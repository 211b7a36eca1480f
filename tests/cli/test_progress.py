"""A long backtest says on a terminal how far it is, and nothing of it anywhere else."""

import subprocess
import sys
from itertools import count
from pathlib import Path

from btcbot.cli.progress import EVERY_S, LOOK, followed
from btcbot.domain.money import Price, Quantity
from btcbot.domain.recorded import Quoted
from tests.builders import START_NS, book_top


def quotes(number: int) -> list[Quoted]:
    top = book_top()
    return [
        Quoted(
            START_NS + n * 10**9, Price(top.bid), Quantity(top.bid_quantity), Price(top.ask),
            Quantity(top.ask_quantity),
        )
        for n in range(number)
    ]  # fmt: skip


def test_about_once_a_second_it_says_up_to_when_events_are_played_and_gives_each_of_them() -> None:
    said: list[str] = []
    looks = count(0, EVERY_S / 4)
    events = quotes(9 * LOOK)

    assert list(followed(iter(events), said.append, lambda: next(looks))) == events

    assert len(said) == 2
    assert said[0] == "backtest: up to 2026-11-18 11:23"


def test_a_short_one_says_nothing() -> None:
    said: list[str] = []

    assert len(list(followed(iter(quotes(LOOK - 1)), said.append, lambda: 0.0))) == LOOK - 1

    assert not said


def test_what_actors_tell_the_readers_of_logs_is_told_to_a_person_who_asks_for_more(
    tmp_path: Path,
) -> None:
    data = tmp_path / "quotes.csv"
    rows = [f"{START_NS + n * 10**9},2500000,1,2500010,1" for n in range(60)]
    data.write_text("\n".join(("recv_ns,bid,bid_qty,ask,ask_qty", *rows)) + "\n")

    def said(*more: str) -> str:
        words = ("backtest", "-s", "profit_aware", "--data", str(data), "--home", str(tmp_path))
        done = subprocess.run(
            [sys.executable, "-m", "btcbot.cli.main", *words, *more],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    assert said().startswith("btcbot: orders, fills and equity are in")
    assert "trades_silent" in said("-v")  # A recording of quotes has no trades.

"""`btcbot strategy`: the list, a file to begin with, and what the check says by its exit code."""

import json

from btcbot.cli import exits
from btcbot.pipeline.registry import STRATEGIES
from tests.cli.terminal import Terminal


def test_the_list_names_every_strategy_with_its_parameters(terminal: Terminal) -> None:
    done = terminal.btcbot("strategy", "list", "--json")

    rows = {row["name"]: row for row in json.loads(done.out)["strategies"]}
    assert set(rows) == set(STRATEGIES)
    assert rows["sweep"]["decides"] == "by the clock"
    assert rows["profit_aware"]["params"]["sell_share"] == 0.25


def test_a_new_file_passes_the_check_and_is_never_written_over(terminal: Terminal) -> None:
    path = terminal.folder / "mine.py"
    assert terminal.btcbot("strategy", "new", str(path)).code == exits.OK
    text = path.read_text(encoding="utf-8")

    checked = terminal.btcbot("strategy", "check", str(path), "--seconds", "60")
    again = terminal.btcbot("strategy", "new", str(path))

    assert checked.code == exits.OK, checked
    assert again.code == exits.REFUSED
    assert path.read_text(encoding="utf-8") == text


def test_what_the_check_finds_ends_with_7(terminal: Terminal) -> None:
    path = terminal.folder / "mine.py"
    terminal.btcbot("strategy", "new", str(path))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("dip >= params.dip_bps", "False"), encoding="utf-8")

    done = terminal.btcbot("strategy", "check", str(path), "--seconds", "30")

    assert done.code == exits.PROBLEM
    assert "nothing is wanted" in done.out


def test_a_name_that_is_none_is_refused(terminal: Terminal) -> None:
    assert terminal.btcbot("strategy", "new", "My Own.py").code == exits.USAGE
    assert terminal.btcbot("strategy", "check", "profit_awar").code == exits.CONFIG

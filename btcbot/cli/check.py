"""`btcbot check`: what a start needs, each with what was found, what is wanted, what to do."""

import os
import sys
import time
from collections.abc import Iterator
from typing import Final, NoReturn

import click
import msgspec

from btcbot import arming
from btcbot.btcturk.auth import KeyPair
from btcbot.cli import exits
from btcbot.cli.check_machine import Row, key_row, machine
from btcbot.cli.common import Options, common, print_json, print_table, stop
from btcbot.cli.fleet import holder_of
from btcbot.cli.probe import perform, records, state_of, write
from btcbot.cli.probe_bench import ProbeError
from btcbot.cli.probe_experiments import EXPERIMENTS
from btcbot.config import Config
from btcbot.layers import ConfigError
from btcbot.store.database import StoreError, open_reader
from btcbot.store.reader import Reader

GATE: Final = "gate: "


@click.command("check")
@click.option("--live", is_flag=True, help="The gates of arming and the account's orders too.")
@click.option("--probe", is_flag=True, help="With --live: the experiments, each asked for first.")
@click.option(
    "--yes", "agreed", multiple=True, type=click.Choice(list(EXPERIMENTS)), metavar="V1...V12",
    help="With --probe: perform this experiment without asking; repeatable.",
)  # fmt: skip
@click.option(
    "--waive", "waived", multiple=True, metavar="CHECK",
    help="With --live: answer for this check although it is not green; repeatable.",
)  # fmt: skip
@click.option("--reason", default="", help="Why, with --waive; kept with the result.")
@common
def command(
    options: Options, *, live: bool, probe: bool, agreed: tuple[str, ...],
    waived: tuple[str, ...], reason: str,
) -> None:  # fmt: skip
    """Look at everything a start needs; exit 0 only if all of it is green, else 7.

    Reads only: nothing is sent, and nothing is written but HOME/checks. With --probe, orders of the
    least size are sent far from the market, one experiment after the other, each only after its
    name was typed or given with --yes; each order is cancelled and proven gone. What is waived is
    not green, so this still exits 7; `btcbot up` takes it for this configuration, for a day.
    """
    if bool(waived) != bool(reason.strip()) or (waived and not live):
        stop(exits.USAGE, "btcbot: --waive needs --live and --reason, and --reason needs --waive")
    if (probe and not live) or (agreed and not probe):
        stop(exits.USAGE, "btcbot: --probe needs --live, and --yes needs --probe")
    try:
        config = options.load().config
    except ConfigError as error:
        _end(options, [_configuration(str(error))])
    rows = [_configuration(""), *machine(config)]
    row, keys = key_row(config)
    rows += [row, *_exchange(config, keys, live=live)]
    if live:
        rows += _gates(config)
        if probe:
            _probe(options, config, keys, agreed)
        rows.append(_experiments(config))
        _remember(config, rows, waivers(rows, waived, reason))
    _end(options, rows, config if live else None)


def _configuration(problem: str) -> Row:
    return Row(
        name="configuration", ok=not problem, found=problem or "valid",
        wanted="known keys, values within their bounds", remedy="btcbot config show",
    )  # fmt: skip


def _exchange(config: Config, keys: KeyPair | None, *, live: bool) -> list[Row]:
    from btcbot.cli.check_exchange import ask

    return ask(config, keys, _instance(config) if live else None)


def _instance(config: Config) -> str:
    """Return the tag of this home's orders; "" before its first start."""
    try:
        connection = open_reader(config.database)
    except StoreError:
        return ""
    try:
        return Reader(connection).recover().instance
    finally:
        connection.close()


def _gates(config: Config) -> Iterator[Row]:
    # What this check finds is itself a gate: `btcbot up` looks at that one.
    gates = (*arming.of_live(config), arming.kill_switch(config))
    for gate in gates:
        yield Row(
            name=f"{GATE}{gate.code}", ok=gate.is_open, found=gate.found, wanted=gate.wanted,
            remedy="set it when everything else is green",
        )  # fmt: skip


def waivers(rows: list[Row], names: tuple[str, ...], reason: str) -> tuple[arming.Waiver, ...]:
    """Return what a person answers for; ends with 2 for a name of no red check, or of a gate."""
    red = [row.name for row in rows if not row.ok and not row.name.startswith(GATE)]
    for name in names:
        if name not in red:
            told = ", ".join(red) or "nothing"
            stop(exits.USAGE, f"btcbot: --waive {name!r}: may be waived now: {told}")
    by = f"uid {os.getuid()}"
    return tuple(arming.Waiver(check=name, reason=reason.strip(), by=by) for name in names)


def _remember(config: Config, rows: list[Row], waived: tuple[arming.Waiver, ...]) -> None:
    """Keep the result where `btcbot up` looks for it."""
    names = {waiver.check for waiver in waived}
    red = tuple(
        row.name for row in rows
        if not row.ok and row.name not in names and not row.name.startswith(GATE)
    )  # fmt: skip
    found = arming.LiveCheck(
        at_ns=time.time_ns(), config=arming.digest(config), red=red, waived=waived
    )
    if config.home.is_dir():
        write(arming.checks(config) / "live.json", msgspec.json.encode(found))


def _experiments(config: Config) -> Row:
    """Return whether the exchange is as assumed, as far as somebody has asked it."""
    last = {row.experiment: row for row in records(config)}
    wrong = [f"{name} {row.verdict}" for name, row in last.items() if row.verdict != "as assumed"]
    left = [f"{name} may have left an order: {row.left}" for name, row in last.items() if row.left]
    missing = [name for name, row in EXPERIMENTS.items() if name not in last and row.run]
    found = "; ".join([*left, *wrong]) or f"{len(last)} done, as assumed"
    if missing:
        found += f"; to do: {', '.join(missing)}"
    return Row(
        name="experiments", ok=not (wrong or missing or left), found=found,
        wanted="each performed against this exchange, and as assumed",
        remedy="btcbot check --live --probe",
    )  # fmt: skip


def _probe(options: Options, config: Config, keys: KeyPair | None, agreed: tuple[str, ...]) -> None:
    if keys is None:
        stop(exits.REFUSED, "btcbot: no experiment without a key: see `key files`")
    if (config.run / "fleet.lock").exists() and (pid := holder_of(config)) is not None:
        stop(
            exits.REFUSED,
            f"btcbot: a fleet runs on this home (pid {pid}): it would take the experiments' orders "
            "for a stranger's; stop it with `btcbot down`",
        )
    try:
        perform(config, keys, agreed, can_ask=sys.stdin.isatty())
    except ProbeError as error:
        stop(exits.PROBLEM, f"btcbot: no experiment now: {error}")
    if not options.is_json:
        print_table(options, ("EXPERIMENT", "STATE", "FOUND"), state_of(config))


def _end(options: Options, rows: list[Row], config: Config | None = None) -> NoReturn:
    """Show the rows and end, 0 if all of them are green."""
    is_ok = all(row.ok for row in rows)
    if options.is_json:
        told: dict[str, object] = {"ok": is_ok, "checks": rows}
        if config is not None:
            told["experiments"] = [
                {"experiment": name, "state": state, "found": found}
                for name, state, found in state_of(config)
            ]
        print_json(told)
    else:
        table = [
            ("ok" if row.ok else "NO", row.name, row.found, row.wanted,
             "" if row.ok else row.remedy) for row in rows
        ]  # fmt: skip
        print_table(options, ("", "CHECK", "FOUND", "WANTED", "TO DO"), table)
    sys.exit(exits.OK if is_ok else exits.PROBLEM)

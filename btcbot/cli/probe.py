"""`btcbot check --live --probe`: explain each experiment, ask, perform, record."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from msgspec import Struct

from btcbot.arming import checks
from btcbot.btcturk.auth import KeyPair
from btcbot.btcturk.probe import Evidence
from btcbot.cli.check_exchange import Account
from btcbot.cli.probe_bench import Bench, ProbeError, Terms, terms_of
from btcbot.cli.probe_experiments import EXPERIMENTS, UNCLEAR, Experiment
from btcbot.cli.times import utc
from btcbot.config import Config
from btcbot.domain.ids import OrderId, Pair

RUNNING: Final = "running"  # It never ended: its process died.
LABEL_LENGTH: Final = 35
LONG: Final = 50


class Record(Struct, frozen=True, kw_only=True):
    """One run of one experiment, durable before its first order is sent."""

    experiment: str
    at_ns: int
    exchange: str
    pair: str
    verdict: str
    labels: tuple[str, ...] = ()
    orders: tuple[OrderId, ...] = ()
    left: str = ""  # What may rest on the exchange still; "": proven gone.
    figures: dict[str, Any] = {}
    evidence: tuple[Evidence, ...] = ()


def records(config: Config) -> list[Record]:
    """Return every run against the configured exchange, oldest first; unreadable ones not."""
    found = []
    for path in sorted(checks(config).glob("probe-*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Record))
        except (OSError, msgspec.MsgspecError):
            click.echo(f"btcbot: {path}: cannot be read: look at it by hand", err=True)
    wanted = config.addresses.rest
    return sorted((row for row in found if row.exchange == wanted), key=lambda row: row.at_ns)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, on disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def perform(config: Config, keys: KeyPair, agreed: Sequence[str], *, can_ask: bool) -> list[Record]:
    """Explain every experiment; perform those in `agreed`, and those a person types the name of."""
    done: list[Record] = []
    terms = asyncio.run(_terms(config, keys))
    for record in records(config):
        if (record.verdict == RUNNING or record.left) and record.labels:
            click.echo(f"\n{record.experiment} did not end: cancelling what it left", err=True)
            settled = asyncio.run(_settle(config, keys, record, terms))
            if settled.left:
                raise ProbeError(settled.left)
    for experiment in EXPERIMENTS.values():
        _explain(experiment, terms)
        if experiment.run is None:
            continue
        if experiment.number in agreed or (can_ask and _is_typed(experiment)):
            done.append(asyncio.run(_run(config, keys, experiment, terms)))
            click.echo(f"  verdict: {done[-1].verdict}", err=True)
            if done[-1].left:
                click.echo(f"  LEFT BEHIND: {done[-1].left}; nothing further is sent", err=True)
                break
    return done


def _explain(experiment: Experiment, terms: Terms) -> None:
    click.echo(f"\n{experiment.number}  {experiment.what}", err=True)
    click.echo(f"  why: {experiment.why}", err=True)
    click.echo(f"  sends: {experiment.sends.format(terms=terms)}", err=True)


def _is_typed(experiment: Experiment) -> bool:
    typed = click.prompt(
        f"  type {experiment.number} to perform it, anything else to leave it",
        default="", show_default=False, err=True,
    )  # fmt: skip
    return str(typed).strip() == experiment.number


async def _terms(config: Config, keys: KeyPair) -> Terms:
    """Return the order of all experiments, by the book of now. Raises ProbeError."""
    account = Account(config, keys)
    try:
        rows = await account.public()
        if red := [row for row in rows if not row.ok]:
            raise ProbeError(f"{red[0].name}: {red[0].found}")
        pair = config.pairs[0]
        bid = await account.best_bid(pair)
        return terms_of(account.instruments[pair], bid)
    finally:
        await account.close()


async def _run(config: Config, keys: KeyPair, experiment: Experiment, terms: Terms) -> Record:
    assert experiment.run is not None, f"{experiment.number} cannot be performed from here"
    account = Account(config, keys)
    bench = Bench(config, keys, account, terms)
    at_ns = time.time_ns()
    bench.labels = _labels(experiment, at_ns)
    record = Record(
        experiment=experiment.number, at_ns=at_ns, exchange=config.addresses.rest,
        pair=terms.pair, verdict=RUNNING, labels=tuple(bench.labels),
    )  # fmt: skip
    _save(config, record)
    try:
        await account.public()
        try:
            verdict, figures = await experiment.run(bench)
        except ProbeError as error:
            verdict, figures = UNCLEAR, {"error": str(error)}
        left = await bench.clean() if bench.labels else ""
        record = msgspec.structs.replace(
            record, verdict=UNCLEAR if left else verdict, figures=figures, left=left,
            orders=tuple(dict.fromkeys(bench.orders)), evidence=tuple(bench.seen),
        )  # fmt: skip
        _save(config, record)
    finally:
        await bench.close()
        await account.close()
    return record


async def _settle(config: Config, keys: KeyPair, record: Record, terms: Terms) -> Record:
    """Cancel what a run left that did not end, and prove it gone."""
    account = Account(config, keys)
    bench = Bench(
        config, keys, account, msgspec.structs.replace(terms, pair=Pair(record.pair)),
        is_in_doubt=True,
    )  # fmt: skip
    bench.labels, bench.orders = list(record.labels), list(record.orders)
    try:
        await account.public()
        left = await bench.clean()
        record = msgspec.structs.replace(
            record, verdict=UNCLEAR, left=left, orders=tuple(dict.fromkeys(bench.orders)),
            evidence=(*record.evidence, *bench.seen),
        )  # fmt: skip
        _save(config, record)
        return record
    finally:
        await bench.close()
        await account.close()


def _save(config: Config, record: Record) -> None:
    path = checks(config) / f"probe-{record.experiment}-{record.at_ns}.json"
    write(path, msgspec.json.format(msgspec.json.encode(record, enc_hook=str), indent=2))


def _labels(experiment: Experiment, at_ns: int) -> list[str]:
    """Return a label for each order; the second of V5 is longer than any of btcbot's."""
    labels = [
        f"probe-{at_ns}-{experiment.number.lower()}-{number}-".ljust(LABEL_LENGTH, "x")
        for number in range(experiment.orders)
    ]
    if experiment.number == "V5":
        labels[1] = labels[1].ljust(LONG, "y")
    return labels


def state_of(config: Config) -> list[tuple[str, str, str]]:
    """Return (experiment, state, found) of each, by its last run against this exchange."""
    last = {row.experiment: row for row in records(config)}
    rows = []
    for number, experiment in EXPERIMENTS.items():
        run = last.get(number)
        if run is None:
            told = "to do" if experiment.run else "to do by hand"
            rows.append((number, told, experiment.what))
        else:
            told = f"{utc(run.at_ns)} {run.left or experiment.what}"
            rows.append((number, run.verdict, told))
    return rows

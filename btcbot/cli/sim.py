"""`btcbot sim`: one deterministic fault simulation, or many."""

import os
import time
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop

if TYPE_CHECKING:
    from btcbot.sim.campaign import Campaign
    from btcbot.sim.lines import Cut
    from btcbot.sim.run import Report


COMPLETE: Final = 1_000  # So many seeds must show everything that happens sometimes.


class Work(Struct, frozen=True, kw_only=True):
    """What to run."""

    first: int
    count: int
    kills: int | None
    only: tuple[str, ...]
    twice: bool
    stops: bool

    def cuts(self, kills: int) -> "list[Cut]":
        """Return where to kill."""
        from btcbot.sim import lines

        everywhere = lines.cuts(lines.reached(), self.first if self.twice else 0, again=self.twice)
        return lines.chosen(lines.within(everywhere, self.only), kills, self.first)


@click.command("sim")
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="The first seed."
)
@click.option(
    "--seeds", "count", default=1, show_default=True, type=click.IntRange(0), help="How many."
)
@click.option(
    "--without", "removed", multiple=True, metavar="FAULT", help="Leave a fault of the plan out."
)
@click.option(
    "--for", "trading_s", type=click.FloatRange(10, 3_600), help="Virtual seconds of trading."
)
@click.option(
    "--line-kills", "kills", type=click.IntRange(0), metavar="N",
    help="Kill execution at N lines of its code as well, chosen by the seed; 0: at every line.",
)  # fmt: skip
@click.option(
    "--lines-of", "only", multiple=True, metavar="PATH",
    help="Only lines of the files whose path begins so.",
)  # fmt: skip
@click.option("--twice", is_flag=True, help="Each line kill once more within the recovery after.")
@click.option("--stop", "stops", is_flag=True, help="Stop at the first failure; do not shrink it.")
@click.option(
    "--jobs", default=lambda: os.cpu_count() or 1, show_default="one for each processor",
    type=click.IntRange(1, 64), help="Seeds that run at the same time.",
)  # fmt: skip
@common
def command(  # noqa: PLR0913 - one parameter an option
    options: Options, *, seed: int, count: int, removed: tuple[str, ...],
    trading_s: float | None, kills: int | None, only: tuple[str, ...], twice: bool, stops: bool,
    jobs: int,
) -> None:  # fmt: skip
    """Run the fleet against a failing world, in virtual time, from a seed.

    Safety is judged at every byte that leaves and every fact that is written; after the faults stop
    everything must come to rest with equal books. A failing seed is shrunk and printed as the
    command that repeats it. Exit 7: a promise was broken, two runs of a seed differed, or of a
    thousand seeds none showed something that must happen sometimes.
    """
    if count == 1 and kills is None:
        _one(options, seed, removed, trading_s)
        return
    if removed or trading_s is not None:
        stop(exits.USAGE, "btcbot: --without and --for are for one seed")
    if only and kills is None:
        stop(exits.USAGE, "btcbot: --lines-of is for --line-kills")
    work = Work(first=seed, count=count, kills=kills, only=only, twice=twice, stops=stops)
    _many(options, work, jobs)


def _one(options: Options, seed: int, removed: tuple[str, ...], trading_s: float | None) -> None:
    from msgspec.structs import replace

    from btcbot.sim.plan import draw, without
    from btcbot.sim.run import simulate

    plan = draw(seed)
    for fault in removed:
        if fault not in plan.faults:
            stop(
                exits.USAGE,
                f"btcbot: --without {fault}: the plan of {seed} has {list(plan.faults)}",
            )
        plan = without(plan, fault)
    if trading_s is not None:
        plan = replace(plan, trading_s=trading_s)
    report = simulate(plan)
    options.show(_as_json(report), lambda: _tell(report))
    if report.violations:
        stop(exits.PROBLEM, f"btcbot: {len(report.violations)} promises broken")


def _many(options: Options, work: Work, jobs: int) -> None:
    from btcbot.sim import campaign

    began, whole = time.monotonic(), campaign.Campaign()
    for report in campaign.seeds(work.first, work.count, jobs):
        whole.add(report)
        _note(options, whole, report)
        if whole.runs % campaign.AGAIN_EVERY == 1 and not _is_equal(report):
            whole.unequal.append(report.plan.seed)
        if whole.failed and work.stops:
            break
    seeds_s, seed_count = time.monotonic() - began, whole.runs
    if work.kills is not None and not (whole.failed and work.stops):
        for report in campaign.line_kills(work.cuts(work.kills), jobs):
            whole.add(report)
            _note(options, whole, report)
            if report.violations and work.stops:
                break
    document = _summary(whole, seeds_s, whole.runs - seed_count, time.monotonic() - began - seeds_s)
    options.show(document, lambda: _tell_summary(document))
    _judge(options, whole, work)


def _note(options: Options, whole: "Campaign", report: "Report") -> None:
    """Tell how far it is, and what was found the moment it is found."""
    for violation in report.violations[:1]:
        options.note(f"{_name(report)}: {violation}")
    if whole.runs % 100 == 0:
        options.note(f"{whole.runs} runs, {len(whole.failed)} failed")


def _judge(options: Options, whole: "Campaign", work: Work) -> None:
    from btcbot.sim.campaign import shrink

    if work.stops and whole.failed:
        first = whole.failed[0]
        stop(exits.PROBLEM, f"btcbot: {_name(first)}: {first.violations[0]}")
    for report in [found for found in whole.failed if not found.cut][:3]:
        small = shrink(report)
        options.note(f"shrunk: {_repeat(small)}\n  {small.violations[0]}")
    if whole.failed or whole.unequal:
        stop(
            exits.PROBLEM,
            f"btcbot: failed: {'; '.join(map(_name, whole.failed[:20])) or 'none'}; "
            f"seeds that differ when run again {whole.unequal[:20]}",
        )
    if work.count >= COMPLETE and whole.missing:
        stop(exits.PROBLEM, f"btcbot: never seen: {'; '.join(whole.missing)}")


def _is_equal(report: "Report") -> bool:
    from btcbot.sim.campaign import trace_elsewhere

    return report.trace == trace_elsewhere(report.plan.seed)


def _name(report: "Report") -> str:
    return f"killed at {report.cut}" if report.cut else f"seed {report.plan.seed}"


def _repeat(small: "Report") -> str:
    """Return the command that runs the shrunk plan again."""
    from btcbot.sim.plan import draw

    seed, faults = small.plan.seed, small.plan.faults
    gone = [fault for fault in draw(seed).faults if fault not in faults]
    words = ["btcbot", "sim", "--seed", str(seed), "--for", f"{small.plan.trading_s:g}"]
    return " ".join([*words, *(f"--without {fault}" for fault in gone)])


def _as_json(report: "Report") -> dict[str, Any]:
    return {
        "seed": report.plan.seed, "killed_at": report.cut, "faults": report.plan.faults,
        "violations": list(report.violations), "sometimes": report.sometimes,
        "trace": report.trace, "messages": report.handled, "orders": report.orders,
        "fills": report.fills, "trading_state": report.trading, "rest_s": report.rest_s,
    }  # fmt: skip


def _tell(report: "Report") -> None:
    faults = ", ".join(f"{name} {value:g}" for name, value in report.plan.faults.items())
    click.echo(f"seed {report.plan.seed}: {faults or 'no faults'}")
    click.echo(
        f"{report.handled} messages, {report.orders} orders sent, {report.fills} fills; ends "
        f"{report.trading}, at rest after {report.rest_s:g} s; trace {report.trace}"
    )
    for violation in report.violations:
        click.echo(f"BROKEN {violation}")


def _summary(whole: "Campaign", seeds_s: float, cuts: int, cuts_s: float) -> dict[str, Any]:
    return {
        "runs": whole.runs, "line_kills": cuts, "seconds": round(seeds_s, 1),
        "line_kill_seconds": round(cuts_s, 1), "messages": whole.handled, "orders": whole.orders,
        "fills": whole.fills, "failed": [_as_json(report) for report in whole.failed],
        "unequal": whole.unequal, "sometimes": dict(sorted(whole.sometimes.items())),
        "never": whole.missing,
    }  # fmt: skip


def _tell_summary(document: dict[str, Any]) -> None:
    click.echo(
        f"{document['runs']} runs ({document['line_kills']} line kills), {document['messages']} "
        f"messages, {document['orders']} orders, {document['fills']} fills in "
        f"{document['seconds'] + document['line_kill_seconds']:g} s; "
        f"{len(document['failed'])} failed"
    )
    for name, times in document["sometimes"].items():
        click.echo(f"  {times:>7}  {name}")

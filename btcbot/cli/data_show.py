"""`btcbot data list` and `btcbot data gaps`: what there is, and what there is not."""

from typing import TYPE_CHECKING, Any

import click

from btcbot.cli.common import Options, common, print_table

if TYPE_CHECKING:
    from btcbot.catalog.dataset import Dataset

COLUMNS = (
    "name", "pair", "channel", "from", "to", "provenance", "rows", "size_mb", "gaps",
)  # fmt: skip
GAP_COLUMNS = ("pair", "channel", "from", "to", "seconds", "cause", "detail")


@click.command("list")
@click.argument("given", nargs=-1, metavar="[NAME]...")
@common
def command(options: Options, *, given: tuple[str, ...]) -> None:
    """List data sets with what they cover: intervals, provenance, rows and sizes.

    A time that is covered and has no rows is quiet: nothing happened. --json has every interval,
    part and source.
    """
    from btcbot.catalog.dataset import names
    from btcbot.cli.data_sets import opened, told

    with told():
        chosen = given or tuple(names(options.load().config.data))
        sets = [_shown(opened(options, name)) for name in chosen]
    options.show({"sets": sets}, lambda: print_table(options, COLUMNS, list(_rows(sets))))


@click.command("gaps")
@click.argument("name")
@click.option("--pair", default="", help="Of this pair only.")
@common
def gaps(options: Options, *, name: str, pair: str) -> None:
    """List the times within a data set of which there is no data, and why there is none.

    "no data" is not "no trade": a quiet hour that was listened to is not in this list. Causes:
    unknown, disconnected, recorder down, recorder lost records, exchange silent, joined again,
    exchange has none.
    """
    from btcbot.cli.data_sets import opened, told, utc

    with told():
        found = [gap for gap in opened(options, name).gaps() if pair in {"", gap.pair}]
    rows = [
        (
            gap.pair,
            gap.channel,
            utc(gap.from_ns),
            utc(gap.to_ns),
            f"{(gap.to_ns - gap.from_ns) / 1e9:.3f}",
            gap.cause,
            gap.detail,
        )
        for gap in found
    ]
    options.show({"name": name, "gaps": found}, lambda: print_table(options, GAP_COLUMNS, rows))


def _shown(dataset: "Dataset") -> dict[str, Any]:
    """Return a data set as --json shows it."""
    manifest = dataset.manifest
    return {
        "name": manifest.name,
        "folder": str(dataset.folder),
        "rows": sum(part.rows for part in manifest.parts),
        "bytes": sum(part.size for part in manifest.parts),
        "intervals": manifest.intervals,
        "gaps": dataset.gaps(),
        "parts": manifest.parts,
        "sources": manifest.sources,
    }


def _rows(sets: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for each pair, channel and provenance of each set."""
    from btcbot.cli.data_sets import megabytes, utc

    rows: list[tuple[object, ...]] = []
    for one in sets:
        kinds = sorted({(part.pair, part.channel, part.provenance) for part in one["parts"]})
        for kind in kinds:
            parts = [p for p in one["parts"] if (p.pair, p.channel, p.provenance) == kind]
            gap_count = sum((gap.pair, gap.channel) == kind[:2] for gap in one["gaps"])
            rows.append(
                (
                    one["name"],
                    kind[0],
                    kind[1],
                    utc(min(part.from_ns for part in parts)),
                    utc(max(part.to_ns for part in parts)),
                    kind[2],
                    sum(part.rows for part in parts),
                    megabytes(sum(part.size for part in parts)),
                    gap_count,
                )
            )
    return rows

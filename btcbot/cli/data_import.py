"""`btcbot data import`: files of every known form, or raw segments, into a data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from btcbot.cli import exits
from btcbot.cli.common import Options, common, stop

if TYPE_CHECKING:
    from btcbot.catalog.defects import Defect
    from btcbot.catalog.writer import Writer

SHOWN = 20


@click.command("import")
@click.argument("name")
@click.argument("given", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE|FOLDER]...")
@click.option("--pair", default="", help="Whose the rows are; replay datasets and raw know.")
@click.option("--raw", is_flag=True, help="What was recorded: HOME/data/raw, or the folder given.")
@common
def command(options: Options, *, name: str, given: tuple[Path, ...], pair: str, raw: bool) -> None:
    """Bring recorded data into the data set NAME, which is made if it is not there.

    Files: full-depth JSON lines, csv of trades, quotes, candles or one book (all also .gz), Parquet
    of trades or quotes; several are read in order, as one recording. A folder is a replay dataset,
    or with --raw the segments of one recorder: what is new in them is converted.

    Nothing is brought in where anything is wrong with it: exit 7, each defect by file and row. Gaps
    are not wrong; `btcbot data gaps` lists them.
    """
    from btcbot.cli.data_sets import told

    with told(exits.PROBLEM):
        if raw:
            summary = import_raw(options, name, given[0] if given else None)
        elif len(given) == 1 and given[0].is_dir():
            summary = _replay(options, name, given[0])
        elif given:
            summary = _files(options, name, given, pair)
        else:
            stop(exits.USAGE, "btcbot: name a file or a folder, or say --raw")
    options.show(summary, lambda: _print(summary))


def import_raw(options: Options, name: str, folder: Path | None) -> dict[str, Any]:
    """Convert what is new in the segments of one recorder; return the summary."""
    from btcbot.catalog.convert import bring_in
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_sets import progress, writing

    raw = folder or _recorder(options.load().config.raw)
    with (
        writing(options, name, Provenance.LIVE) as (writer, manifest, _),
        progress(options, f"converting {raw.name}") as tell,
    ):
        outcome = bring_in(writer, manifest, raw, tell)
    return {
        **_summary(name, writer),
        "records": outcome.records,
        "refused_frames": outcome.refused,
    }


def _recorder(raw: Path) -> Path:
    """Return the folder of the recorder whose segments are meant; it must be the only one."""
    found = sorted({path.parent for path in raw.glob("*/*.seg")})
    public = [path for path in found if path.name != "execution"]  # Which hears no market.
    if len(public) != 1:
        names = ", ".join(map(str, public)) or "none"
        stop(exits.NOT_FOUND, f"btcbot: recorders under {raw}: {names}; name the folder of one")
    return public[0]


def _files(options: Options, name: str, given: Sequence[Path], pair: str) -> dict[str, Any]:
    from btcbot.catalog.importing import import_files
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_sets import progress, writing
    from btcbot.domain.ids import Pair

    if not pair.isalnum():
        stop(exits.USAGE, "btcbot: --pair: these files do not say whose rows they are: BTCUSDT?")
    with (
        writing(options, name, Provenance.IMPORTED) as (writer, _, _folder),
        progress(options, f"importing {len(given)} files") as tell,
    ):
        _refuse(options, import_files(given, Pair(pair.upper()), writer, tell))
        writer.commit()
    return _summary(name, writer)


def _replay(options: Options, name: str, folder: Path) -> dict[str, Any]:
    from btcbot.catalog import replay
    from btcbot.catalog.defects import Defect, Flaw
    from btcbot.catalog.importing import import_replay
    from btcbot.catalog.rows import Provenance
    from btcbot.cli.data_sets import progress, writing

    report = replay.validate(folder)
    for issue in report.issues:
        if issue.severity == "warning":
            options.note(f"btcbot: {issue.path}: {issue.code}: {issue.message}")
    _refuse(
        options,
        [
            Defect(issue.path, issue.row, Flaw.FORM, f"{issue.code}: {issue.message}")
            for issue in report.issues
            if issue.severity == "error"
        ],
    )
    with (
        writing(options, name, Provenance.IMPORTED) as (writer, _, _folder),
        progress(options, f"importing {folder.name}") as tell,
    ):
        _refuse(options, import_replay(folder, writer, tell))
        writer.commit()
    return _summary(name, writer)


def _refuse(options: Options, defects: "Sequence[Defect]") -> None:
    """End the command where anything is wrong; -v shows more than the first defects."""
    if not defects:
        return
    shown = defects if options.verbosity > 0 else defects[:SHOWN]
    more = f"\n... and {len(defects) - len(shown)} more; -v shows all" if defects[SHOWN:] else ""
    text = "\n".join(map(str, shown))
    stop(exits.PROBLEM, f"{text}{more}\nbtcbot: nothing was imported")


def _summary(name: str, writer: "Writer") -> dict[str, Any]:
    return {"name": name, "rows": writer.rows, "known_already": writer.dropped}


def _print(summary: dict[str, Any]) -> None:
    known = summary["known_already"]
    click.echo(
        f"{summary['name']}: {summary['rows']:,} rows added"
        + (f", {known:,} were covered already" if known else "")
    )
    if refused := summary.get("refused_frames"):
        click.echo(f"{refused:,} frames could not be read", err=True)

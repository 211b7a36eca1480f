"""Every preset over one market, twice: it trades, and every byte of its run is the same.

The two runs are processes of their own, in which sets and maps of strings have other orders.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

PRESETS: Final = ("profit_aware", "portfolio", "adaptive")
SEEDS: Final = ("1", "2")  # Of Python's hashes.
BASES: Final = """
ADA APT ARB ATOM AVAX BTC DOGE DOT ETH FIL INJ LINK LTC NEAR OP POL SHIB SOL SUI TRX UNI XLM XRP ZRX
"""
PAIRS: Final = tuple(f"{base}TRY" for base in BASES.split())  # The market of each is made up.
DIFFERS: Final = 7
MINUTE_NS: Final = 60_000_000_000
GAP_MS: Final = 100  # Between the end of a recording and its begin: as between two of its frames.


class Played(NamedTuple):
    """What a preset did, and which files of its two runs differ."""

    preset: str
    orders: int
    fills: int
    differs: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        return bool(self.fills) and not self.differs


def btcbot(*arguments: str, seed: str = SEEDS[0]) -> str:
    """Run a command and return what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", "btcbot.cli.main", *arguments, "--quiet"],
        env={**os.environ, "PYTHONHASHSEED": seed},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def made_up(home: Path, pairs: Sequence[str], minutes: int) -> list[str]:
    """Make a data set of `pairs`; return what names it for a backtest."""
    named = ",".join(pairs)
    btcbot("data", "init", "made-up", "--pairs", named, "--rows", str(minutes), "--home", str(home))
    return ["--data", "made-up", "--pair", "all"]


def over_and_over(home: Path, files: Sequence[Path], minutes: int) -> list[str]:
    """Write full-depth files, read as one, over and over as the sandbox plays them.

    Return what names the result for a backtest.
    """
    lines = gzip.decompress(b"".join(path.read_bytes() for path in files)).decode().splitlines()
    target = home / "over-and-over.jsonl.gz"
    with gzip.open(target, "wt", compresslevel=1) as out:
        out.writelines(again_and_again(lines, minutes))
    return ["--data", str(target)]


def again_and_again(lines: Sequence[str], minutes: int) -> Iterator[str]:
    """Yield the lines, later each time and under further ids, until `minutes` are over.

    Ids go on. Each further turn begins with the snapshot, so the book is never one of two turns.
    """
    read = [(int(stamp), json.loads(text)) for stamp, _, text in (x.partition(" ") for x in lines)]
    began_ns = read[0][0]
    lasts_ms = (read[-1][0] - began_ns) // 1_000_000 + GAP_MS
    updates = [frame["data"] for _, frame in read if "@depth" in frame.get("stream", "")]
    trades = [frame["data"]["t"] for _, frame in read if "@trade" in frame.get("stream", "")]
    by = {
        **dict.fromkeys(("E", "T"), lasts_ms),
        **dict.fromkeys(("U", "u", "lastUpdateId"), updates[-1]["u"] - updates[0]["U"] + 1),
        "t": trades[-1] - trades[0] + 1 if trades else 0,
    }
    snapshot = next(frame for _, frame in read if "lastUpdateId" in frame)
    rest = [(began_ns, snapshot), *(row for row in read if row[1] is not snapshot)]
    for turn in count():
        for at_ns, frame in rest if turn else read:
            later_ns = at_ns + turn * lasts_ms * 1_000_000
            if later_ns - began_ns > minutes * MINUTE_NS:
                return
            yield f"{later_ns} {json.dumps(_moved(frame, by, turn))}\n"


def _moved(frame: dict[str, Any], by: dict[str, int], turn: int) -> dict[str, Any]:
    if "data" in frame:
        return {**frame, "data": _moved(frame["data"], by, turn)}
    return {**frame, **{key: frame[key] + turn * step for key, step in by.items() if key in frame}}


def play(home: Path, preset: str, market: Sequence[str]) -> Played:
    """Play `preset` once for each seed, and compare all that both wrote."""
    folders = [home / f"{preset}-{seed}" for seed in SEEDS]
    shown = [
        json.loads(
            btcbot(
                "backtest", "-s", preset, *market, "--home", str(home), "--out", str(folder),
                "--json", seed=seed,
            )
        )
        for seed, folder in zip(SEEDS, folders, strict=True)
    ]  # fmt: skip
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    names = sorted({*first, *second})
    differs = tuple(name for name in names if first.get(name) != second.get(name))
    return Played(preset, shown[0]["orders"], shown[0]["fills"], differs)


def main(minutes: int, data: Sequence[str]) -> int:
    is_fine = True
    with tempfile.TemporaryDirectory(prefix="btcbot-presets-") as folder:
        home = Path(folder)
        home.chmod(0o700)
        files = [Path(path).resolve() for path in data]
        market = over_and_over(home, files, minutes) if files else made_up(home, PAIRS, minutes)
        for preset in PRESETS:
            played = play(home, preset, market)
            is_fine = is_fine and played.is_fine
            told = f"files that differ: {', '.join(played.differs) or 'none'}"
            sys.stdout.write(f"{preset}: {played.orders} orders, {played.fills} fills; {told}\n")
    return 0 if is_fine else DIFFERS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/presets")
    parser.add_argument("--minutes", type=int, default=60, help="Of the market.")
    parser.add_argument(
        "--data", action="append", default=[], help="Full-depth frames; else 24 made-up pairs."
    )
    chosen = parser.parse_args()
    raise SystemExit(main(chosen.minutes, chosen.data))

"""Every preset over one market, twice: it trades, and every byte of its run is the same.

The two runs are processes of their own, in which sets and maps of strings have other orders.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

PRESETS: Final = ("profit_aware", "portfolio", "adaptive")
SEEDS: Final = ("1", "2")  # Of Python's hashes.
BASES: Final = """
ADA APT ARB ATOM AVAX BTC DOGE DOT ETH FIL INJ LINK LTC NEAR OP POL SHIB SOL SUI TRX UNI XLM XRP ZRX
"""
PAIRS: Final = tuple(f"{base}TRY" for base in BASES.split())  # The market of each is made up.
DIFFERS: Final = 7


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
        files = [word for path in data for word in ("--data", str(Path(path).resolve()))]
        market = files or made_up(home, PAIRS, minutes)
        for preset in PRESETS:
            played = play(home, preset, market)
            is_fine = is_fine and played.is_fine
            told = f"files that differ: {', '.join(played.differs) or 'none'}"
            sys.stdout.write(f"{preset}: {played.orders} orders, {played.fills} fills; {told}\n")
    return 0 if is_fine else DIFFERS


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/presets")
    parser.add_argument("--minutes", type=int, default=60, help="Of 24 made-up pairs.")
    parser.add_argument("--data", action="append", default=[], help="A recording of BTCTRY.")
    chosen = parser.parse_args()
    raise SystemExit(main(chosen.minutes, chosen.data))

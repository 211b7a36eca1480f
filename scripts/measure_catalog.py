"""Make a day of raw market as the exchange sends it, and measure its conversion to Parquet.

    .venv/bin/python scripts/measure_catalog.py [--hours 24] [--pairs 20] [--folder DIR]

Documented rates: every 0.76 s a batch of book changes of each pair and the ticker of all; here with
12 levels a batch, a whole book an hour, a trade in every fifth batch and 200 pairs in the ticker.
Prints seconds and the most memory the conversion had, which runs in a process of its own.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from btcbot.catalog.segments import Captured, SegmentWriter

START_NS = 1_780_272_000_000_000_000  # 2026-06-01T00:00Z.
BATCH_NS = 760_000_000
SECOND_NS = 10**9
LEVELS = 12
TICKERS = 200
encode = msgspec.json.Encoder().encode


def frames(batch: int, pairs: list[str], chance: random.Random) -> Iterator[bytes]:
    """Yield what arrives in one batch."""
    yield encode([401, {"items": [ticker(n, chance) for n in range(TICKERS)]}])
    for pair in pairs:
        bids = [level(n, chance, 4_000_000) for n in range(LEVELS // 2)]
        asks = [level(n, chance, 4_100_000) for n in range(LEVELS // 2)]
        book = {"CS": batch + 1, "PS": pair, "AO": asks, "BO": bids, "channel": "obdiff"}
        is_whole = batch % 4_737 == 0  # Once an hour.
        yield encode([431 if is_whole else 432, {**book, "event": pair}])
        if batch == 0:
            yield encode([421, {"symbol": pair, "items": [trade(1, batch, chance)]}])
        elif chance.random() < 0.2:
            yield encode([422, {**trade(batch + 1, batch, chance), "PS": pair}])


def ticker(number: int, chance: random.Random) -> dict[str, object]:
    figures = {key: f"{chance.randrange(10**6)}.{number}" for key in ("B", "A", "BA", "AA", "La")}
    day = dict.fromkeys(("O", "H", "L", "V", "AV", "D", "DP"), f"{10**6 + number}.5")
    return {**figures, **day, "PS": f"PAIR{number}TRY", "NS": "TRY", "DS": "PAIR", "PId": number}


def level(number: int, chance: random.Random, middle: int) -> dict[str, object]:
    price = middle + (10 * chance.randrange(2_000) if number else 0)
    return {"CP": 1, "P": str(price), "A": f"{chance.random():.8f}"}


def trade(number: int, batch: int, chance: random.Random) -> dict[str, object]:
    at_ms = (START_NS + batch * BATCH_NS) // 10**6
    price, size = str(4_000_000 + 10 * chance.randrange(100)), f"{chance.random():.8f}"
    return {"D": str(at_ms), "I": str(number), "A": size, "P": price, "S": number % 2}


def make(folder: Path, hours: float, pair_count: int) -> int:
    """Write the segments; return how many records."""
    chance = random.Random(1)
    pairs = [f"P{n:02}TRY" for n in range(pair_count)]
    writer = SegmentWriter(folder, "record", START_NS)
    for batch in range(round(hours * 3600 * SECOND_NS / BATCH_NS)):
        at_ns = START_NS + batch * BATCH_NS
        for number, frame in enumerate(frames(batch, pairs, chance)):
            writer.append(Captured(at_ns + number * 1_000, "ws.public", 1, frame, at_ns))
        if writer.is_full:
            writer.flush(at_ns)
    writer.close(START_NS)
    return writer.kept


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--hours", type=float, default=24.0)
    asked.add_argument("--pairs", type=int, default=20)
    asked.add_argument("--folder", type=Path)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as made:
        home = given.folder or Path(made)
        raw = home / "data" / "raw" / "record"
        if not raw.exists():
            began = time.monotonic()
            kept = make(raw, given.hours, given.pairs)
            size = sum(path.stat().st_size for path in raw.iterdir())
            print(f"made {kept:,} records, {size / 1e6:,.0f} MB, {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        command = ["-m", "btcbot.cli.main", "data", "import", "--home", str(home)]
        subprocess.run([sys.executable, *command, "measured", "--raw"], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        parquet = sum(path.stat().st_size for path in home.glob("data/sets/measured/**/*.parquet"))
        print(
            f"converted {given.hours:g} h of {given.pairs} pairs in"
            f" {time.monotonic() - began:.1f} s ({used.ru_utime + used.ru_stime:.1f} s of CPU),"
            f" {used.ru_maxrss / 1e3:.0f} MB of memory at most,"
            f" {parquet / 1e6:,.0f} MB of Parquet"
        )


if __name__ == "__main__":
    main()

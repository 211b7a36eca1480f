"""Small recordings that tests write themselves, and the real ones where they are at hand."""

import gzip
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
QUOTES = "recv_ns,bid,bid_qty,ask,ask_qty"
TRADES = "recv_ns,taker_side,price,qty"


def recorded(*names: str) -> list[Path]:
    """Return real recordings by their names below shared/data; skips where they are absent."""
    paths = [SHARED / name for name in names]
    if missing := [str(path) for path in paths if not path.is_file()]:
        pytest.skip(f"no recording {', '.join(missing)}")
    return paths


def l2_recording() -> list[Path]:
    """Return both files of the full-depth recording."""
    names = ("btcusdt_spot_20240808.jsonl.gz", "btcusdt_spot_20240809.jsonl.gz")
    return recorded(*(f"l2/{name}" for name in names))


def write(path: Path, lines: list[str]) -> Path:
    """Write lines; gzipped where the name says so."""
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def walk(seed: int, count: int, step: int = 25) -> Iterator[int]:
    """Yield a middle around 4,000,000 that wanders and comes back."""
    draw, middle = random.Random(seed), 4_000_000
    for _ in range(count):
        middle += draw.randint(-step, step) * 10 + (4_000_000 - middle) // 200
        yield middle


def quote_rows(seed: int = 1, seconds: int = 60) -> list[str]:
    """Return a csv of four quotes a second."""
    draw = random.Random(seed)
    rows = [QUOTES]
    for n, middle in enumerate(walk(seed, seconds * 4)):
        sizes = draw.randint(1, 900), draw.randint(1, 900)
        bid, ask = middle - draw.randint(1, 40), middle + draw.randint(1, 40)
        at_ns = START_NS + n * SECOND_NS // 4
        rows.append(f"{at_ns},{bid},0.{sizes[0]:04},{ask},0.{sizes[1]:04}")
    return rows


def trade_rows(seed: int = 1, seconds: int = 60) -> list[str]:
    """Return a csv of four trades a second."""
    draw = random.Random(seed)
    rows = [TRADES]
    for n, middle in enumerate(walk(seed, seconds * 4)):
        side = draw.choice(("buy", "sell"))
        rows.append(f"{START_NS + n * SECOND_NS // 4},{side},{middle},0.0{draw.randint(1, 99):02}")
    return rows


def depth_rows(seed: int = 1, seconds: int = 60, levels: int = 12) -> list[str]:
    """Return JSON lines: a snapshot, then ten frames of depth a second, and some trades."""
    draw = random.Random(seed)
    book: dict[str, dict[int, str]] = {"b": {}, "a": {}}
    lines: list[str] = []
    for n, middle in enumerate(walk(seed, seconds * 10)):
        wanted = {
            "b": {middle - 5 - 10 * k: f"0.{draw.randint(1, 900):04}" for k in range(levels)},
            "a": {middle + 5 + 10 * k: f"0.{draw.randint(1, 900):04}" for k in range(levels)},
        }
        at_ns = START_NS + n * SECOND_NS // 10
        frame: dict[str, object]
        if n == 0:
            frame = {
                "lastUpdateId": 1,
                "bids": [[str(price), size] for price, size in wanted["b"].items()],
                "asks": [[str(price), size] for price, size in wanted["a"].items()],
            }
        else:
            changes = {
                side: [[str(price), "0.0"] for price in book[side] if price not in wanted[side]]
                + [[str(price), size] for price, size in wanted[side].items()]
                for side in ("b", "a")
            }
            frame = {
                "stream": "btcusdt@depth@100ms",
                "data": {"e": "depthUpdate", "U": n + 1, "u": n + 1, **changes},
            }
        book = wanted
        lines.append(f"{at_ns} {json.dumps(frame)}")
        if draw.random() < 0.3:
            is_sold = draw.random() < 0.5
            price = middle - 5 if is_sold else middle + 5
            data = {"t": n, "p": str(price), "q": "0.01", "T": 1, "m": is_sold}
            lines.append(f"{at_ns} {json.dumps({'stream': 'btcusdt@trade', 'data': data})}")
    return lines


def candle_rows(count: int = 30, seed: int = 1) -> list[str]:
    """Return a csv of one-minute candles."""
    rows = ["open_ms,open,high,low,close,volume"]
    opened = 4_000_000
    for n, middle in enumerate(walk(seed, count, step=400)):
        high, low = max(opened, middle) + 900, min(opened, middle) - 700
        rows.append(f"{START_NS // 10**6 + n * 60_000},{opened},{high},{low},{middle},2.5")
        opened = middle
    return rows


def total(rows: list[dict[str, str]], key: str) -> Decimal:
    """Return the exact sum of a column."""
    return sum((Decimal(row[key]) for row in rows), start=Decimal(0))

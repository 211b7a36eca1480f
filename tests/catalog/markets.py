"""Small recorded markets for tests, and where real ones are."""

import csv
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from btcbot.catalog.dataset import Dataset
from btcbot.catalog.manifest import Manifest, load
from btcbot.catalog.rows import CHANNEL_OF, Candle, Depth, Provenance, Quote, Row, Trade, start_ns
from btcbot.catalog.segments import Captured, SegmentWriter
from btcbot.catalog.writer import Writer
from btcbot.domain.feed import TextLevel
from btcbot.domain.ids import Pair
from btcbot.domain.money import Price, Quantity
from btcbot.domain.words import Side

PAIR: Final = Pair("BTCTRY")
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
START: Final = 1_780_272_000 * SECOND  # 2026-06-01T00:00Z.
SHARED: Final = Path(__file__).parents[3] / "shared" / "data"
needs_recordings = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real recordings are not beside the clone (../shared/data)"
)
PLAIN: Final = lambda _count: None  # noqa: E731 - nobody looks at progress


def price(text: str | int) -> Price:
    return Price(Decimal(text))


def quantity(text: str | int) -> Quantity:
    return Quantity(Decimal(text))


def trade(seconds: float = 0, trade_id: int | None = 1, at: str = "100", size: str = "1") -> Trade:
    at_ns = START + round(seconds * SECOND)
    return Trade(
        at_ns=at_ns,
        traded_ns=at_ns,
        trade_id=trade_id,
        side=Side.BUY,
        price=price(at),
        quantity=quantity(size),
    )


def quote(seconds: float = 0, bid: str = "100", ask: str = "101", update: int = 1) -> Quote:
    return Quote(
        at_ns=START + round(seconds * SECOND),
        update_id=update,
        bid=price(bid),
        bid_quantity=quantity(1),
        ask=price(ask),
        ask_quantity=quantity(2),
    )


def candle(minute: int, figures: Sequence[str] = ("5", "9", "1", "6"), volume: str = "2") -> Candle:
    opened, high, low, close = map(price, figures)
    return Candle(
        at_ns=START + (minute + 1) * MINUTE,
        open_ns=START + minute * MINUTE,
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=Decimal(volume),
    )


def depth(
    seconds: float,
    numbers: tuple[int, int],
    bids: Iterable[tuple[str, str]] = (),
    asks: Iterable[tuple[str, str]] = (),
    *,
    is_snapshot: bool = False,
) -> Depth:
    return Depth(
        at_ns=START + round(seconds * SECOND),
        first=numbers[0],
        last=numbers[1],
        is_snapshot=is_snapshot,
        bids=tuple(TextLevel(*row) for row in bids),
        asks=tuple(TextLevel(*row) for row in asks),
    )


def written(
    folder: Path,
    rows: Iterable[Row],
    provenance: Provenance = Provenance.IMPORTED,
    pair: Pair = PAIR,
    *,
    covers: bool = True,
) -> Dataset:
    """Add rows to a data set, made if need be; covered is what lies between first and last."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = load(folder) if (folder / "manifest.json").exists() else Manifest(name=folder.name)
    writer = Writer(folder, manifest, provenance)
    held = list(rows)
    for row in held:
        writer.add(pair, row)
    for channel in {CHANNEL_OF[type(row)] for row in held} if covers else ():
        mine = [row for row in held if CHANNEL_OF[type(row)] is channel]
        end_ns = max(row.at_ns + (0 if isinstance(row, Candle) else 1) for row in mine)
        writer.cover(channel, pair, (min(map(start_ns, mine)), end_ns))
    writer.commit()
    return Dataset(folder)


def table(path: Path, header: str, rows: Iterable[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
    return path


# --- what BTCTurk says --------------------------------------------------------------------------


def snapshot(change_set: int, pair: str = PAIR, bid: str = "100", ask: str = "101") -> bytes:
    body = {"CS": change_set, "PS": pair, "channel": "obdiff", "AO": [{"P": ask, "A": "1"}],
            "BO": [{"P": bid, "A": "2.50"}]}  # fmt: skip
    return json.dumps([431, body]).encode()


def change(change_set: int, pair: str = PAIR, ask: str = "101", amount: str = "3") -> bytes:
    body = {"CS": change_set, "PS": pair, "AO": [{"CP": 1, "P": ask, "A": amount}], "BO": []}
    return json.dumps([432, body]).encode()


def pulse() -> bytes:
    return b'[401,{"items":[]}]'


def listed(ids: Iterable[int], pair: str = PAIR) -> bytes:
    return json.dumps([421, {"symbol": pair, "items": [_item(one) for one in ids]}]).encode()


def traded(trade_id: int, pair: str = PAIR) -> bytes:
    return json.dumps([422, {**_item(trade_id), "PS": pair}]).encode()


def _item(trade_id: int) -> dict[str, Any]:
    at_ms = START // 10**6 + trade_id
    return {"D": str(at_ms), "I": str(trade_id), "A": "0.5", "P": "100.5", "S": 1}


def recorded(folder: Path, frames: Iterable[tuple[float, int, bytes]], life: float = 0) -> None:
    """Write one life of a recorder: (seconds, session, frame)."""
    writer = SegmentWriter(folder, "record", START + round(life * SECOND))
    for seconds, session, frame in frames:
        writer.append(Captured(START + round(seconds * SECOND), "ws.public", session, frame))
    writer.close(START)

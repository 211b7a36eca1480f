"""Pieces of an HTML page, every word escaped; what is not known says so."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape
from typing import Any, Final

from btcbot.domain.money import half_up
from btcbot.research import drawing

NOT_KNOWN: Final = "not known"
Row = dict[str, Any]


def figure(title: str, drawn: str, values: tuple[str, str], ends: tuple[str, str]) -> str:
    if not drawn:
        return section(title, "<p>nothing to draw</p>", "wide")
    inside = (
        f'<div class="plot"><span>{escape(values[0])}</span>'
        f"{drawing.svg(drawn, f'{title}: {values[1]} to {values[0]}')}"
        f"<span>{escape(values[1])}</span></div>"
        f'<p class="axis"><span>{escape(ends[0])}</span><span>{escape(ends[1])}</span></p>'
    )
    return section(title, inside, "wide")


def section(title: str, inside: str, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{escape(title)}</h2>{inside}</section>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in rows
    )
    return f'<div class="table"><table class="pairs">{cells}</table></div>'


def table(rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>none</p>"
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return f'<div class="table long"><table><tr>{head}</tr>{body}</table></div>'


def shown(value: Any) -> str:  # noqa: ANN401 - a cell
    if isinstance(value, dict):
        return ", ".join(f"{name} = {part}" for name, part in value.items())
    return NOT_KNOWN if value is None else str(value)


def plain(value: str | None) -> str:
    return NOT_KNOWN if value is None else f"{_two(Decimal(value)):,}"


def percent(value: str | None, missing: str = NOT_KNOWN) -> str:
    return missing if value is None else f"{_two(Decimal(value) * 100):,} %"


def money(value: str | None) -> str:
    return NOT_KNOWN if value is None else f"{Decimal(value):,}"


def _two(value: Decimal) -> Decimal:
    return half_up(value, 2) + 0  # No minus before a zero.

"""A configuration as a person would set it: by key, through the same door as a file or a flag."""

from pathlib import Path
from typing import Any

from btcbot.config import Config, load
from btcbot.opening import Identity, setup_of
from tests.orders.desks import Floor

HOME = Path("/tmp/b")


def configured(**keys: Any) -> Config:
    """Return the configuration with `keys` set; "__" stands for the point of a section."""
    flags = {name.replace("__", "."): value for name, value in keys.items()}
    return load([], {"home": str(HOME), **flags}).config


def floor(**keys: Any) -> Floor:
    """Return execution's desk as `keys` set it up, trading, on a floor of its own."""
    found = setup_of(configured(**keys), "tests", Identity("", ""))
    made = Floor(bounds=found.bounds, gate=found.gate, fees=found.fees, pairs=found.pairs)
    made.open_up().drop()
    return made

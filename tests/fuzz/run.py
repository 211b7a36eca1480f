"""Fuzz everything that reads what others wrote: `scripts/fuzz COUNT SEED [TARGET...]`."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.btcturk import fuzz as exchange
from tests.fuzz import configs, control, files
from tests.fuzz.spoil import Broken

Target = Callable[[int, int], Counter[tuple[str, str]]]
TARGETS: dict[str, Target] = {
    "exchange": exchange.run,
    "control": control.frames,
    "stream": control.streams,
    "journal": files.journals,
    "segment": files.raw_segments,
    "config": configs.files,
}


def main(arguments: list[str]) -> int:
    """Run from the command line; 1: something broke, 2: it was called wrongly."""
    numbers, chosen = arguments[:2], arguments[2:] or list(TARGETS)
    unknown = [name for name in chosen if name not in TARGETS]
    if len(numbers) != 2 or not all(given.isdigit() for given in numbers) or unknown:
        targets = " | ".join(TARGETS)
        sys.stderr.write(f"usage: scripts/fuzz COUNT SEED [TARGET...]; targets: {targets}\n")
        return 2
    for name in [name for name in os.environ if name.startswith("BTCBOT__")]:
        del os.environ[name]  # A person's own settings are not what is tried here.
    count, seed = map(int, numbers)
    return max(fuzz(name, count, seed) for name in chosen)


def fuzz(name: str, count: int, seed: int) -> int:
    """Run one target and print what became of its inputs; 1: something broke."""
    began = time.monotonic()
    try:
        counts = TARGETS[name](count, seed)
    except (Broken, exchange.Broken) as broken:
        sys.stderr.write(f"fuzz {name}: {broken}\n")
        return 1
    took_s = time.monotonic() - began
    lines = [f"{what:14} {outcome:9} {n:>9}" for (what, outcome), n in sorted(counts.items())]
    rate = f"{count / took_s:.0f} a second"
    lines.append(f"{name}: {count} inputs of seed {seed} in {took_s:.1f} s: {rate}, none broke")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

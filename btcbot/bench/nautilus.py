"""NautilusTrader on the same kind of quotes, in its own interpreter; only where it is installed."""

import subprocess
from pathlib import Path

from btcbot.bench.pairs import BenchError

SCRIPT = Path(__file__).with_name("nautilus_quotes.txt")


def quotes_a_second(python: Path, count: int) -> float:
    """Return what NautilusTrader's engine does with a Python EMA cross, in quotes a second."""
    done = subprocess.run(
        [str(python), "-c", SCRIPT.read_text(encoding="utf-8"), str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{python} could not run NautilusTrader: {done.stderr[-500:]}")
    return float(done.stdout.split()[-1])

"""Play a file of one-minute candles in a backtest and in the naive one of the tests.

    .venv/bin/python scripts/second_opinion.py FILE.csv[.gz]

Ends with an AssertionError where they differ by one unit. A month takes some minutes.
"""

import gzip
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.backtest import test_second_opinion as second


def main() -> None:
    given = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        tape = given
        if given.suffix == ".gz":
            tape = Path(folder) / given.stem
            tape.write_bytes(gzip.decompress(given.read_bytes()))
        for case in (second.held("0.005"), second.crossed(200, 1_000, "0.0001")):
            result = second.assert_same_over_candles(case, tape)
            print(f"{case[0]}: {len(result.fills)} fills of {result.events} events, the same")


if __name__ == "__main__":
    main()

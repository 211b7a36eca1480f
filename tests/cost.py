"""A yardstick for what decisions cost: decimal calculations, so that any machine may judge them."""

from decimal import Decimal
from time import process_time

YARDSTICK = 2_000


def calculation_s() -> float:
    """Return the CPU time of one calculation as decisions are made of: read, multiply, round."""
    before = process_time()
    for _ in range(YARDSTICK):
        (Decimal("12345.678") * Decimal("0.0123")).quantize(Decimal("0.01"))
    return (process_time() - before) / YARDSTICK

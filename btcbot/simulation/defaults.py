"""What the sandbox exchange is unless told otherwise; documented, opens nothing real."""

from decimal import Decimal
from typing import Final

from btcbot.domain.ids import Asset, Pair

HOST: Final = "127.0.0.1"
PORT: Final = 8790
API_KEY: Final = "sandbox-key"
API_SECRET: Final = "c2FuZGJveC1zZWNyZXQtb3BlbnMtbm90aGluZy1lbHNl"  # noqa: S105 - documented
BALANCES: Final = {
    Asset("TRY"): Decimal(100_000),
    Asset("BTC"): Decimal("0.02"),
    Asset("ETH"): Decimal("0.3"),
    Asset("USDT"): Decimal(1_000),
}
# About what they cost in 2026; a recording in another currency is scaled to begin here.
START_PRICES: Final = {
    Pair("BTCTRY"): Decimal(4_000_000),
    Pair("ETHTRY"): Decimal(150_000),
    Pair("USDTTRY"): Decimal("45.200"),
    Pair("BTCUSDT"): Decimal(88_500),
}
USDTTRY: Final = Pair("USDTTRY")

"""BTCTurk's answers about money held and moved: balances, deposits, withdrawals; exact."""

import msgspec
from msgspec import Raw, Struct

from btcbot.btcturk.grammar import (
    Count,
    Id,
    Millis,
    WireError,
    balance,
    decoded,
    json_number,
    number,
)
from btcbot.btcturk.wire import Reply, Symbol
from btcbot.domain.ids import Asset
from btcbot.domain.messages import AssetBalance
from btcbot.domain.money import Amount


class BalanceRow(Struct, frozen=True, kw_only=True):
    """One asset as the exchange has it; `locked` is what orders and withdrawals hold."""

    asset: Asset
    name: str
    total: Amount
    free: Amount
    locked: Amount
    in_orders: Amount | None
    in_withdrawals: Amount | None
    precision: int | None
    at_ms: int | None


class Transfer(Struct, frozen=True, kw_only=True):
    """A deposit or withdrawal; `amount` is negative when it left, fee and tax are costs."""

    id: int
    kind: str  # "deposit", "withdrawal".
    asset: Asset
    at_ms: int
    amount: Amount
    fee: Amount
    tax: Amount
    address: str | None  # None for money of a bank.
    tag: str | None
    tx_hash: str | None
    confirmations: int | None
    is_confirmed: bool


class _Balance(Struct):
    asset: Symbol
    balance: str
    free: str
    locked: str
    assetname: str = ""
    orderFund: str | None = None  # noqa: N815
    requestFund: str | None = None  # noqa: N815
    precision: Count | None = None
    timestamp: Millis | None = None


class _Transfer(Struct):
    id: Id
    balanceType: str  # noqa: N815
    currencySymbol: Symbol  # noqa: N815
    timestamp: Millis
    amount: str
    fee: str
    tax: str
    isConfirmed: bool  # noqa: N815
    address: str | None = None
    tag: str | None = None
    txHash: str | None = None  # noqa: N815
    confirmationCount: Count | None = None  # noqa: N815
    preciseAmount: Raw = Raw(b"null")  # noqa: N815 - newer answers have it


_balances = msgspec.json.Decoder(Reply[list[_Balance]]).decode
_transfers = msgspec.json.Decoder(Reply[list[_Transfer]]).decode


def balances(body: bytes) -> tuple[AssetBalance, ...]:
    """Return every balance that is not empty, by asset. Raises WireError.

    Free and locked must make the total: a reading amid an update does not count.
    """
    rows = sorted(balance_rows(body), key=lambda row: row.asset)
    return tuple(
        AssetBalance(row.asset, row.total, row.free) for row in rows if row.total or row.free
    )


def balance_rows(body: bytes) -> tuple[BalanceRow, ...]:
    """Return every balance with all that is told of it, as it comes. Raises WireError."""
    return tuple(_balance_row(row) for row in decoded(_balances, body).data)


def transfers(body: bytes) -> tuple[Transfer, ...]:
    """Return deposits and withdrawals, of coins or of money. Raises WireError."""
    return tuple(_transfer(row) for row in decoded(_transfers, body).data)


def _balance_row(row: _Balance) -> BalanceRow:
    try:
        total, free, locked = balance(row.balance), balance(row.free), balance(row.locked)
        parts = [
            None if value is None else Amount(balance(value))
            for value in (row.orderFund, row.requestFund)
        ]
    except WireError as error:
        raise WireError(f"balance of {row.asset}: {error}") from None
    if free + locked != total:
        raise WireError(f"balance of {row.asset}: free {free} + locked {locked} is not {total}")
    return BalanceRow(
        asset=Asset(row.asset),
        name=row.assetname,
        total=Amount(total),
        free=Amount(free),
        locked=Amount(locked),
        in_orders=parts[0],
        in_withdrawals=parts[1],
        precision=row.precision,
        at_ms=row.timestamp,
    )


def _transfer(row: _Transfer) -> Transfer:
    is_precise = bytes(row.preciseAmount) != b"null"
    return Transfer(
        id=row.id,
        kind=row.balanceType,
        asset=Asset(row.currencySymbol),
        at_ms=row.timestamp,
        amount=Amount(json_number(row.preciseAmount) if is_precise else number(row.amount)),
        fee=Amount(abs(number(row.fee))),
        tax=Amount(abs(number(row.tax))),
        address=row.address,
        tag=row.tag,
        tx_hash=row.txHash,
        confirmations=row.confirmationCount,
        is_confirmed=row.isConfirmed,
    )

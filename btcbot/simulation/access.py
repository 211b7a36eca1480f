"""Which calls a key of the sandbox opens: permissions are separate, as on the exchange."""

from collections.abc import Iterable
from typing import Final, Protocol

from msgspec import Struct

FUNDS, TRADE, ACCOUNT, WEBSOCKET = "funds", "trade", "account", "websocket"
PERMISSIONS: Final = (FUNDS, TRADE, ACCOUNT, WEBSOCKET)
_BY_PATH: Final = {
    "/api/v1/users/balances": FUNDS,
    "/api/v1/users/transactions/trade": ACCOUNT,
    "/api/v1/users/transactions/trade/": ACCOUNT,
    "/api/v1/users/transactions/crypto": ACCOUNT,
    "/api/v1/users/transactions/fiat": ACCOUNT,
}


class Keys(Protocol):
    """A public key and its secret."""

    @property
    def key(self) -> str: ...

    def sign(self, stamp: int, /) -> str: ...


class Access(Struct, frozen=True):
    """One key and what it may do."""

    keys: Keys
    permissions: frozenset[str] = frozenset(PERMISSIONS)

    def may_call(self, path: str) -> bool:
        """Return whether the key opens a private path."""
        return _BY_PATH.get(path, TRADE) in self.permissions


def permissions_of(names: Iterable[str]) -> frozenset[str]:
    """Return the permissions of these names. Raises ValueError for one that does not exist."""
    found = frozenset(name.strip() for name in names if name.strip())
    if unknown := sorted(found - set(PERMISSIONS)):
        raise ValueError(f"no permission {', '.join(unknown)}; allowed: {', '.join(PERMISSIONS)}")
    return found

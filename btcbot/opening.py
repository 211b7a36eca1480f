"""What a life of execution opens once it has its place: key, journal, and whose account it is.

A journal belongs to one account on one exchange. Orders, fills and money of another would be taken
for ours, so another one is refused until a person says that it is meant.
"""

import logging
from hashlib import blake2b
from typing import Final, TypeAlias

from msgspec import Struct, convert

from btcbot.config import Config
from btcbot.domain.ids import Asset, instance_tag
from btcbot.layers import ConfigError
from btcbot.orders.recovery import Recovered, desk_of
from btcbot.orders.state import Desk, GateLimits, Setup
from btcbot.secret import Secret, read_secret
from btcbot.store.database import StoreBusy, StoreError
from btcbot.store.migrate import migrate
from btcbot.store.writer import Writer

log = logging.getLogger("btcbot.execution")
OWN_SANDBOX: Final = "sandbox of this home"
PAPER: Final = "paper exchange of this home"


Keys: TypeAlias = tuple[Secret, Secret]  # Key and secret.


class Identity(Struct, frozen=True):
    """Which exchange, and which account there; the key itself is not in it."""

    exchange: str
    account: str


class Opened(Struct, frozen=True, kw_only=True):
    """A verified journal, the desk that stands in it, and the key that signs; paper needs none."""

    writer: Writer
    desk: Desk
    keys: Keys | None


def open_desk(config: Config, now_ns: int) -> Opened:
    """Return what a new life needs; only the holder of the place may ask.

    Raises ConfigError where no restart would help (a damaged or foreign journal), SecretError for a
    key that may not be used.
    """
    keys = keys_of(config)
    writer = open_journal(config)
    try:
        found = writer.reader.recover()
        identity = identity_of(config, keys)
        refuse_foreign(config, found, identity)
        tag = found.instance or instance_tag(f"{config.home}|{now_ns}")
        desk = desk_of(setup_of(config, tag, identity), found)
    except BaseException:
        writer.close()
        raise
    writer.epoch = desk.epoch
    return Opened(writer=writer, desk=desk, keys=keys)


def open_journal(config: Config) -> Writer:
    """Return the verified journal, of the newest schema. Raises ConfigError: no restart mends it.

    Raises StoreBusy when another process writes it.
    """
    try:
        kept = migrate(config.database)
        if kept is not None:
            log.warning("journal_migrated", extra={"path": str(config.database), "kept": str(kept)})
        writer = Writer(str(config.database))
    except StoreBusy:
        raise
    except StoreError as error:
        raise ConfigError(str(error)) from None
    try:
        writer.verify()
    except StoreError as error:
        writer.close()
        raise ConfigError(str(error)) from None
    return writer


def keys_of(config: Config) -> Keys | None:
    """Return the key and its secret; None where orders go to no exchange. Raises SecretError."""
    if config.is_paper:
        return None
    key_file, secret_file = config.key_files
    return read_secret(key_file), read_secret(secret_file)


def identity_of(config: Config, keys: Keys | None) -> Identity:
    """Return whose account `keys` open, as far as that can be told without asking.

    Our own sandbox is one exchange whatever its port: its accounts lie in this home. So does the
    one account of the paper exchange, which knows no key.
    """
    if keys is None:
        return Identity(PAPER, "paper")
    digest = blake2b(keys[0].reveal().encode(), digest_size=8, person=b"btcbot-account")
    exchange = OWN_SANDBOX if config.owns_sandbox else config.addresses.rest
    return Identity(exchange, digest.hexdigest())


def refuse_foreign(config: Config, found: Recovered, now: Identity) -> None:
    """Raise ConfigError unless this journal is of `now`, or of nobody yet."""
    bound = found.bound
    if bound is None or (bound.exchange, bound.account) == (now.exchange, now.account):
        return
    raise ConfigError(
        f"{config.database}: belongs to account {bound.account} on {bound.exchange}; configured is "
        f"account {now.account} on {now.exchange}. Set exchange.rest_url and exchange.api_key_file "
        "back, or choose another --home. Only if this is the same account under a new key or "
        "address: btcbot account move --reason TEXT"
    )


def setup_of(config: Config, tag: str, identity: Identity) -> Setup:
    """Return what `config` fixes for a life of execution."""
    return Setup(
        tag=tag,
        mode=config.mode,
        pairs=config.pairs,
        bounds=config.orders,
        fees={asset: config.fees(asset) for asset in (Asset("TRY"), Asset("USDT"))},
        gate=convert(config.risk, GateLimits, from_attributes=True),
        exchange=identity.exchange,
        account=identity.account,
    )

"""The addresses of an exchange, and what may be set for one."""

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

HTTP, WEBSOCKET = ("http", "https"), ("ws", "wss")  # The plain scheme and the encrypted one.
SCHEMES = {"rest_url": HTTP, "graph_url": HTTP, "ws_url": WEBSOCKET}


class Addresses(Struct, frozen=True):
    """Base addresses of one exchange: no path but the WebSocket's."""

    rest: str
    graph: str
    ws: str


BTCTURK = Addresses(
    "https://api.btcturk.com", "https://graph-api.btcturk.com", "wss://ws-feed-pro.btcturk.com"
)


def problems(mode: str, given: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with `given`, by the names of SCHEMES; "" is one that was not set."""
    missing = [name for name in SCHEMES if not given[name]]
    for name, schemes in SCHEMES.items():
        address = given[name]
        if address and (wrong := _wrong(mode, address, schemes)):
            yield f"exchange.{name} = {_shown(address)!r}: {wrong}"
        elif address and name != "rest_url" and mode == "sandbox" and "rest_url" in missing:
            yield f"exchange.{name} = {address!r}: set exchange.rest_url too, or neither"
    # The prices of one exchange and the orders of another.
    if mode != "sandbox" and 0 < len(missing) < len(SCHEMES):
        name = next(name for name in SCHEMES if given[name])
        yield (
            f"exchange.{name} = {_shown(given[name])!r}: mode = {mode!r} wants all three addresses "
            f"or none; not set: {', '.join(missing)}"
        )


def problems_of_model(url: str, *, has_prices: bool) -> Iterator[str]:
    """Yield what would send the model's key in the clear, or leave its cost uncounted."""
    parts = urlsplit(url)
    if parts.scheme not in HTTP or not parts.hostname or "@" in parts.netloc:
        yield f"agent.url = {_shown(url)!r}: expected http:// or https://HOST/PATH, without a user"
        return
    if _is_loopback(url):
        return
    if parts.scheme != "https":
        yield f"agent.url = {url!r}: expected https:// for a host that is not this one"
    if not has_prices:
        yield (
            f"agent.url = {url!r}: a model elsewhere costs money; set what a million tokens cost: "
            "agent.money_per_mtok_in and agent.money_per_mtok_out"
        )


def _wrong(mode: str, address: str, schemes: tuple[str, str]) -> str:
    """Return what is wrong with one address; "" when nothing is."""
    plain, encrypted = schemes
    if not _is_address(address, schemes):
        path = "" if schemes == HTTP else " and a path"
        return f"expected {plain}:// or {encrypted}://HOST, with at most a port{path}"
    if "@" in urlsplit(address).netloc:
        return "expected no user and no password; the key is in files (exchange.api_key_file)"
    if _is_loopback(address):
        return ""
    if mode == "sandbox":
        return (
            "mode = 'sandbox' takes loopback addresses only (127.0.0.1); it never reaches another "
            "host"
        )
    if urlsplit(address).scheme == plain:
        return f"expected {encrypted}://; what is signed goes unencrypted to loopback only"
    return ""


def _is_address(address: str, schemes: tuple[str, str]) -> bool:
    """Return whether `address` is a base address that our clients can use."""
    try:
        parts = urlsplit(address)
        _ = parts.port  # Raises for one that no port can be.
    except ValueError:
        return False
    has_more = parts.query or parts.fragment or (schemes == HTTP and parts.path.strip("/"))
    return parts.scheme in schemes and bool(parts.hostname) and not has_more


def _shown(address: str) -> str:
    """Return `address` without a user and a password that somebody may have put there."""
    head, slashes, rest = address.rpartition("//")
    return head + slashes + ("***@" + rest.rpartition("@")[2] if "@" in rest else rest)


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

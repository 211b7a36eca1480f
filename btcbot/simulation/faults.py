"""What goes wrong with each request and each frame of an exchange: drawn from a seed, and pure.

A profile says how often; `Faults` draws what becomes of the next request. Whoever carries requests
and frames (`troubled.py` over real sockets) lets it happen, and tells the time; nothing here waits.
"""

import random
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

# A third of `[orders] absence_wait_s`, which is 60 unless set: an honest exchange is no slower to
# show an order, so that whoever waits that long may take it for absent.
HIDDEN_MAX_S: Final = 20.0
FOREVER_S: Final = 600.0  # No client waits longer.
BEYOND_S: Final = (70.0, 140.0)
Rate = Annotated[float, Meta(ge=0, le=1)]
Hidden = Annotated[float, Meta(ge=0, le=HIDDEN_MAX_S)]
Seconds = Annotated[float, Meta(ge=0, le=FOREVER_S)]


class Spell(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes once in each `every_s` and then lasts `lasts_s` seconds; 0 and 0: never."""

    every_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    lasts_s: Annotated[float, Meta(ge=0, le=3_600)] = 0.0

    def __post_init__(self) -> None:
        if (self.every_s > 0) is not (self.lasts_s > 0) or self.lasts_s > self.every_s:
            raise ValueError(
                f"every_s = {self.every_s}, lasts_s = {self.lasts_s}: expected both 0, or both "
                "above 0 and lasts_s no longer than every_s"
            )


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what goes wrong: rates are from 0 to 1 of what they are named for."""

    latency_s: Annotated[float, Meta(ge=0, le=5)] = 0.0  # One way, at the most.
    # Orders sent. What follows an acceptance is UNKNOWN to the sender, and the order lives.
    submit_lost: Rate = 0.0  # It never arrives, and the connection stays silent.
    submit_reset: Rate = 0.0  # The connection breaks before it arrives.
    submit_stalled: Rate = 0.0  # It arrives 1 to 9 s late: its stamp is judged then.
    submit_slow: Rate = 0.0  # Accepted up to `accept_max_s` after it arrived.
    accept_max_s: Hidden = 10.0
    submit_silent: Rate = 0.0  # Accepted; no answer, ever.
    submit_late: Rate = 0.0  # Accepted; the answer comes 4 to `answer_max_s` later.
    answer_max_s: Annotated[float, Meta(ge=4, le=FOREVER_S)] = 60.0
    submit_garbled: Rate = 0.0  # Accepted; 504, HTML, an empty 200, broken JSON, a new code.
    submit_stray: Rate = 0.0  # Accepted; the answer names another order.
    submit_cut: Rate = 0.0  # Accepted; the connection breaks.
    submit_beyond: Rate = 0.0  # Accepted 70 to 140 s late: no bot can bear it; it must halt.
    # Cancels.
    cancel_lost: Rate = 0.0  # Nothing is cancelled; the answer says 200, or never comes.
    cancel_blocked: Rate = 0.0  # ORDER_CANCEL_BLOCKED.
    cancel_slow_s: Hidden = 0.0  # From a cancel's 200 to the order's end.
    # Reads.
    read_fails: Rate = 0.0  # Reset, no answer, HTML, empty, 503.
    read_slow: Rate = 0.0  # The answer takes 0.5 to 6 s more.
    read_stale: Rate = 0.0  # A list of orders as it was up to 10 s ago.
    read_short: Rate = 0.0  # A list of orders that lacks rows which are there.
    read_limited: Rate = 0.0  # 429, with Retry-After.
    fills_lag_s: Hidden = 0.0  # Until own trades are listed.
    lists_lag_s: Hidden = 0.0  # Until lists show a new order.
    # Frames of the private socket, and differences of books.
    frames_lost: Rate = 0.0
    frames_repeated: Rate = 0.0
    frames_late: Rate = 0.0  # 0.2 to 5 s later, and so out of order.
    books_lost: Rate = 0.0
    books_repeated: Rate = 0.0
    # Spells.
    limited: Spell = Spell()  # 429 to every read.
    maintenance: Spell = Spell()  # 503 with a page of HTML to everything, sockets closed.
    silence: Spell = Spell()  # Sockets stay open, answer pings, and say nothing.
    cuts: Spell = Spell()  # Every socket is broken off, without a closing frame, at its start.
    # The exchange's clock, ahead of ours.
    clock_offset_s: Annotated[float, Meta(ge=-10, le=10)] = 0.0


PRESETS: Final = {
    "calm": Profile(latency_s=0.05, cancel_slow_s=0.2, fills_lag_s=0.5),
    "flaky": Profile(
        latency_s=0.1, submit_lost=0.01, submit_reset=0.01, submit_slow=0.02, accept_max_s=5.0,
        submit_silent=0.01, submit_late=0.01, submit_garbled=0.02, submit_cut=0.01,
        cancel_lost=0.02, cancel_slow_s=1.0, read_fails=0.02, read_slow=0.02, read_limited=0.01,
        fills_lag_s=2.0, lists_lag_s=1.0, frames_lost=0.05, frames_repeated=0.02,
        frames_late=0.05, books_lost=0.005, cuts=Spell(every_s=120.0, lasts_s=1.0),
        clock_offset_s=0.2,
    ),
    "hostile": Profile(
        latency_s=0.15, submit_lost=0.05, submit_reset=0.05, submit_stalled=0.05,
        submit_slow=0.1, submit_silent=0.05, submit_late=0.1, submit_garbled=0.1,
        submit_stray=0.02, submit_cut=0.05, cancel_lost=0.1, cancel_blocked=0.05,
        cancel_slow_s=2.0, read_fails=0.05, read_slow=0.05, read_stale=0.05, read_short=0.03,
        read_limited=0.02, fills_lag_s=5.0, lists_lag_s=3.0, frames_lost=0.1,
        frames_repeated=0.1, frames_late=0.1, books_lost=0.02, books_repeated=0.02,
        limited=Spell(every_s=60.0, lasts_s=2.0), maintenance=Spell(every_s=90.0, lasts_s=4.0),
        silence=Spell(every_s=60.0, lasts_s=8.0), cuts=Spell(every_s=45.0, lasts_s=1.0),
        clock_offset_s=1.0,
    ),
    "maintenance": Profile(
        latency_s=0.05, cancel_blocked=0.1, maintenance=Spell(every_s=120.0, lasts_s=30.0)
    ),
}  # fmt: skip

Kind = Literal["submit", "cancel", "read"]
FrameKind = Literal["private", "book", "other"]
End = Literal["whole", "silent", "cut", "garbled", "stray", "limited", "blocked", "down", "done"]


class Fate(Struct, frozen=True):
    """What becomes of one request; the fields are in the order in which it happens."""

    name: str
    arrives_s: float = 0.0  # Then its stamp and signature are judged.
    is_heard: bool = True  # By the exchange: else nothing comes of it.
    accepted_s: float = 0.0  # After it arrived.
    answered_s: float = 0.0  # After that.
    end: End = "whole"  # What the sender gets.
    edit: Literal["", "stale", "short"] = ""  # Of a list of orders.


class Told(Struct, frozen=True):
    """An answer in the place of the exchange's own."""

    status: int
    body: bytes
    headers: dict[str, str] = {}


HTML: Final = {"Content-Type": "text/html"}
GARBLED: Final = (
    Told(504, b"<html><body>504 Gateway Time-out</body></html>", HTML),
    Told(502, b""),
    Told(200, b""),
    Told(200, b"<html><body>Access denied</body></html>", HTML),
    Told(200, b'{"success": true, "data": {"id": '),
    Told(500, b'{"data":null,"success":false,"message":"SYSTEM_ERROR","code":1000}'),
    Told(200, b'{"success": true, "message": "SUCCESS", "code": 0, "data": null}'),
    Told(400, b'{"data":null,"success":false,"message":"FAILED_FOR_A_NEW_REASON","code":9999}'),
)
DOWN: Final = Told(503, b"<html><body>maintenance</body></html>", HTML)
LIMITED: Final = Told(
    429,
    b'{"message":"TOO_MANY_REQUESTS","success":false,"data":null,"code":429}',
    {"Retry-After": "2"},
)
BLOCKED: Final = Told(
    400, b'{"data":null,"success":false,"message":"ORDER_CANCEL_BLOCKED","code":1231}'
)
DONE: Final = Told(200, b'{"success":true,"message":"SUCCESS","code":0}')
STRAY: Final = Told(
    200,
    b'{"data":{"id":1,"datetime":1700000000000,"type":"Buy","method":"Limit","price":"1.0",'
    b'"stopPrice":"0","quantity":"1.0","pairSymbol":"BTCTRY","pairSymbolNormalized":"BTC_TRY",'
    b'"newOrderClientId":"of-another-order"},"success":true,"message":"SUCCESS","code":0}',
)
TOLD: Final[dict[End, Told]] = {
    "down": DOWN, "limited": LIMITED, "blocked": BLOCKED, "done": DONE, "stray": STRAY,
}  # fmt: skip
_FAILURES: Final[tuple[End, ...]] = ("cut", "silent", "garbled", "down")


class Faults:
    """Draws fates, one after the other: the same for the same seed and the same requests.

    Times are seconds since the exchange began.
    """

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self._seed = seed
        self._requests = random.Random(f"{seed}|requests")
        self._frames = random.Random(f"{seed}|frames")

    def of(self, kind: Kind, now_s: float) -> Fate:
        """Return what becomes of a request that is sent now."""
        way_s = self._requests.uniform(0, self.profile.latency_s)
        if self.is_on("maintenance", now_s):
            return Fate("maintenance", way_s, is_heard=False, end="down")
        make = {"submit": self._submit, "cancel": self._cancel, "read": self._read}[kind]
        return make(way_s, now_s)

    def is_on(self, name: str, now_s: float) -> bool:
        """Return whether a spell lasts now; where in its time it begins is drawn from the seed."""
        spell: Spell = getattr(self.profile, name)
        if not spell.every_s:
            return False
        number, into_s = divmod(now_s, spell.every_s)
        draw = random.Random(f"{self._seed}|{name}|{int(number)}")
        begins_s = draw.uniform(0, spell.every_s - spell.lasts_s)
        return begins_s <= into_s < begins_s + spell.lasts_s

    def of_frame(self, kind: FrameKind, now_s: float) -> Sequence[float]:
        """Return after how many seconds each copy of a frame is sent; empty: it is lost."""
        if self.is_on("silence", now_s):
            return ()
        if kind == "other":
            return (0.0,)
        profile, draw = self.profile, self._frames
        is_private = kind == "private"
        if draw.random() < (profile.frames_lost if is_private else profile.books_lost):
            return ()
        late_s = draw.uniform(0.2, 5) if is_private else 0.0
        after_s = late_s if draw.random() < profile.frames_late else 0.0
        repeated = profile.frames_repeated if is_private else profile.books_repeated
        return (after_s, after_s) if draw.random() < repeated else (after_s,)

    def garbled(self) -> Told:
        """Return something that may follow an order which was accepted."""
        return self._requests.choice(GARBLED)

    def shortened(self, body: bytes) -> bytes:
        """Return a list of orders without some of its rows; what is no list, as it is."""
        try:
            found = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return body
        listed = found.get("data") if isinstance(found, dict) else None
        sides = list(listed.values()) if isinstance(listed, dict) else [listed]
        for rows in sides:
            if isinstance(rows, list):
                rows[:] = [row for row in rows if self._requests.random() < 0.5]
        return msgspec.json.encode(found)

    def _submit(self, way_s: float, _now_s: float) -> Fate:
        draw, profile = self._requests, self.profile
        if draw.random() < profile.submit_beyond:
            return Fate("submit_beyond", way_s, accepted_s=draw.uniform(*BEYOND_S), end="silent")
        if draw.random() < profile.submit_stalled:
            return Fate("submit_stalled", draw.uniform(1, 9), answered_s=way_s)
        slow_s = draw.uniform(0, profile.accept_max_s)
        is_slow = draw.random() < profile.submit_slow
        accepted_s = slow_s if is_slow else 0.0
        late_s = draw.uniform(4, profile.answer_max_s)
        ends = {
            "submit_lost": Fate("submit_lost", way_s, is_heard=False, end="silent"),
            "submit_reset": Fate("submit_reset", way_s, is_heard=False, end="cut"),
            "submit_silent": Fate("submit_silent", way_s, accepted_s=accepted_s, end="silent"),
            "submit_late": Fate("submit_late", way_s, accepted_s=accepted_s, answered_s=late_s),
            "submit_garbled": Fate("submit_garbled", way_s, accepted_s=accepted_s, end="garbled"),
            "submit_stray": Fate("submit_stray", way_s, accepted_s=accepted_s, end="stray"),
            "submit_cut": Fate("submit_cut", way_s, accepted_s=accepted_s, end="cut"),
        }
        for name, fate in ends.items():
            if draw.random() < getattr(profile, name):
                return fate
        name = "submit_slow" if is_slow else "well"
        return Fate(name, way_s, accepted_s=accepted_s, answered_s=way_s)

    def _cancel(self, way_s: float, _now_s: float) -> Fate:
        draw, profile = self._requests, self.profile
        if draw.random() < profile.cancel_lost:
            end: End = "done" if draw.random() < 0.5 else "cut"
            return Fate("cancel_lost", way_s, is_heard=False, end=end)
        if draw.random() < profile.cancel_blocked:
            return Fate("cancel_blocked", way_s, is_heard=False, end="blocked")
        return self._failing(way_s) or Fate("well", way_s, answered_s=self._extra(way_s))

    def _read(self, way_s: float, now_s: float) -> Fate:
        draw, profile = self._requests, self.profile
        if draw.random() < profile.read_limited or self.is_on("limited", now_s):
            return Fate("read_limited", way_s, is_heard=False, end="limited")
        if failing := self._failing(way_s):
            return failing
        answered_s = self._extra(way_s)
        if draw.random() < profile.read_stale:
            return Fate("read_stale", way_s, answered_s=answered_s, edit="stale")
        if draw.random() < profile.read_short:
            return Fate("read_short", way_s, answered_s=answered_s, edit="short")
        return Fate("well" if answered_s <= way_s else "read_slow", way_s, answered_s=answered_s)

    def _failing(self, way_s: float) -> Fate | None:
        """Return a request that fails on its way there, or on its way back; None: it does not."""
        draw = self._requests
        if draw.random() >= self.profile.read_fails:
            return None
        return Fate("read_fails", way_s, is_heard=draw.random() < 0.5, end=draw.choice(_FAILURES))

    def _extra(self, way_s: float) -> float:
        draw = self._requests
        return way_s + (draw.uniform(0.5, 6) if draw.random() < self.profile.read_slow else 0.0)

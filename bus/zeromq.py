"""ZeroMQ over Unix sockets: one PUB and one ROUTER bound per actor, a SUB or DEALER per peer.

One SUB per source, so that what arrives is known to come from it whatever the bytes say. What is
published is one part, topic NUL frame: each part is one more call to receive, on the path of every
tick. A second
process that binds an ipc path steals it silently, so each bound path has a lock file held for life.
Options that matter: bounded queues, LINGER 0, IMMEDIATE (nothing is queued for an absent peer),
ROUTER_MANDATORY (an unknown peer is an error, not a silence), ROUTER_HANDOVER (who comes back is
heard), NOBLOCK on every send.
"""

import fcntl
import logging
import os
import select
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zmq

from bus.actor import BEAT_TOPIC, FACT_TOPIC, Actor
from bus.envelope import FRAME_MAX

log = logging.getLogger("btcbot.bus")
Again = zmq.Again

QUEUE_MAX = 10_000
RECONNECT_MS = 10
DRAIN_MAX = 1_000
SIZE_MAX = 2 * FRAME_MAX  # ZeroMQ itself hangs up on more; up to here a frame is counted and kept.
PATH_MAX = 100


class EndpointError(Exception):
    """An endpoint that cannot or may not be used; says which and what to do."""


class Locked(EndpointError):
    """Another live process has this actor's place."""


class Sockets:
    """All sockets of one actor; a `Port` for its shell."""

    def __init__(self, actor: Actor[object], run: Path, epoch: int) -> None:
        check_folder(run)
        self._locks = _locked(run / f"{actor.name}.pub.lock", run / f"{actor.name}.req.lock")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._bound_paths: dict[Path, tuple[int, int]] = {}  # With the file that was made there.
        self.pub = self._bound(zmq.PUB, run / f"{actor.name}.pub")
        self.router = self._bound(zmq.ROUTER, run / f"{actor.name}.req")
        self.subs: dict[str, zmq.Socket[bytes]] = {}
        self.dealers: dict[str, zmq.Socket[bytes]] = {}
        self.unsent = 0
        self._subscribe(actor, run)
        # Who folds facts asks their writer for what it missed, whether or not it asks for more.
        writers = [hears.source for hears in actor.hears if hears.topic == FACT_TOPIC]
        for to in dict.fromkeys((*actor.asks, *writers)):
            self._connect_dealer(run / f"{to}.req", to, f"{actor.name}/{epoch}")

    @property
    def descriptors(self) -> list[int]:
        """What an event loop watches: one descriptor a socket, edge-triggered."""
        return [int(socket.getsockopt(zmq.FD)) for socket in self.all]

    @property
    def all(self) -> list["zmq.Socket[bytes]"]:
        """Every socket that frames arrive on."""
        return [*self.subs.values(), self.router, *self.dealers.values()]

    def check_paths(self) -> None:
        """Raise EndpointError when a bound path is no longer the file this process made there."""
        for path, made in self._bound_paths.items():
            if _file_at(path) != made:
                raise EndpointError(
                    f"{path}: another process took or removed it; nobody can reach this actor"
                )

    # --- the port -----------------------------------------------------------------------------

    def publish(self, topic: str, frame: bytes) -> None:
        self.pub.send(b"%b\0%b" % (topic.encode(), frame), zmq.NOBLOCK)

    def ask(self, to: str, frame: bytes) -> bool:
        try:
            self.dealers[to].send(frame, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return self._unsent(error)
        return True

    def answer(self, address: bytes, frame: bytes) -> bool:
        try:
            self.router.send_multipart((address, frame), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return self._unsent(error)
        return True

    def _unsent(self, error: zmq.ZMQError) -> bool:
        """Count a frame that nobody could take. Raises any other error."""
        if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
            raise error
        self.unsent += 1
        return False

    def close(self) -> None:
        """Close everything and remove the paths; the locks go last."""
        for socket in (self.pub, *self.all):
            socket.close(linger=0)
        for path, made in self._bound_paths.items():
            if _file_at(path) == made:
                path.unlink(missing_ok=True)
        self._context.term()
        for descriptor in self._locks:
            os.close(descriptor)

    # --- making -------------------------------------------------------------------------------

    def _made(self, kind: int) -> "zmq.Socket[bytes]":
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, QUEUE_MAX)
        socket.setsockopt(zmq.RCVHWM, QUEUE_MAX)
        socket.setsockopt(zmq.MAXMSGSIZE, SIZE_MAX)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 0)
        return socket

    def _bound(self, kind: int, path: Path) -> "zmq.Socket[bytes]":
        socket = self._made(kind)
        if kind == zmq.ROUTER:
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
            # A peer whose connection broke comes back under its name before the old one is gone
            # here; without this it would be connected and silently unheard for good.
            socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        others = os.umask(0o077)
        try:
            socket.bind(endpoint(path))
        finally:
            os.umask(others)
        made = _file_at(path)
        assert made is not None, f"{path}: bound, and not there"
        self._bound_paths[path] = made
        return socket

    def _subscribe(self, actor: Actor[object], run: Path) -> None:
        sources = dict.fromkeys(
            (*(hears.source for hears in actor.hears), *actor.needs, *actor.watches)
        )
        for source in sources:
            sub = self.subs[source] = self._made(zmq.SUB)
            topics = (hears.topic for hears in actor.hears if hears.source == source)
            for topic in dict.fromkeys((BEAT_TOPIC, *topics)):
                sub.setsockopt(zmq.SUBSCRIBE, topic.encode())
            sub.connect(endpoint(run / f"{source}.pub"))

    def _connect_dealer(self, path: Path, to: str, identity: str) -> None:
        dealer = self._made(zmq.DEALER)
        dealer.setsockopt(zmq.IDENTITY, identity.encode())
        dealer.setsockopt(zmq.IMMEDIATE, 1)
        dealer.connect(endpoint(path))
        self.dealers[to] = dealer


def endpoint(path: Path) -> str:
    """Return the ipc endpoint of `path`. Raises EndpointError when the kernel would not take it."""
    if ":" in path.parts[0]:  # A Path has lost a slash of "tcp://host:port".
        raise EndpointError(
            f"{path}: a network address; allowed is a folder of this machine, because frames on a"
            " network would need keys that this version does not have"
        )
    if len(os.fsencode(path)) > PATH_MAX:
        raise EndpointError(f"{path}: over {PATH_MAX} bytes; choose a shorter home")
    return f"ipc://{path}"


def check_folder(run: Path) -> None:
    """Make `run` 0700. Raises EndpointError when it is another user's or not a folder."""
    endpoint(run)
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = run.stat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise EndpointError(f"{run}: must be a folder of uid {os.geteuid()}, not {about.st_uid}")
    if stat.S_IMODE(about.st_mode) & 0o077:
        raise EndpointError(
            f"{run}: mode {about.st_mode & 0o777:o}; allowed is 700: chmod 700 {run}"
        )


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another; None when there is none."""
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return about.st_dev, about.st_ino


def lock(path: Path) -> int:
    """Hold `path` for the life of this process. Raises Locked when somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Locked(f"{path}: another process holds it; this actor already runs") from None
    return descriptor


def _locked(*paths: Path) -> list[int]:
    """Hold all of `paths`, or none. Raises Locked."""
    held: list[int] = []
    try:
        for path in paths:
            held.append(lock(path))  # noqa: PERF401 - what is held must be let go of
    except Locked:
        for descriptor in held:
            os.close(descriptor)
        raise
    return held


def poller(sockets: Iterable["zmq.Socket[bytes]"]) -> zmq.Poller:
    """Return a poller that wakes for anything to read on `sockets`."""
    made = zmq.Poller()
    for socket in sockets:
        made.register(socket, zmq.POLLIN)
    return made


def news_of(sockets: Iterable["zmq.Socket[bytes]"]) -> tuple[select.epoll, dict[int, Any]]:
    """Return what waits for news of sockets of which nothing waits to be read, and whose each is.

    A poller of ZeroMQ asks every socket twice, with a system call each. The kernel tells at once
    which has news, perhaps none of them a frame; but only news: what came before must have been
    read, and a look at each socket must have found nothing since a frame was last sent or taken.
    """
    waiter = select.epoll()
    known = {int(socket.getsockopt(zmq.FD)): socket for socket in sockets}
    for descriptor in known:
        waiter.register(descriptor, select.EPOLLIN)
    return waiter, known


def published(sub: "zmq.Socket[bytes]") -> bytes:
    """Return the next frame of a SUB, without its topic. Raises zmq.Again when none waits."""
    part = sub.recv(zmq.NOBLOCK)
    return part[part.find(0) + 1 :]  # All of it when there is no topic: for the codec to refuse.


def answered(dealer: "zmq.Socket[bytes]") -> bytes:
    """Return the next frame of a DEALER. Raises zmq.Again when none waits."""
    return dealer.recv(zmq.NOBLOCK)


def asked(router: "zmq.Socket[bytes]") -> tuple[bytes, bytes]:
    """Return who asks, and the frame, of the next request. Raises zmq.Again when none waits."""
    address, frame = router.recv(zmq.NOBLOCK), router.recv(zmq.NOBLOCK)
    while router.get(zmq.RCVMORE):  # Nobody of ours sends more; the last part is judged.
        frame = router.recv(zmq.NOBLOCK)
    return address, frame

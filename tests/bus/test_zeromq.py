"""ZeroMQ: real sockets, real files, and real processes where the claim is about processes."""

import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

from bus.actor import Actor, Hears
from bus.envelope import FRAME_MAX
from bus.journal import Entry, read, segments
from bus.runtime import Process
from bus.zeromq import (
    PATH_MAX,
    QUEUE_MAX,
    SIZE_MAX,
    Again,
    EndpointError,
    Locked,
    Sockets,
    asked,
    check_folder,
    endpoint,
    lock,
    poller,
    published,
)
from tests.bus import peer
from tests.bus.station import CODEC, Calibrate, Reading

EAR: Actor[Any] = Actor(
    name="ear", state=0, handle=peer.ear, asks=("mast",), needs=("mast", "buoy"),
    hears=(Hears(source="mast", topic="air."), Hears(source="mast", topic="fact")),
)  # fmt: skip
MAST: Actor[Any] = Actor(name="mast", state=0, handle=peer.mast)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Sockets]]:
    """Return a maker of sockets in one folder; they are closed at the end."""
    made: list[Sockets] = []

    def make(actor: Actor[Any], epoch: int = 1) -> Sockets:
        made.append(Sockets(actor, tmp_path / "run", epoch))
        return made[-1]

    yield make
    for sockets in made:
        sockets.close()


def until(met: Callable[[], Any], what: str, limit_s: float = 40) -> Any:
    """Wait for a condition; fail when it is not met in time."""
    deadline = time.monotonic() + limit_s
    while not (found := met()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.005)
    return found


def waiting(socket: Any, receive: Callable[[Any], Any]) -> list[Any]:
    """Return everything that waits on a socket."""
    found = []
    with suppress(Again):
        while True:
            found.append(receive(socket))
    return found


# --- files ------------------------------------------------------------------------------------


def test_paths_are_private_whatever_the_umask(
    opened: Callable[..., Sockets], tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        opened(MAST)
        assert os.umask(0) == 0  # Put back as it was.
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "run").iterdir()}
    assert sorted(modes) == ["mast.pub", "mast.pub.lock", "mast.req", "mast.req.lock"]
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700


def test_a_second_binder_is_refused_and_the_first_goes_on(
    opened: Callable[..., Sockets], tmp_path: Path
) -> None:
    first = opened(MAST)
    with pytest.raises(Locked, match=r"mast\.pub\.lock: another process holds it"):
        Sockets(MAST, tmp_path / "run", 2)
    first.check_paths()
    ear = opened(EAR)
    until(lambda: ear.ask("mast", b"x"), "the first is connected to")
    until(lambda: waiting(first.router, asked), "the first hears")


def test_a_taken_or_removed_path_is_noticed(opened: Callable[..., Sockets], tmp_path: Path) -> None:
    mast = opened(MAST)
    path = tmp_path / "run" / "mast.req"
    thief = mast._context.socket(zmq.ROUTER)
    thief.bind(f"ipc://{path}")  # ZeroMQ steals it without a word.
    with pytest.raises(EndpointError, match=r"mast\.req: another process took or removed it"):
        mast.check_paths()
    thief.close(linger=0)
    path.unlink(missing_ok=True)
    with pytest.raises(EndpointError, match="took or removed"):
        mast.check_paths()


def test_what_somebody_else_bound_is_not_removed_at_the_end(tmp_path: Path) -> None:
    sockets = Sockets(MAST, tmp_path / "run", 1)
    path = tmp_path / "run" / "mast.pub"
    path.unlink()
    path.touch()
    sockets.close()
    assert path.exists()
    assert not (tmp_path / "run" / "mast.req").exists()


@pytest.mark.parametrize(
    "where", ["tcp://10.0.0.1:5555", "tcp://*:5555/run", "ipc://x", "inproc://a"]
)
def test_an_address_on_a_network_is_refused_with_what_to_do(where: str) -> None:
    for refuse in (check_folder, endpoint):
        with pytest.raises(EndpointError, match="allowed is a folder of this machine"):
            refuse(Path(where))


def test_a_path_the_kernel_would_cut_is_refused(tmp_path: Path) -> None:
    longest = tmp_path / ("x" * (PATH_MAX - len(str(tmp_path)) - 1))
    assert endpoint(longest) == f"ipc://{longest}"
    with pytest.raises(EndpointError, match="over 100 bytes; choose a shorter home"):
        endpoint(longest.with_name(longest.name + "x"))


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o750)
    (tmp_path / "run").chmod(0o750)
    with pytest.raises(EndpointError, match="mode 750; allowed is 700: chmod 700"):
        Sockets(MAST, tmp_path / "run", 1)


def test_a_lock_is_free_again_when_its_holder_is_gone(tmp_path: Path) -> None:
    held = lock(tmp_path / "a.lock")
    with pytest.raises(Locked):
        lock(tmp_path / "a.lock")
    os.close(held)
    os.close(lock(tmp_path / "a.lock"))


# --- sockets ----------------------------------------------------------------------------------


def test_every_queue_is_bounded_and_nothing_lingers(opened: Callable[..., Sockets]) -> None:
    ear = opened(EAR)
    for socket in (ear.pub, *ear.all):
        assert socket.getsockopt(zmq.SNDHWM) == socket.getsockopt(zmq.RCVHWM) == QUEUE_MAX
        assert socket.getsockopt(zmq.LINGER) == 0
        assert socket.getsockopt(zmq.MAXMSGSIZE) == SIZE_MAX > FRAME_MAX
        assert socket.getsockopt(zmq.RECONNECT_IVL) == 10
    assert ear.dealers["mast"].getsockopt(zmq.IMMEDIATE) == 1
    assert ear.dealers["mast"].getsockopt(zmq.IDENTITY) == b"ear/1"
    assert sorted(ear.subs) == ["buoy", "mast"]


def test_a_peer_that_is_not_there_is_a_counted_result_and_nothing_is_queued_for_it(
    opened: Callable[..., Sockets],
) -> None:
    ear = opened(EAR)
    before = time.monotonic()
    assert [ear.ask("mast", b"stale") for _ in range(3)] == [False] * 3
    assert ear.unsent == 3
    assert time.monotonic() - before < 5  # It did not wait.

    mast = opened(MAST)
    until(lambda: ear.ask("mast", b"fresh"), "mast is connected to")
    arrived = until(lambda: waiting(mast.router, asked), "the request arrives")
    assert arrived == [(b"ear/1", b"fresh")]


def test_an_answer_to_nobody_is_a_counted_result(opened: Callable[..., Sockets]) -> None:
    mast = opened(MAST)
    assert mast.answer(b"gone/7", b"x") is False
    assert mast.unsent == 1


def test_a_full_queue_refuses_and_never_waits(opened: Callable[..., Sockets]) -> None:
    ear, mast = opened(EAR), opened(MAST)
    until(lambda: ear.ask("mast", b"x" * 1_000), "mast is connected to")
    sent = 1
    while ear.ask("mast", b"x" * 1_000):
        sent += 1
        assert sent < 10 * QUEUE_MAX, "a queue without a bound"
    assert sent >= QUEUE_MAX // 2
    [address, _], *_ = until(lambda: waiting(mast.router, asked), "the queue is read")
    assert address == b"ear/1"


def test_what_a_source_says_arrives_on_its_own_socket_by_topic(
    opened: Callable[..., Sockets],
) -> None:
    ear, mast = opened(EAR), opened(MAST)
    buoy = opened(Actor(name="buoy", state=0, handle=peer.mast))

    def said() -> bool:
        for port in (mast, buoy):
            port.publish("sea.bay", b"not wanted")
            port.publish("air.roof", b"a reading")
            port.publish("heartbeat", b"a beat")
        return all(waiting(ear.subs[name], published) for name in ("mast", "buoy"))

    until(said, "both are heard")
    time_up = time.monotonic() + 30
    heard: dict[str, set[bytes]] = {"mast": set(), "buoy": set()}
    while len(heard["mast"]) < 2 or not heard["buoy"]:
        assert time.monotonic() < time_up
        said()
        for source in heard:
            heard[source] |= set(waiting(ear.subs[source], published))
    assert heard == {"mast": {b"a reading", b"a beat"}, "buoy": {b"a beat"}}


def test_a_frame_beyond_all_bounds_is_cut_off_by_the_socket(opened: Callable[..., Sockets]) -> None:
    ear, mast = opened(EAR), opened(MAST)
    until(lambda: ear.ask("mast", b"x"), "mast is connected to")
    ear.ask("mast", bytes(SIZE_MAX + 1))
    until(lambda: ear.ask("mast", b"after"), "connected again")
    sizes: list[int] = []

    def heard() -> bool:
        sizes.extend(len(frame) for _, frame in waiting(mast.router, asked))
        ear.ask("mast", b"after")
        return 5 in sizes

    until(heard, "what comes after is heard")
    assert max(sizes) <= 5


def test_a_peer_that_comes_back_under_its_name_is_heard(
    opened: Callable[..., Sockets], tmp_path: Path
) -> None:
    first, mast = opened(EAR), opened(MAST)
    until(lambda: first.ask("mast", b"left unread"), "mast is connected to")
    until(lambda: mast.router.poll(10), "it arrives, and waits there")
    again = first._context.socket(zmq.DEALER)
    again.setsockopt(zmq.IDENTITY, b"ear/1")
    again.connect(endpoint(tmp_path / "run" / "mast.req"))
    heard: list[bytes] = []

    def arrives() -> bool:
        again.send(b"again", zmq.NOBLOCK)
        heard.extend(frame for _, frame in waiting(mast.router, asked))
        return b"again" in heard

    try:
        until(arrives, "what the second says", limit_s=20)
    finally:
        again.close(linger=0)


def test_a_poller_wakes_for_what_arrives(opened: Callable[..., Sockets]) -> None:
    ear, mast = opened(EAR), opened(MAST)
    poll = poller(mast.all).poll
    until(lambda: ear.ask("mast", b"x"), "mast is connected to")
    [(socket, _)] = until(lambda: poll(1_000), "it wakes")
    assert socket is mast.router


# --- processes --------------------------------------------------------------------------------


class Run:
    """A peer in its own process, and the lines it printed."""

    def __init__(self, role: str, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.bus.peer", role, str(folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: list[str] = []
        self._rest = b""

    def says(self, word: str) -> list[str]:
        """Return the lines with `word` in them, of all that was printed so far."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], 0)[0]:
            raw = os.read(self.process.stdout.fileno(), 1 << 16)
            if not raw:
                break
            *lines, self._rest = (self._rest + raw).split(b"\n")
            self.lines += [line.decode() for line in lines]
        return [line for line in self.lines if word in line]

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        return self.process.wait()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Callable[[str], Run]]:
    made: list[Run] = []

    def start(role: str) -> Run:
        made.append(Run(role, tmp_path))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.mark.parametrize("loop", ["", "_on_a_loop"], ids=["poller", "asyncio"])
def test_two_processes_hear_ask_and_answer_and_a_killed_one_is_missed_and_found_again(
    runs: Callable[[str], Run], tmp_path: Path, loop: str
) -> None:
    ear = runs(f"ear{loop}")  # First: who listens waits for who speaks.
    mast = runs(f"mast{loop}")
    until(lambda: ear.says("reading"), "a reading is heard")
    until(lambda: ear.says(f"by {mast.process.pid}"), "a request is answered")
    until(lambda: ear.says("PeerBack"), "a heartbeat is heard")

    mast.kill()
    mast.process.wait()
    until(lambda: ear.says("PeerLost"), "the silence is noticed")
    until(lambda: ear.says("RequestExpired"), "an unanswered request is late")
    expired = ear.says("RequestExpired")[0].split("'")[1]

    again = runs(f"mast{loop}")
    until(lambda: len(ear.says("PeerBack")) == 2, "the new life is noticed")
    until(lambda: ear.says(f"'{expired} late'"), "what expired is answered as late")
    until(lambda: ear.says(f"by {again.process.pid}"), "what is new is accepted")

    ear.kill(signal.SIGTERM)
    assert ear.process.wait(60) == 0
    assert not (tmp_path / "run" / "ear.pub").exists()
    journaled = [row for path in segments(tmp_path / "journal" / "ear") for row in read(path)]
    assert sum(isinstance(row, Entry) for row in journaled) >= len(ear.lines)


def test_a_stopped_receiver_does_not_accept_what_waited_too_long(
    runs: Callable[[str], Run],
) -> None:
    mast, ear = runs("mast"), runs("ear")
    until(lambda: ear.says(f"by {mast.process.pid}"), "a request is answered")
    mast.kill(signal.SIGSTOP)
    until(lambda: ear.says("RequestExpired"), "a request expires")
    expired = ear.says("RequestExpired")[0].split("'")[1]
    mast.kill(signal.SIGCONT)
    until(lambda: ear.says(f"'{expired} late'"), "it is answered as late")
    assert not ear.says(f"'{expired} by")


@pytest.mark.parametrize("loop", ["", "_on_a_loop"], ids=["poller", "asyncio"])
def test_while_others_read_a_long_log_nobody_waits_for_an_answer_or_a_heartbeat(
    runs: Callable[[str], Run], loop: str
) -> None:
    mast, ear = runs(f"mast_with_a_log{loop}"), runs("ear")
    until(lambda: ear.says(f"by {mast.process.pid}"), "a request is answered")
    fans = [runs(f"fan_{n}") for n in range(4)]
    until(lambda: all(one.says("storm") for one in fans), "all of them read")

    answered = len(ear.says("Calibrated"))
    until(lambda: len(ear.says("Calibrated")) >= answered + 3, "three more are answered")

    assert ear.says("PeerLost") == ear.says("RequestExpired") == ear.says("late") == []
    read = [len(one.says("storm")) for one in fans]
    until(lambda: all(len(one.says("storm")) > n for one, n in zip(fans, read, strict=True)), "on")


@pytest.mark.parametrize("loop", ["", "_on_a_loop"], ids=["poller", "asyncio"])
def test_who_reads_a_long_log_and_is_told_to_end_does_so_at_once(
    runs: Callable[[str], Run], loop: str
) -> None:
    runs("mast_with_a_log")
    fan = runs(f"fan_that_is_slow{loop}")
    until(lambda: len(fan.says("storm")) > 1, "it reads")
    fan.kill(signal.SIGTERM)
    assert fan.process.wait(5) == 0


def test_a_second_process_of_one_actor_ends_and_the_first_goes_on(
    runs: Callable[[str], Run],
) -> None:
    mast, ear = runs("mast"), runs("ear")
    until(lambda: ear.says("reading"), "a reading is heard")
    second = runs("mast")
    assert second.process.wait(60) != 0
    assert second.process.stderr is not None
    assert b"another process holds it; this actor already runs" in second.process.stderr.read()
    heard = len(ear.says("reading"))
    until(lambda: len(ear.says("reading")) > heard + 1, "the first still speaks")
    assert mast.process.poll() is None


@pytest.mark.parametrize("role", ["mast", "mast_on_a_loop"])
def test_a_process_whose_path_was_taken_ends(
    runs: Callable[[str], Run], tmp_path: Path, role: str
) -> None:
    mast = runs(role)
    path = tmp_path / "run" / "mast.req"
    until(path.exists, "it is bound")
    path.unlink()
    assert mast.process.wait(60) == 1


def test_frames_go_through_the_process_to_the_actor_that_asked_for_them(tmp_path: Path) -> None:
    mast = Process(lambda _deliver, _peers: peer.make("mast"), peer.place(tmp_path))
    ear = Process(lambda _deliver, _peers: peer.make("ear"), peer.place(tmp_path))
    try:
        mast.start()
        ear.start()

        def worked() -> bool:
            for process in (mast, ear):
                process.drain()
                process.shell.work()
                process.check()
            return ear.shell.watch.has_heard(("mast",)) and ear.shell.state > 0

        until(worked, "the beat of the mast is heard")
        assert not mast.shell._quarantine.counts
        assert not ear.shell._quarantine.counts
        assert CODEC.is_stream(Reading(place="", degrees=0))
        assert not CODEC.is_stream(Calibrate(name=""))
    finally:
        mast.end()
        ear.end()

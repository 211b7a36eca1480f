"""Who is alive: heartbeats folded into what an actor is told of its peers."""

from msgspec import Struct

from bus.actor import Heartbeat, Peer, PeerBack, PeerLost, Peers, System

BEAT_NS = 250_000_000
SILENCE_NS = 1_000_000_000  # Four missed heartbeats.


class Watch:
    """The peers of one actor: turns beats into PeerBack and silence into PeerLost."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)
        self._lost: set[str] = set()
        self.peers: Peers = {}

    def heard(self, source: str, epoch: int, beat: Heartbeat, now_ns: int) -> list[System]:
        """Take a heartbeat; return what the actor is to be told."""
        if source not in self._names:
            return []
        known = self.peers.get(source)
        if known is not None and epoch < known.epoch:
            return []
        peer = Peer(name=source, epoch=epoch, pid=beat.pid, health=beat.health, heard_ns=now_ns)
        self.peers = {**self.peers, source: peer}
        if known is not None and known.epoch == epoch and source not in self._lost:
            return []
        self._lost.discard(source)
        return [PeerBack(source=source, epoch=epoch, pid=beat.pid)]

    def silent(self, now_ns: int) -> list[System]:
        """Return a PeerLost for each peer that fell silent since it was last heard."""
        lost: list[System] = []
        for name in sorted(self._names):
            peer = self.peers.get(name)
            if peer and name not in self._lost and now_ns - peer.heard_ns > SILENCE_NS:
                self._lost.add(name)
                lost.append(PeerLost(source=name))
        return lost

    def has_heard(self, names: tuple[str, ...]) -> bool:
        return all(name in self.peers for name in names)


class Counters(Struct):
    """What went wrong on the wire since start; shown in logs."""

    refused: dict[str, int]
    unsent: int = 0
    gaps: int = 0

"""Who is alive: heartbeats folded into what an actor is told of its peers."""

from bus.actor import Heartbeat, Peer, PeerBack, PeerLost, Peers, System

BEAT_NS = 250_000_000
SILENCE_NS = 1_000_000_000  # Four missed heartbeats.
REFUSED_MAX = 3  # So many refused frames of one peer within the window, and it counts as failed.
REFUSED_WINDOW_NS = 10_000_000_000


class Watch:
    """The peers of one actor: turns beats into PeerBack, silence and garbage into PeerLost."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)
        self._lost: set[str] = set()
        self._failed: dict[str, int] = {}  # The epoch it failed in.
        self._refused: dict[str, tuple[int, ...]] = {}  # When; the newest few.
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
        if self._is_failed(peer):
            return []
        if known is not None and known.epoch == epoch and source not in self._lost:
            return []
        self._lost.discard(source)
        return [PeerBack(source=source, epoch=epoch, pid=beat.pid)]

    def refused(self, source: str, now_ns: int) -> list[System]:
        """Note a frame of `source` that was no message; return what the actor is to be told."""
        if source not in self._names:
            return []
        recent = (*self._refused.get(source, ()), now_ns)[-REFUSED_MAX:]
        self._refused[source] = recent
        if len(recent) < REFUSED_MAX or now_ns - recent[0] > REFUSED_WINDOW_NS:
            return []
        known = self.peers.get(source)
        self._failed[source] = known.epoch if known else 0
        if source in self._lost:
            return []
        self._lost.add(source)
        return [PeerLost(source=source)]

    def _is_failed(self, peer: Peer) -> bool:
        """Return whether `peer` still counts as failed; forgive a new life, or 10 clean seconds."""
        epoch = self._failed.get(peer.name)
        if epoch is None:
            return False
        clean_ns = peer.heard_ns - self._refused[peer.name][-1]
        if peer.epoch == epoch and clean_ns <= REFUSED_WINDOW_NS:
            return True
        del self._failed[peer.name], self._refused[peer.name]
        return False

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

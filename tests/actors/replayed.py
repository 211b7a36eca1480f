"""`python -m tests.actors.replayed FOLDER`: folds recorded inboxes, one file an actor.

Prints a line for each: the actor, a hash over every effect, and one over the last state.
"""

import hashlib
import sys
from pathlib import Path

import msgspec

from actors import CODEC
from tests.stages import fresh, spelled

HANDLED = msgspec.msgpack.Decoder(list[tuple[int, bytes]])


def folded(inbox: Path) -> str:
    actor, said = fresh(inbox.name), hashlib.sha256()
    state = actor.state
    for now_ns, frame in HANDLED.decode(inbox.read_bytes()):
        step = actor.handle(state, CODEC.decode_message(frame), now_ns)
        state = step.state
        said.update(spelled(step))
    last = hashlib.sha256(msgspec.msgpack.encode(state))
    return f"{inbox.name} {said.hexdigest()} {last.hexdigest()}\n"


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).iterdir()):
        sys.stdout.write(folded(path))

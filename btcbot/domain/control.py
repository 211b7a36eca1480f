"""What `btcbot-ctl` may ask of the control socket; one map a frame, told apart by `command`."""

from msgspec import Struct

from btcbot.domain.ids import ClientOrderId, Pair
from btcbot.domain.messages import Message
from btcbot.domain.words import Side


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Hostile until parsed: anything else is refused with a reason."""


class Status(Command, frozen=True, kw_only=True, tag="status"):
    """How everything is."""


class Pause(Command, frozen=True, kw_only=True, tag="pause"):
    """Pause the bot, or the scope that is given; `until_ns` None: until resumed."""

    pair: Pair | None = None
    strategy: str | None = None
    side: Side | None = None
    until_ns: int | None = None
    reason: str = ""


class Resume(Command, frozen=True, kw_only=True, tag="resume"):
    """Resume the bot, or one paused scope."""

    reason: str
    pair: Pair | None = None
    strategy: str | None = None
    side: Side | None = None
    acknowledge: str = ""


class Kill(Command, frozen=True, kw_only=True, tag="kill"):
    """Stop all sending and cancel everything."""

    reason: str = ""


class Cancel(Command, frozen=True, kw_only=True, tag="cancel"):
    client_order_id: ClientOrderId
    reason: str = ""


class Restart(Command, frozen=True, kw_only=True, tag="restart"):
    """End one actor's process; supervisord starts it again."""

    actor: str


AnyCommand = Status | Pause | Resume | Kill | Cancel | Restart


class Asked(Message, frozen=True, kw_only=True, tag="asked"):
    """A command that came through the control socket; `uid` is the kernel's word."""

    connection: int
    uid: int
    command: AnyCommand


CONTROL: tuple[type[Message], ...] = (Asked,)

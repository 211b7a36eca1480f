"""The server's side of a WebSocket as BTCTurk keeps it alive: not as uvicorn would."""

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

SILENT_PINGS_MAX: Final = 2
ABORT_AFTER_S: Final = 5.0


class Keepalive(WebSocketsSansIOProtocol):
    """Pings every 15 s whatever comes back; closes instead of a third that would go unanswered.

    With code 1000 and no reason, about 45 s after the client was last heard.

    uvicorn itself sends no second ping before an answer, and closes with 1011.
    """

    silent_pings = 0

    def send_keepalive_ping(self) -> None:
        self.ping_timer = None
        if self.close_sent or self.transport.is_closing():
            return
        if self.silent_pings >= SILENT_PINGS_MAX:
            self.end()
            return
        self.silent_pings += 1
        self.conn.send_ping(b"")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.schedule_ping()

    def handle_pong(self, event: Any) -> None:  # noqa: ANN401 - websockets' frame
        del event  # Any pong is an answer.
        self.silent_pings = 0

    def end(self) -> None:
        """Close, and drop the connection if the client does not even take that."""
        self.conn.send_close(1000)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(ABORT_AFTER_S, self.transport.abort)

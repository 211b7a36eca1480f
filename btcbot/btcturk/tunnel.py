"""What lies between HTTP and a socket: nothing, or TLS. Bytes in, bytes out, no socket touched.

So the caller alone hands bytes to the kernel, and knows how many it took.
"""

import ssl
from typing import Final, Protocol

CHUNK: Final = 65_536


class Tunnel(Protocol):
    """`take` what arrived, `seal` what shall leave, send what is `pending`."""

    @property
    def is_ready(self) -> bool: ...

    def take(self, received: bytes) -> tuple[bytes, bool]:
        """Return the plain bytes in `received`, and whether the other side said it ends here.

        Raises ssl.SSLError, ssl.CertificateError among them.
        """
        ...

    def seal(self, plain: bytes) -> bytes:
        """Return the bytes that carry `plain`."""
        ...

    def pending(self) -> bytes:
        """Return bytes of the tunnel's own that must be sent now."""
        ...


class Plain:
    """No tunnel: for the sandbox on this machine."""

    is_ready = True

    def take(self, received: bytes) -> tuple[bytes, bool]:
        return received, False

    def seal(self, plain: bytes) -> bytes:
        return plain

    def pending(self) -> bytes:
        return b""


class Tls:
    """TLS in memory; the handshake begins at once."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.is_ready = False
        self._shake()

    def take(self, received: bytes) -> tuple[bytes, bool]:
        self._in.write(received)
        if not self.is_ready:
            self._shake()
            if not self.is_ready:
                return b"", False
        plain = bytearray()
        while True:
            try:
                part = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                return bytes(plain), False
            except ssl.SSLZeroReturnError:
                return bytes(plain), True
            if not part:
                return bytes(plain), True
            plain += part

    def seal(self, plain: bytes) -> bytes:
        self._tls.write(plain)
        return self._out.read()

    def pending(self) -> bytes:
        return self._out.read()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.is_ready = True

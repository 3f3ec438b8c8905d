"""A line behind a gateway on the network: a TCP connection that behaves like a serial port.

TCP keeps what it could not deliver and sends it minutes later, when the cable is back: a door would open
to nobody. So a connection on which an answer is missing while bytes of ours are still on their way is
torn down at once, and the system forgets them.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
from contextlib import suppress

from device_profiles.profile import Settings
from firmware_bridge.port import PortGone

CONNECT_S = 1.5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpPort:
    """A connection to ``host``:``port``, opened anew when it broke. Used by one thread."""

    def __init__(self, host: str, port: int) -> None:
        self.path = f"{host}:{port}"
        self._where = (host, port)
        self._socket: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def open(self, settings: Settings) -> None:
        """Connect; the line's settings are the gateway's. Raises PortGone saying what is wrong."""
        try:
            self._socket = socket.create_connection(self._where, CONNECT_S)
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            self.close()
            raise PortGone(self._reason(error)) from error

    def close(self) -> None:
        """Break the connection; what was not delivered is forgotten."""
        connection, self._socket = self._socket, None
        if connection is not None:
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            connection.close()

    def write(self, data: bytes) -> None:
        """Hand all of ``data`` to the system. Raises PortGone with the number of bytes that left."""
        written = 0
        try:
            while written < len(data):
                if not select.select([], [self._fd], [], 0.5)[1]:
                    raise PortGone(f"{self.path} takes no bytes", written)
                written += os.write(self._fd, data[written:])
        except OSError as error:
            raise PortGone(self._reason(error), written) from error

    def read(self, timeout_s: float, wake_fd: int) -> bytes:
        """What arrives within ``timeout_s``, or b"". Returns early when ``wake_fd`` is readable."""
        ready = select.select([self._fd, wake_fd], [], [], max(0.0, timeout_s))[0]
        return self._received() if self._fd in ready else b""

    def drain(self) -> bytes:
        """All bytes that wait to be read: late replies, of no use to the next request."""
        drained = b""
        while select.select([self._fd], [], [], 0)[0]:
            drained += self._received()
        return drained

    def forget_unsent(self) -> None:
        """Break the connection if bytes of ours were not delivered yet."""
        if self._socket is None:
            return
        waiting = struct.pack("i", 1)
        with suppress(OSError):
            waiting = fcntl.ioctl(self._fd, termios.TIOCOUTQ, waiting)
        if struct.unpack("i", waiting)[0]:
            self.close()

    def _received(self) -> bytes:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortGone(self._reason(error)) from error
        if not data:
            raise PortGone(f"{self.path} closed the connection")
        return data

    @property
    def _fd(self) -> int:
        if self._socket is None:
            raise PortGone(f"{self.path} is closed")
        return self._socket.fileno()

    def _reason(self, error: OSError) -> str:
        if isinstance(error, ConnectionRefusedError):
            return f"{self.path} refuses: the gateway is there, its port number or mode is wrong"
        if isinstance(error, TimeoutError | socket.gaierror):
            return (
                f"{self.path} is not there; check power, network cable and address of the gateway"
            )
        return f"{self.path} does not work: {error.strerror or error}"

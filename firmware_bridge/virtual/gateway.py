"""A virtual line behind a gateway on the network: Modbus TCP, or a transparent serial server.

As with the cheap ones, one connection counts: who connects anew takes the place of who was there.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.protocols.modbus_tcp import frames
from firmware_bridge.virtual.board import VirtualBoard
from firmware_bridge.virtual.line import VirtualLine

Mode = Literal["modbus_tcp", "rtu_tcp"]
_SCHEMES: dict[Mode, str] = {"modbus_tcp": "tcp", "rtu_tcp": "rtu+tcp"}
_TARGET_SILENT = 11


class GatewayLine(VirtualLine):
    """Boards behind a listening socket. ``port`` 0 picks a free one, and keeps it when opened again.

    ``path`` is the address for ``ports.yaml``.
    """

    def __init__(
        self,
        boards: Iterable[VirtualBoard],
        mode: Mode,
        port: int = 0,
        host: str = "127.0.0.1",
        baud: int | None = None,
    ) -> None:
        super().__init__(boards, baud=baud)
        self.mode: Mode = mode
        self._where = (host, port)
        self._listener: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._asked = 0  # the transaction that is being served
        self.connections = 0

    def open(self) -> GatewayLine:
        """Listen and begin to serve."""
        self._listener = socket.create_server(self._where, reuse_port=False)
        self._listener.setblocking(False)
        self._where = self._listener.getsockname()[:2]
        self.path = f"{_SCHEMES[self.mode]}://{self._where[0]}:{self._where[1]}"
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="virtual gateway", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Take the gateway off the network; ``open`` brings it back at the same address."""
        if self._thread is None:
            return
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._thread = None
        for open_socket in (self._listener, self._peer):
            if open_socket is not None:
                open_socket.close()
        self._listener = self._peer = None
        for fd in (self._wake_read, self._wake_write):
            os.close(fd)
        self._replies.clear()

    def drop(self) -> None:
        """Break the connection, as gateways do with one that was idle for long."""

        def shut(_: VirtualBoard) -> None:
            if self._peer is not None:
                with suppress(OSError):
                    self._peer.shutdown(socket.SHUT_RDWR)

        self.locked(shut, next(iter(self.boards)))

    def _sources(self) -> list[int]:
        return [each.fileno() for each in (self._listener, self._peer) if each is not None]

    def _receive(self, ready: list[int]) -> bytes:
        if self._listener is not None and self._listener.fileno() in ready:
            with suppress(OSError):
                peer = self._listener.accept()[0]
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._peer is not None:
                    self._peer.close()
                self._peer = peer
                self.connections += 1
            return b""
        if self._peer is None:
            return b""
        try:
            data = self._peer.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._peer.close()
            self._peer = None
        return data

    def _send(self, data: bytes) -> None:
        if self._peer is not None:
            with suppress(OSError):
                self._peer.send(data)

    def _take(self, buffer: bytes) -> bytes:
        if self.mode == "rtu_tcp":
            return super()._take(buffer)
        taken = 0
        for transaction, unit, pdu in frames(buffer):
            taken += 7 + len(pdu)
            self._asked = transaction
            frame = rtu.with_crc(bytes([unit]) + pdu)
            if not any(
                board.unit_id == unit and not board.fault.dead for board in self.boards.values()
            ):
                self._send(
                    self._wrapped(rtu.with_crc(bytes([unit, pdu[0] | 0x80, _TARGET_SILENT])))
                )
            else:
                self._serve(frame)
        return buffer[taken:]

    def _wrapped(self, reply: bytes) -> bytes:
        if self.mode == "rtu_tcp":
            return reply
        if not rtu.has_good_crc(reply):  # a gateway checks what comes from the line
            reply = rtu.with_crc(bytes([reply[0], reply[1] | 0x80, _TARGET_SILENT]))
        return struct.pack(">HHH", self._asked, 0, len(reply) - 2) + reply[:-2]

"""A serial port whose writes say how much left, and whose loss is one typed error.

pyserial opens and sets up the device; reading and writing go to the file descriptor, because after a
failed write the bus must know whether a single byte went out (a pulse may have been sent) or none.
"""

from __future__ import annotations

import os
import select
import termios
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import serial

from device_profiles.profile import Settings


class PortGone(Exception):
    """The device is not there, is taken, or was pulled out. ``written``: bytes that had left."""

    def __init__(self, message: str, written: int = 0) -> None:
        super().__init__(message)
        self.written = written


class Port(Protocol):
    """What carries the bytes of one line. Used by one thread."""

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as is known."""
        ...

    def open(self, settings: Settings) -> None:
        """Open it with nothing buffered. Raises PortGone saying what is wrong."""
        ...

    def close(self) -> None:
        """Close it; harmless when it is closed or gone."""
        ...

    def write(self, data: bytes) -> None:
        """Hand over all of ``data``. Raises PortGone with the number of bytes that left."""
        ...

    def read(self, timeout_s: float, wake_fd: int) -> bytes:
        """What arrives within ``timeout_s``, or b"". Returns early when ``wake_fd`` is readable."""
        ...

    def drain(self) -> bytes:
        """All bytes that wait to be read. Raises PortGone."""
        ...

    def forget_unsent(self) -> None:
        """See that nothing which was handed over goes out later by itself."""
        ...


class SerialPort:
    """One serial device, opened for this program alone. Used by one thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._serial: serial.Serial | None = None

    @property
    def is_open(self) -> bool:
        """Whether the device is open, as far as is known."""
        return self._serial is not None

    def open(self, settings: Settings) -> None:
        """Open the device with nothing buffered. Raises PortGone saying what is wrong."""
        try:
            self._serial = serial.Serial(
                self.path,
                baudrate=settings.baud,
                parity=settings.parity,
                stopbits=settings.stop_bits,
                timeout=0,
                exclusive=True,
            )
            self._serial.reset_input_buffer()
            self._serial.reset_output_buffer()
        except (OSError, serial.SerialException) as error:
            self.close()
            raise PortGone(_reason(self.path, error)) from error

    def close(self) -> None:
        """Close the device; harmless when it is closed or gone."""
        device, self._serial = self._serial, None
        if device is not None:
            with suppress(OSError):  # pulled out: the descriptor is closed all the same
                device.close()

    def write(self, data: bytes) -> None:
        """Hand all of ``data`` to the system. Raises PortGone with the number of bytes that left."""
        written = 0
        try:
            while written < len(data):
                if not select.select([], [self._fd], [], 0.5)[1]:
                    raise PortGone(f"{self.path} takes no bytes", written)
                written += os.write(self._fd, data[written:])
        except OSError as error:
            raise PortGone(_reason(self.path, error), written) from error

    def read(self, timeout_s: float, wake_fd: int) -> bytes:
        """What arrives within ``timeout_s``, or b"". Returns early when ``wake_fd`` is readable."""
        try:
            ready = select.select([self._fd, wake_fd], [], [], max(0.0, timeout_s))[0]
            if self._fd not in ready:
                return b""
            data = os.read(self._fd, 512)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise PortGone(_reason(self.path, error)) from error
        if not data:
            raise PortGone(f"{self.path} was pulled out")
        return data

    def drain(self) -> bytes:
        """All bytes that wait to be read: late replies and noise, of no use to the next request."""
        drained = b""
        while select.select([self._fd], [], [], 0)[0]:
            try:
                data = os.read(self._fd, 512)
            except OSError as error:
                raise PortGone(_reason(self.path, error)) from error
            if not data:
                raise PortGone(f"{self.path} was pulled out")
            drained += data
        return drained

    def forget_unsent(self) -> None:
        """Drop what the system has not yet sent, so that nothing goes out later by itself."""
        if self._serial is not None:
            # Where the device is gone nothing goes out either.
            with suppress(OSError, serial.SerialException, termios.error):
                self._serial.reset_output_buffer()

    @property
    def _fd(self) -> int:
        if self._serial is None:
            raise PortGone(f"{self.path} is closed")
        fd: int = self._serial.fileno()
        return fd


def _reason(path: str, error: Exception) -> str:
    if not Path(path).exists():
        return f"{path} is not there; plug the adapter in or correct the path"
    if isinstance(error, serial.SerialException) and "lock" in str(error):
        return f"{path} is used by another program; stop that one first"
    if isinstance(error, PermissionError) or "Permission" in str(error):
        return f"{path} may not be opened; add this user to the group dialout"
    return f"{path} does not work: {error}"

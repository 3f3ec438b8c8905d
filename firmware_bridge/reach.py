"""How a port of ``ports.yaml`` is reached, from what is written there.

A device path such as ``/dev/serial/by-id/usb-…`` is a serial line of this machine.
``tcp://192.168.1.20:502`` is a gateway, or a board, that speaks Modbus TCP.
``rtu+tcp://192.168.1.20:8899`` is a transparent serial server: bytes in, bytes out.
``mqtt://127.0.0.1:1883`` is the store's own broker, ``http://192.168.1.50`` a device on the local network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from device_profiles.profile import Profile, ProfileError, Settings
from device_profiles.schema import ModbusTcp
from firmware_bridge.bus import Bus
from firmware_bridge.port import Port, SerialPort
from firmware_bridge.protocols.modbus_tcp import conversation
from firmware_bridge.tcp_port import TcpPort

MODBUS_TCP, TRANSPARENT = "tcp", "rtu+tcp"
MESSAGES = ("mqtt", "http", "https")
_USUAL = {MODBUS_TCP: 502, "mqtt": 1883, "http": 80, "https": 443}


def bus_to(
    where: str, settings: Settings, monotonic: Callable[[], float], profile: Profile | None = None
) -> Bus:
    """The owner of the line at ``where``. Raises ProfileError for an address that is none.

    A board with a socket of its own may want RTU frames on it: then its ``profile`` says so.
    """
    transport = profile.transport if profile else None
    if scheme(where) == MODBUS_TCP:
        if isinstance(transport, ModbusTcp) and transport.framing == "rtu":
            return Bus(where, settings, monotonic, TcpPort(*address(where)))
        return Bus(where, settings, monotonic, TcpPort(*address(where)), conversation())
    return Bus(where, settings, monotonic, port_to(where))


def port_to(where: str) -> Port:
    """The bytes of the line at ``where``. Raises ProfileError for an address that is none."""
    if not scheme(where):
        return SerialPort(where)
    if scheme(where) == TRANSPARENT:
        return TcpPort(*address(where))
    raise ProfileError(
        f"{where} is no serial line; write a device path or {TRANSPARENT}://HOST:PORT"
    )


def usable(ports: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The ports whose address can be used, and for the others why not."""
    good: dict[str, str] = {}
    bad: dict[str, str] = {}
    for name, where in ports.items():
        try:
            if scheme(where) in (MODBUS_TCP, *MESSAGES):
                address(where)
            else:
                port_to(where)
            good[name] = where
        except ProfileError as error:
            bad[name] = f"port {name}: {error}"
    return good, bad


def scheme(where: str) -> str:
    """What stands before ``://``; empty for a device of this machine."""
    return where.partition("://")[0] if "://" in where else ""


def address(where: str) -> tuple[str, int]:
    """Host and port of ``scheme://host:port``. Raises ProfileError."""
    try:
        parts = urlsplit(where)
        host, port = parts.hostname, parts.port or _USUAL.get(parts.scheme)
    except ValueError:
        host = port = None
    if not host or not port:
        raise ProfileError(f"{where} is no address; write {where.partition(':')[0]}://HOST:PORT")
    return host, port

"""Where a merchant may send the server: to public addresses, never into the house behind it.

A name is resolved once and the connection goes to exactly that address, so that a name which answers
differently the second time gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Final

from cloud_api.kit.cloud import Cloud

_PORTS: Final = frozenset({22, 23, 111, 2049, 3306, 5432, 6379, 11211, 27017})  # nobody's mail


class HostRefused(ValueError):
    """The address is not public, or there is none."""


async def public_address(cloud: Cloud, host: str, port: int) -> str:
    """An address of ``host`` that may be spoken to. Raises HostRefused."""
    private_too = cloud.settings.notice_private_hosts
    if port in _PORTS:
        raise HostRefused(f"port {port} takes no notices")
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostRefused("no such host") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not private_too and not ipaddress.ip_address(address.split("%")[0]).is_global:
            raise HostRefused("not a public address")
    return addresses[0]

"""A controller in a process of its own, to be killed: connects, prints its nonce, waits."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import structlog

from store_link.clock import WireClock
from store_link.link import Endpoint, Tls
from store_link.signing import MacKey
from store_link.store_side import StoreSide
from store_link.topics import Plane


async def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    given = json.loads(sys.argv[1])

    async def ignore(plane: Plane, raw: bytes, retained: bool) -> None:
        pass

    ca, cert, key = (Path(one) for one in given["tls"])
    side = StoreSide(
        store=given["store"],
        mac_key=MacKey("m1", bytes.fromhex(given["mac"])),
        endpoint=Endpoint(given["host"], given["port"], tls=Tls(ca, cert, key)),
        clock=WireClock(),
        on_down=ignore,
    )
    await side.start()
    await side.wait_up(20)
    print(side.nonce, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())

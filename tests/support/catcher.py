"""A socket that catches notifications, exact bytes and headers, and answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx


@dataclass
class Catcher:
    """``url`` is where to send them; ``answers`` are given in turn, the last one for good."""

    url: str = ""
    caught: asyncio.Queue[tuple[httpx.Headers, bytes]] = field(default_factory=asyncio.Queue)
    answers: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"success")])

    async def next(self) -> tuple[httpx.Headers, bytes]:
        return await asyncio.wait_for(self.caught.get(), 30)


@asynccontextmanager
async def catching() -> AsyncIterator[Catcher]:
    catcher = Catcher()

    async def catch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = httpx.Headers(
            dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        )
        raw = await reader.readexactly(int(headers["content-length"]))
        status, body = catcher.answers.pop(0) if len(catcher.answers) > 1 else catcher.answers[0]
        reply = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(reply.encode() + body)
        await writer.drain()
        writer.close()
        await catcher.caught.put((headers, raw))

    server = await asyncio.start_server(catch, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    catcher.url = f"http://127.0.0.1:{port}/notify"
    try:
        yield catcher
    finally:
        server.close()

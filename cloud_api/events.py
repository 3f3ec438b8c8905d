"""Live events by SSE from the persisted feed: one reader per process, any number of listeners.

No database connection is held while nothing happens. Whoever comes back with ``Last-Event-ID`` gets
what was missed, from whichever process. On PostgreSQL ids may become visible out of order, so the
reader waits a second at a gap before it passes it (a rolled-back transaction leaves one for ever).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from starlette.responses import StreamingResponse

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.feed import FEED
from cloud_api.kit.http import cloud_of
from cloud_api.kit.models import FeedEntry
from cloud_api.staff.deps import staff_actor

log = structlog.get_logger(__name__)
router = APIRouter(tags=["events"])

LOOK_EVERY_S = 1.0
GAP_S = 1.0
KEEP_ALIVE_S = 15.0
LIFE_S = 300.0  # then the browser comes back, and its login is looked at again
CATCH_UP = 500
_PART = "events.tail"


class FeedTail:
    """Reads new feed entries once per process and hands them to listeners."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._queues: set[asyncio.Queue[FeedEntry | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._gap: tuple[int, float] | None = None
        self.cursor = 0
        db.listen(FEED, lambda _key: self._woken.set())

    async def join(self) -> asyncio.Queue[FeedEntry | None]:
        """A queue of what comes after ``cursor``."""
        if self._task is None or self._task.done():
            async with self._db.read() as session:
                newest = await session.scalar(select(func.max(col(FeedEntry.id))))
            if self._task is None or self._task.done():
                self.cursor = int(newest or 0)
                self._task = asyncio.create_task(self._run())
        queue: asyncio.Queue[FeedEntry | None] = asyncio.Queue(maxsize=1000)
        self._queues.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[FeedEntry | None]) -> None:
        """Stop listening; the last one to go stops the reader."""
        self._queues.discard(queue)
        if not self._queues and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                entries = await self._read()
            except (SQLAlchemyError, OSError):
                log.warning("events.database_away")
                entries = []
            for entry in entries:
                for queue in list(self._queues):
                    if queue.full():
                        self._queues.discard(queue)  # too slow: it ends, and the browser comes back
                        queue.get_nowait()
                        queue.put_nowait(None)
                    else:
                        queue.put_nowait(entry)
            try:
                await asyncio.wait_for(self._woken.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    async def _read(self) -> list[FeedEntry]:
        query = (
            scoped(System(), FeedEntry)
            .where(col(FeedEntry.id) > self.cursor)
            .order_by(col(FeedEntry.id))
            .limit(CATCH_UP)
        )
        async with self._db.read() as session:
            found = (await session.exec(query)).all()
        ready = []
        for entry in found:
            assert entry.id is not None
            if entry.id != self.cursor + 1 and self._wait_at(self.cursor + 1):
                break
            ready.append(entry)
            self.cursor = entry.id
        return ready

    def _wait_at(self, missing: int) -> bool:
        """Whether to wait for ``missing``, which a running transaction may still bring."""
        now = asyncio.get_running_loop().time()
        if self._gap is None or self._gap[0] != missing:
            self._gap = (missing, now)
        return now - self._gap[1] < GAP_S


@router.get("/events", response_class=StreamingResponse)
async def my_events(
    request: Request,
    who: Annotated[Customer, Depends(customer)],
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """What happens to one's own orders, live (``text/event-stream``)."""
    return _stream(request, who, last_event_id, lambda e: e.account_id == who.account_id)


@router.get("/console/events", response_class=StreamingResponse)
async def staff_events(
    request: Request,
    who: Annotated[Staff, Depends(staff_actor)],
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """What happens in one's stores, live (``text/event-stream``)."""

    def mine(entry: FeedEntry) -> bool:
        if entry.merchant_id != who.merchant_id:
            return False
        return who.store_ids is None or entry.store_id in who.store_ids

    return _stream(request, who, last_event_id, mine)


def _stream(
    request: Request, who: Customer | Staff, last: str, mine: Callable[[FeedEntry], bool]
) -> StreamingResponse:
    cloud = cloud_of(request)
    known = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    return StreamingResponse(
        _lines(cloud, who, known, mine),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    cloud: Cloud, who: Customer | Staff, known: int | None, mine: Callable[[FeedEntry], bool]
) -> AsyncIterator[str]:
    tail: FeedTail = cloud.parts.setdefault(_PART, FeedTail(cloud.db))
    queue = await tail.join()
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE_S
    sent = known if known is not None else tail.cursor
    try:
        yield f"retry: 2000\nid: {sent}\n\n"
        for entry in await _missed(cloud, who, sent, tail.cursor):
            sent = entry.id or sent
            yield _line(entry)
        while loop.time() < end:
            try:
                told = await asyncio.wait_for(queue.get(), min(KEEP_ALIVE_S, end - loop.time()))
            except TimeoutError:
                yield ": here\n\n"
                continue
            if told is None:
                return
            if (told.id or 0) > sent and mine(told):
                yield _line(told)
    finally:
        tail.leave(queue)


async def _missed(cloud: Cloud, who: Customer | Staff, after: int, upto: int) -> list[FeedEntry]:
    if after >= upto:
        return []
    query = (
        scoped(who, FeedEntry)
        .where(col(FeedEntry.id) > after, col(FeedEntry.id) <= upto)
        .order_by(col(FeedEntry.id).desc())
        .limit(CATCH_UP)
    )
    async with cloud.db.read() as session:
        return list(reversed((await session.exec(query)).all()))


def _line(entry: FeedEntry) -> str:
    body = json.dumps({"at": entry.at.isoformat(), **entry.body}, ensure_ascii=False)
    return f"id: {entry.id}\nevent: {entry.topic}\ndata: {body}\n\n"

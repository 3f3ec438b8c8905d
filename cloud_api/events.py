"""Live events by SSE from the persisted feed: one reader per process, any number of listeners.

Every event carries ``topics`` (``store:ID``, ``room:ID``, ``order:ID``): what on a page is to be asked
for again. ``clock`` events carry ``now``, business time, at every heartbeat and at once when somebody
moved it (``jump``). Who follows a store hears *that* its rooms changed, never what or whose.

A stream ends at once when its login does, or when what it may see changes: the browser comes back
and gets what it may see now. No database connection is held while nothing happens. Whoever comes back with ``Last-Event-ID`` gets
what was missed, from whichever process. On PostgreSQL ids may become visible out of order, so the
reader waits a second at a gap before it passes it (a rolled-back transaction leaves one for ever).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from starlette.responses import StreamingResponse

from cloud_api.auth.deps import LoginNeeded, actor
from cloud_api.auth.service import RIGHTS, is_good
from cloud_api.kit.actor import Actor, Anyone, Customer, Staff, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.feed import FEED
from cloud_api.kit.http import cloud_of
from cloud_api.kit.models import FeedEntry
from cloud_api.orders.service import get_order
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.service import get_store

log = structlog.get_logger(__name__)
router = APIRouter(tags=["events"])

LOOK_EVERY_S = 1.0
GAP_S = 1.0
KEEP_ALIVE_S = 15.0
LIFE_S = 300.0  # then the browser comes back, and all its rights are looked at again
LOOK_AGAIN_S = 60.0  # a wake-up may be lost: so often a login is looked at anyhow
CATCH_UP = 500
JUMP = timedelta(seconds=0.5)  # business time moved against real time by more than jitter
_PART = "events.tail"
_OF_ROOMS = frozenset({"order", "room", "store"})  # what may change what a room's card says
_OF_DEVICES = frozenset({"device", "power", "stay", "access", "store"})

Mine = Callable[[FeedEntry], bool]
Hint = Callable[[FeedEntry], list[str]]  # topics a stranger may hear of; none: nothing


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
    who: Annotated[Actor, Depends(actor)],
    store: Annotated[str, Query(max_length=64)] = "",
    order: Annotated[str, Query(max_length=64)] = "",
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """What happens to one's own orders, live (``text/event-stream``).

    ``store``: also a hint whenever a room of that store changes; needs no login. ``order``: also a
    hint whenever the store of that order of one's own reports of its devices.
    """
    devices_of = ""
    async with cloud_of(request).db.read() as session:
        if store:
            await get_store(session, who, store)
        elif not isinstance(who, Customer):
            raise LoginNeeded
        if order:
            devices_of = (await get_order(session, who, order)).store_id

    def mine(entry: FeedEntry) -> bool:
        return isinstance(who, Customer) and entry.account_id == who.account_id

    def hint(entry: FeedEntry) -> list[str]:
        if devices_of and entry.store_id == devices_of and entry.topic in _OF_DEVICES:
            return [f"order:{order}"]
        if store and entry.store_id == store and entry.topic in _OF_ROOMS:
            return [topic for topic in _topics(entry) if not topic.startswith("order:")]
        return []

    followed = [f"store:{store}"] if store else []
    followed += [f"order:{order}"] if order else []
    return _stream(request, who, last_event_id, mine, hint, followed)


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


def _nothing(_entry: FeedEntry) -> list[str]:
    return []


def _stream(
    request: Request,
    who: Actor,
    last: str,
    mine: Mine,
    hint: Hint = _nothing,
    followed: list[str] | None = None,
) -> StreamingResponse:
    cloud = cloud_of(request)
    known = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
    return StreamingResponse(
        _lines(cloud, who, known, mine, hint, followed),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _lines(
    cloud: Cloud,
    who: Actor,
    known: int | None,
    mine: Mine,
    hint: Hint = _nothing,
    followed: list[str] | None = None,
) -> AsyncIterator[str]:
    tail: FeedTail = cloud.parts.get(_PART) or cloud.parts.setdefault(_PART, FeedTail(cloud.db))
    queue = await tail.join()
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE_S
    sent = known if known is not None else tail.cursor
    # Only a demonstration moves its clock: elsewhere nobody wakes up to look.
    look_s = LOOK_EVERY_S if cloud.settings.clock_file else KEEP_ALIVE_S
    ahead, told_at = _ahead(cloud), loop.time()
    rights = _Rights(cloud, who, queue)
    try:
        if not await rights.still():
            return
        # With the time: a page may be older than a jump that nobody will tell again.
        yield f"retry: 2000\nid: {sent}\n\n{_clock(cloud)}"
        if followed and known is not None and known < tail.cursor:
            yield _event("change", {"topics": followed})  # hints that were missed, as one
        for entry in await _missed(cloud, who, sent, tail.cursor):
            sent = entry.id or sent
            yield _line(entry)
        while loop.time() < end:
            told: FeedEntry | None = None
            try:
                told = await asyncio.wait_for(queue.get(), min(look_s, end - loop.time()))
                if told is None:
                    return
            except TimeoutError:
                pass
            if rights.look_again(loop.time()) and not await rights.still():
                return
            moved = abs(_ahead(cloud) - ahead) > JUMP
            if moved or loop.time() - told_at >= KEEP_ALIVE_S - LOOK_EVERY_S:
                ahead, told_at = _ahead(cloud), loop.time()
                yield _clock(cloud, jump=moved)
            if told is None or (told.id or 0) <= sent:
                continue
            if mine(told):
                yield _line(told)
            elif topics := hint(told):
                yield _event("change", {"topics": topics}, told.id)
    finally:
        rights.forget()
        tail.leave(queue)


class _Rights:
    """Ends a stream when its login does, or when what the login may see changes."""

    def __init__(self, cloud: Cloud, who: Actor, queue: asyncio.Queue[FeedEntry | None]) -> None:
        self._cloud = cloud
        self._queue = queue
        self._login = str(getattr(who, "login_id", ""))
        self._keys = {self._login}
        if isinstance(who, Staff):
            self._keys |= {who.account_id, who.merchant_id}
        self._looked_at = asyncio.get_running_loop().time()
        if self._login:
            cloud.db.listen(RIGHTS, self._heard)

    def _heard(self, key: str) -> None:
        if not key:  # something may have been missed
            self._looked_at = float("-inf")
        elif key in self._keys:
            if self._queue.full():
                self._queue.get_nowait()
            self._queue.put_nowait(None)

    def look_again(self, now: float) -> bool:
        """Whether the login is to be looked at; ``now`` is the loop's time."""
        due = bool(self._login) and now - self._looked_at >= LOOK_AGAIN_S
        self._looked_at = now if due else self._looked_at
        return due

    async def still(self) -> bool:
        """Whether the login is good now; a stranger's stream has none to end."""
        if not self._login:
            return True
        async with self._cloud.db.read() as session:
            return await is_good(session, self._login, self._cloud.clocks.real)

    def forget(self) -> None:
        """Listen no more."""
        self._cloud.db.forget(RIGHTS, self._heard)


def _ahead(cloud: Cloud) -> timedelta:
    """By how much business time is ahead of real time."""
    return cloud.clocks.now - cloud.clocks.real


def _clock(cloud: Cloud, *, jump: bool = False) -> str:
    now: datetime = cloud.clocks.now
    return _event("clock", {"now": now.isoformat()} | ({"jump": True} if jump else {}))


async def _missed(cloud: Cloud, who: Actor, after: int, upto: int) -> list[FeedEntry]:
    if after >= upto or isinstance(who, Anyone):
        return []
    query = (
        scoped(who, FeedEntry)
        .where(col(FeedEntry.id) > after, col(FeedEntry.id) <= upto)
        .order_by(col(FeedEntry.id).desc())
        .limit(CATCH_UP)
    )
    async with cloud.db.read() as session:
        return list(reversed((await session.exec(query)).all()))


def _topics(entry: FeedEntry) -> list[str]:
    """What the event is about."""
    body = entry.body
    order = body.get("order_id") or body.get("order")
    room = body.get("room_id") or body.get("room")
    named = (("store", entry.store_id), ("room", room), ("order", order))
    return [f"{noun}:{key}" for noun, key in named if key]


def _line(entry: FeedEntry) -> str:
    told = {"at": entry.at.isoformat(), "topics": _topics(entry), **entry.body}
    return _event(entry.topic, told, entry.id)


def _event(name: str, body: dict[str, Any], number: int | None = None) -> str:
    mark = f"id: {number}\n" if number is not None else ""
    return f"{mark}event: {name}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"

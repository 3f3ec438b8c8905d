"""Forty clients who want the same ten rooms at overlapping times, through the claims service."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlmodel import select

from cloud_api.claims import guard
from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.stores.models import Room

CLIENTS = 40
ROOMS = 10


async def race(
    db: Database, rooms: list[Room], clocks: Clocks, seed: int, clients: int = CLIENTS
) -> Counter[str]:
    """Every client asks for every room; the windows of a room all overlap. Winners by room."""
    dice = random.Random(seed)
    noon = clocks.now + timedelta(hours=3)
    asks = [
        (room, noon + timedelta(minutes=30 * dice.randrange(4)))
        for room in rooms
        for _ in range(clients)
    ]
    dice.shuffle(asks)
    won: Counter[str] = Counter({room.id: 0 for room in rooms})

    async def client(mine: list[tuple[Room, datetime]]) -> None:
        for room, start in mine:
            try:
                async with db.write() as session:
                    end = start + timedelta(hours=3)
                    await claims.hold(session, room, None, start, end, clocks)
                won[room.id] += 1
            except claims.RoomTaken:
                continue

    await asyncio.gather(*(client(asks[i::clients]) for i in range(clients)))
    return won


async def drop_guard(db: Database) -> None:
    """Take the database's refusal away, to see what it is good for."""
    statements = (
        ("DROP TRIGGER room_claim_no_overlap_insert", "DROP TRIGGER room_claim_no_overlap_update")
        if db.is_sqlite
        else (f"ALTER TABLE room_claim DROP CONSTRAINT {guard.CONSTRAINT}",)
    )
    async with db.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def overlaps(db: Database) -> int:
    """Pairs of unreleased claims of a room that overlap, counted by hand."""
    async with db.read() as session:
        rows = (await session.exec(select(RoomClaim))).all()
    live = [row for row in rows if row.state != "released"]
    return sum(
        a.room_id == b.room_id and a.block_from < b.block_until and b.block_from < a.block_until
        for i, a in enumerate(live)
        for b in live[i + 1 :]
    )

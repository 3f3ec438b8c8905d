"""Which ingest worker listens to which shards: a fair share each, for balance, never for correctness."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.store_channel.models import IngestWorker, ShardLease
from store_link.topics import SHARDS

LEASE = timedelta(seconds=4)  # what a killed worker's stores wait until they are heard again
RENEW_EVERY_S = 1.0
SHARDS_MOVED = "shards"  # announced when a worker comes or gives shards up: others look at once


async def renew(cloud: Cloud, holder: str) -> frozenset[int]:
    """Say that ``holder`` lives, give up what is beyond its share, take what is free; what it holds."""
    now = cloud.clocks.real
    until = now + LEASE
    async with cloud.db.write() as session:
        if await insert_or_ignore(session, IngestWorker, {"holder": holder, "until": until}):
            announce_after_commit(session, SHARDS_MOVED, holder)
        await session.execute(
            update(IngestWorker).where(col(IngestWorker.holder) == holder).values(until=until)
        )
        await session.execute(delete(IngestWorker).where(col(IngestWorker.until) < now))
        workers = (
            await session.execute(select(func.count()).select_from(IngestWorker))
        ).scalar_one()
        share = -(-SHARDS // max(workers, 1))
        mine = await _shards(session, col(ShardLease.holder) == holder)
        kept, surplus = mine[:share], mine[share:]
        if surplus:
            await session.execute(
                delete(ShardLease).where(
                    col(ShardLease.holder) == holder, col(ShardLease.shard).in_(surplus)
                )
            )
            announce_after_commit(session, SHARDS_MOVED, holder)
        # One whose lease ran out may have been taken in the meantime: what counts is who it says.
        await session.execute(
            update(ShardLease)
            .where(col(ShardLease.holder) == holder, col(ShardLease.shard).in_(kept))
            .values(until=until)
        )
        taken = set(await _shards(session, col(ShardLease.until) >= now))
        free = [shard for shard in range(SHARDS) if shard not in taken]
        for shard in free[: share - len(kept)]:
            await _take(session, holder, shard, now)
        return frozenset(await _shards(session, col(ShardLease.holder) == holder))


async def leave(cloud: Cloud, holder: str) -> None:
    """Hand everything back: others take it within seconds."""
    async with cloud.db.write() as session:
        await session.execute(delete(ShardLease).where(col(ShardLease.holder) == holder))
        await session.execute(delete(IngestWorker).where(col(IngestWorker.holder) == holder))
        announce_after_commit(session, SHARDS_MOVED, holder)


async def held(cloud: Cloud, holder: str) -> frozenset[int]:
    """The shards that ``holder`` has leased now."""
    async with cloud.db.read() as session:
        mine = (col(ShardLease.holder) == holder) & (col(ShardLease.until) >= cloud.clocks.real)
        return frozenset(await _shards(session, mine))


async def anybody(cloud: Cloud) -> bool:
    """Whether any worker listens to stores now."""
    async with cloud.db.read() as session:
        return bool(await _shards(session, col(ShardLease.until) >= cloud.clocks.real))


async def _shards(session: AsyncSession, which: ColumnElement[bool]) -> list[int]:
    query = select(col(ShardLease.shard)).where(which).order_by(col(ShardLease.shard))
    return list((await session.execute(query)).scalars())


async def _take(session: AsyncSession, holder: str, shard: int, now: datetime) -> None:
    """A free shard: nobody's yet, or one whose lease ran out."""
    until = now + LEASE
    values = {"shard": shard, "holder": holder, "until": until}
    if not await insert_or_ignore(session, ShardLease, values):
        await session.execute(
            update(ShardLease)
            .where(col(ShardLease.shard) == shard, col(ShardLease.until) < now)
            .values(holder=holder, until=until)
        )

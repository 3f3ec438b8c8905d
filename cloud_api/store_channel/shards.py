"""Which ingest worker listens to which shards: a fair share each, for balance, never for correctness."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import CursorResult
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.store_channel.models import IngestWorker, ShardLease
from store_link.topics import SHARDS

LEASE = timedelta(seconds=15)
RENEW_EVERY_S = 5.0


async def renew(cloud: Cloud, holder: str) -> frozenset[int]:
    """Say that ``holder`` lives, give up what is beyond its share, take what is free; what it holds."""
    now = cloud.clocks.real
    until = now + LEASE
    async with cloud.db.write() as session:
        await insert_or_ignore(session, IngestWorker, {"holder": holder, "until": until})
        await session.execute(
            update(IngestWorker).where(col(IngestWorker.holder) == holder).values(until=until)
        )
        await session.execute(delete(IngestWorker).where(col(IngestWorker.until) < now))
        workers = (
            await session.execute(select(func.count()).select_from(IngestWorker))
        ).scalar_one()
        share = -(-SHARDS // max(workers, 1))
        leases = (
            (await session.execute(select(ShardLease).order_by(col(ShardLease.shard))))
            .scalars()
            .all()
        )
        by_shard = {lease.shard: lease for lease in leases}
        mine = [n for n, lease in by_shard.items() if lease.holder == holder]
        free = [n for n in range(SHARDS) if n not in by_shard or by_shard[n].until < now]
        held = set(mine[:share])
        await _give_up(session, holder, mine[share:])
        for shard in sorted(held):
            if not await _take(session, holder, shard, cloud, mine=True):
                held.discard(shard)
        for shard in [n for n in free if n not in mine][: share - len(held)]:
            if await _take(session, holder, shard, cloud, mine=False):
                held.add(shard)
    return frozenset(held)


async def leave(cloud: Cloud, holder: str) -> None:
    """Hand everything back: others take it within seconds."""
    async with cloud.db.write() as session:
        await session.execute(delete(ShardLease).where(col(ShardLease.holder) == holder))
        await session.execute(delete(IngestWorker).where(col(IngestWorker.holder) == holder))


async def _take(
    session: AsyncSession, holder: str, shard: int, cloud: Cloud, *, mine: bool
) -> bool:
    now = cloud.clocks.real
    until = now + LEASE
    whose = col(ShardLease.holder) == holder if mine else col(ShardLease.until) < now
    result = await session.execute(
        update(ShardLease)
        .where(col(ShardLease.shard) == shard, whose)
        .values(holder=holder, until=until)
    )
    assert isinstance(result, CursorResult)
    if result.rowcount == 1:
        return True
    values = {"shard": shard, "holder": holder, "until": until}
    return not mine and await insert_or_ignore(session, ShardLease, values)


async def _give_up(session: AsyncSession, holder: str, shards: list[int]) -> None:
    await session.execute(
        delete(ShardLease).where(
            col(ShardLease.holder) == holder, col(ShardLease.shard).in_(shards)
        )
    )


async def held(cloud: Cloud, holder: str) -> frozenset[int]:
    """The shards that ``holder`` has leased now."""
    query = select(col(ShardLease.shard)).where(
        col(ShardLease.holder) == holder, col(ShardLease.until) >= cloud.clocks.real
    )
    async with cloud.db.read() as session:
        return frozenset((await session.execute(query)).scalars())

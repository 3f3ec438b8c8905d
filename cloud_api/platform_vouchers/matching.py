"""A day's records at a platform beside ours: what differs stands in a list until somebody dealt with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, schedule
from cloud_api.kit.errors import NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDifference, PlatformUse
from cloud_api.platform_vouchers.platforms.base import ZONE, Record, Silent
from cloud_api.platform_vouchers.service import client_of
from cloud_api.platform_vouchers.transitions import COUNTED

MATCH: Final = "platform.match"  # ref: day; every night, of the day before
MATCH_ONE: Final = "platform.match_one"  # ref: "<account id>:<day>"
CATEGORIES: Final = {
    "missing_here": "平台核销了，这里没有",
    "missing_there": "这里用了，平台没有核销记录",
    "amount": "金额不一样",
    "state": "状态不一样",
}
_AGAIN_S: Final = 900
_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Difference:
    """See PlatformDifference."""

    category: str
    receipt: str
    name: str
    theirs_fen: int | None = None
    use: PlatformUse | None = None


def compare(records: Iterable[Record], ours: Mapping[str, PlatformUse]) -> list[Difference]:
    """``ours``: the uses verified on that day by their receipts. Pure."""
    found: list[Difference] = []
    seen: set[str] = set()
    for one in records:
        use = ours.get(one.receipt)
        seen.add(one.receipt)
        if use is None:
            if not one.cancelled:
                found.append(Difference("missing_here", one.receipt, one.title, one.paid_fen))
        elif one.cancelled == (use.state in COUNTED):
            found.append(Difference("state", one.receipt, use.name, one.paid_fen, use))
        elif not one.cancelled and one.paid_fen not in (None, use.worth_fen):
            found.append(Difference("amount", one.receipt, use.name, one.paid_fen, use))
    for receipt, use in ours.items():
        if receipt not in seen and use.state in COUNTED:
            found.append(Difference("missing_there", receipt, use.name, None, use))
    return found


async def every_night(cloud: Cloud, job: DueJob) -> None:
    """Job ``platform.match``: one job for each access, of the platforms' day before."""
    day = cloud.clocks.now.astimezone(ZONE).date() - timedelta(days=1)
    async with cloud.db.write() as session:
        query = scoped(_SYSTEM, PlatformAccount).where(col(PlatformAccount.enabled).is_(True))
        for account in (await session.exec(query)).all():
            await schedule(
                session,
                merchant_id=account.merchant_id,
                kind=MATCH_ONE,
                ref=f"{account.id}:{day}",
                run_at=cloud.clocks.real,
                clock="wire",
            )


async def match_job(cloud: Cloud, job: DueJob) -> None:
    """Job ``platform.match_one``: asked for again until the platform has answered."""
    account_id, _, day = job.ref.rpartition(":")
    try:
        await match(cloud, account_id, date.fromisoformat(day))
    except Silent as error:
        raise Again(_AGAIN_S, str(error)) from error


async def match(cloud: Cloud, account_id: str, day: date) -> list[Difference]:
    """Fetch a day's records, compare, and keep what differs. Raises Silent."""
    async with cloud.db.read() as session:
        account = await session.get(PlatformAccount, account_id)
    client = None if account is None else await client_of(cloud, account)
    if account is None or client is None:
        return []
    records: list[tuple[str, Record]] = []
    for store_id, place in sorted(account.places.items()):
        told = await client.records(day, str(place))
        if told is None:
            return []
        records += [(store_id, one) for one in told]
    stores = {one.receipt: store_id for store_id, one in records}
    async with cloud.db.write() as session:
        ours = await _ours(session, account, day, set(stores))
        found = compare([one for _, one in records], ours)
        for one in found:
            use = one.use
            await insert_or_ignore(
                session,
                PlatformDifference,
                {
                    "id": new_id(),
                    "merchant_id": account.merchant_id,
                    "store_id": stores.get(one.receipt, None if use is None else use.store_id),
                    "platform_account_id": account.id,
                    "day": day,
                    "category": one.category,
                    "receipt": one.receipt,
                    "use_id": None if use is None else use.id,
                    "name": one.name,
                    "theirs_fen": one.theirs_fen,
                    "ours_fen": None if use is None else use.worth_fen,
                    "found_at": cloud.clocks.now,
                    "solved_why": "",
                },
            )
    return found


async def solve(
    session: AsyncSession, staff: Staff, difference_id: str, why: str, clocks: Clocks
) -> PlatformDifference:
    """Somebody dealt with it; again changes nothing. Raises NotFound."""
    query = scoped(staff, PlatformDifference).where(col(PlatformDifference.id) == difference_id)
    found = (await session.exec(query.with_for_update())).first()
    if found is None:
        raise NotFound("platform_difference", "没有这条差异")
    if found.solved_at is None:
        found.solved_at, found.solved_by, found.solved_why = clocks.now, staff.ref, why
        session.add(found)
        await audit.record(
            session,
            staff,
            "platform_difference.solve",
            merchant_id=found.merchant_id,
            store_id=found.store_id,
            subject=f"platform_difference:{found.id}",
            after={"category": found.category, "receipt": found.receipt},
            why=why,
            clocks=clocks,
        )
    return found


async def _ours(
    session: AsyncSession, account: PlatformAccount, day: date, receipts: set[str]
) -> dict[str, PlatformUse]:
    """Uses that were verified on the day, and those whose receipts the platform names."""
    begins = datetime.combine(day, time(), ZONE)
    query = scoped(_SYSTEM, PlatformUse).where(
        col(PlatformUse.platform_account_id) == account.id,
        col(PlatformUse.receipt) != "",
        (
            (col(PlatformUse.verified_at) >= begins)
            & (col(PlatformUse.verified_at) < begins + timedelta(days=1))
        )
        | col(PlatformUse.receipt).in_(sorted(receipts)),
    )
    found = (await session.exec(query.order_by(col(PlatformUse.id)))).all()
    return {one.receipt: one for one in found}

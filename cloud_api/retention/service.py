"""How long a merchant keeps what, what tonight would take, and a night's work in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import changes, record
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.retention.kinds import BY_KEY, FOR_EVER, KINDS, MOST_DAYS, Kind
from cloud_api.retention.models import RetentionRule, RetentionRun
from cloud_api.staff.permissions import CUSTOMER_DELETE

BATCH: Final = 500
BATCHES: Final = 20
"""Of one kind in one run of the job: then others have their turn."""
_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Kept:
    """A kind as a merchant keeps it: ``days`` (0: for ever), and how many rows are older now."""

    kind: Kind
    days: int
    old: int
    last: RetentionRun | None


async def days_of(session: AsyncSession, merchant_id: str) -> dict[str, int]:
    """By kind for how many days it is kept; 0 for ever."""
    rule = await session.get(RetentionRule, merchant_id)
    told = {} if rule is None else rule.days
    return {one.key: int(told.get(one.key, one.days)) for one in KINDS}


async def look(
    session: AsyncSession, actor: Staff, clocks: Clocks, wish: Mapping[str, int] | None = None
) -> list[Kept]:
    """Each kind and what would go tonight; with ``wish`` as if that were chosen. Needs customer.delete.

    Raises KaimenError ``retention.days`` (422), ``role.branch`` (403).
    """
    _need(actor)
    days = await days_of(session, actor.merchant_id) | checked(wish or {})
    runs = scoped(actor, RetentionRun).order_by(col(RetentionRun.night).desc()).limit(len(KINDS))
    last: dict[str, RetentionRun] = {}
    for run in (await session.exec(runs)).all():
        last.setdefault(run.kind, run)
    told = []
    for kind in KINDS:
        keep = days[kind.key]
        old = 0
        if keep != FOR_EVER:
            before = clocks.real - timedelta(days=keep)
            old = await kind.count(session, actor.merchant_id, before)
        told.append(Kept(kind, keep, old, last.get(kind.key)))
    return told


def checked(days: Mapping[str, int]) -> dict[str, int]:
    """``days`` by kind, each 0 or within its bounds. Raises KaimenError ``retention.days`` (422)."""
    for key, keep in days.items():
        least = BY_KEY[key].least
        if keep != FOR_EVER and not least <= keep <= MOST_DAYS:
            raise KaimenError(
                "retention.days",
                _("{what}至少留 {n} 天，要么一直留着").format(what=_(BY_KEY[key].name), n=least),
                status=422,
                field=key,
            )
    return dict(days)


async def choose(
    session: AsyncSession, actor: Staff, days: Mapping[str, int], clocks: Clocks
) -> dict[str, int]:
    """Keep so long from the next night on; what is not named stays as it is. Needs customer.delete.

    Raises as ``look``.
    """
    _need(actor)
    before = await days_of(session, actor.merchant_id)
    after = before | checked(days)
    rule = await session.get(RetentionRule, actor.merchant_id)
    if rule is None:
        rule = RetentionRule(
            merchant_id=actor.merchant_id, changed_at=clocks.real, changed_by=actor.ref
        )
    rule.days, rule.changed_at, rule.changed_by = after, clocks.real, actor.ref
    session.add(rule)
    was, now = changes(before, after)
    if now:
        await record(
            session, actor, "retention.change", merchant_id=actor.merchant_id,
            subject=f"merchant:{actor.merchant_id}", before=was, after=now, clocks=clocks,
        )  # fmt: skip
    return after


def _need(actor: Staff) -> None:
    actor.need(CUSTOMER_DELETE)
    if actor.store_ids is not None:
        raise KaimenError("role.branch", "这是全部门店共用的，请让店主来改", status=403)


async def clear(cloud: Cloud, merchant_id: str, night: str, slot: datetime) -> bool:
    """A part of a night's work; whether all of it is done. Again after a crash it goes on where it was.

    Every batch is a transaction of its own with its count, so what went is known to the row; the log of
    acts hears of a kind once, when it is done.
    """
    async with cloud.db.read() as session:
        days = await days_of(session, merchant_id)
    done = True
    for kind in KINDS:
        keep = days[kind.key]
        if keep != FOR_EVER:
            before = slot - timedelta(days=keep)
            done = await _clear_kind(cloud, merchant_id, night, kind, before) and done
    return done


async def _clear_kind(
    cloud: Cloud, merchant_id: str, night: str, kind: Kind, before: datetime
) -> bool:
    key = (merchant_id, night, kind.key)
    for _batch in range(BATCHES):
        async with cloud.db.write() as session:
            values = {"merchant_id": merchant_id, "night": night, "kind": kind.key}
            first = {**values, "before": before, "rows": 0, "done_at": None}
            await insert_or_ignore(session, RetentionRun, first)
            run = await session.get_one(RetentionRun, key, with_for_update=True)
            if run.done_at is not None:
                return True
            there = await kind.count(session, merchant_id, run.before) if kind.whole else 0
            gone = await kind.drop(cloud, session, merchant_id, run.before, BATCH)
            run.rows += there if kind.whole else gone
            session.add(run)
            if gone < BATCH:
                run.done_at = cloud.clocks.real
                if run.rows:
                    await record(
                        session, _SYSTEM, "retention.clear", merchant_id=merchant_id,
                        subject=f"merchant:{merchant_id}",
                        after={"kind": kind.key, "rows": run.rows, "before": run.before.isoformat()},
                        clocks=cloud.clocks,
                    )  # fmt: skip
                return True
    return False

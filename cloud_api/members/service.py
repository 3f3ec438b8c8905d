"""Taking one's data along, and having it deleted. Packages say themselves what they hold (kit/personal)."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.personal import Section, holders
from cloud_api.kit.recurring import INSTALLATION
from cloud_api.kit.throttle import hit
from cloud_api.members import export
from cloud_api.members.models import DataExport

EXPORT: Final = "members.export"
KEEP: Final = timedelta(days=7)
LIMIT: Final = (3, 86_400)  # copies per seconds and person


async def ask_export(session: AsyncSession, actor: Customer, clocks: Clocks) -> DataExport:
    """Ask for a copy of one's data; a job makes it. One that is being made is given again.

    Raises TooOften.
    """
    waiting = scoped(actor, DataExport).where(col(DataExport.state) == "asked")
    known = (await session.exec(waiting)).first()
    if known is not None:
        return known
    await hit(session, f"data-export:{actor.account_id}", *LIMIT, clocks.real)
    made = DataExport(account_id=actor.account_id, created_at=clocks.real)
    session.add(made)
    await session.flush()
    await schedule(
        session,
        merchant_id=INSTALLATION,
        kind=EXPORT,
        ref=made.id,
        run_at=clocks.real,
        clock="wire",
    )
    await _record(session, actor, "account.export", clocks)
    return made


async def make_export(cloud: Cloud, export_id: str) -> None:
    """The job: gather, pack, keep encrypted. Doing it again changes nothing."""
    async with cloud.db.read() as session:
        row = await session.get(DataExport, export_id)
        if row is None or row.state != "asked":
            return
        sections: list[Section] = []
        for holder in holders():
            sections += await holder.export(session, row.account_id)
    now = cloud.clocks.real
    packed = export.archive(sections, now, cloud.settings.timezone)
    async with cloud.db.write() as session:
        await session.exec(
            update(DataExport)
            .where(col(DataExport.id) == export_id, col(DataExport.state) == "asked")
            .values(
                state="ready",
                content=base64.b64encode(packed).decode(),
                size_bytes=len(packed),
                ready_at=now,
                expires_at=now + KEEP,
            )
        )


async def exports(session: AsyncSession, actor: Customer) -> list[DataExport]:
    """One's copies, newest first."""
    query = scoped(actor, DataExport).order_by(col(DataExport.id).desc()).limit(10)
    return list((await session.exec(query)).all())


async def fetch(
    session: AsyncSession, actor: Customer, export_id: str, now: datetime
) -> tuple[DataExport, bytes]:
    """A copy's bytes (zip). Raises NotFound, Conflict ``export.not_ready`` / ``export.expired``."""
    query = scoped(actor, DataExport).where(col(DataExport.id) == export_id)
    row = (await session.exec(query)).one_or_none()
    if row is None:
        raise NotFound("export")
    if row.state == "asked":
        raise Conflict("export.not_ready", "还在整理，好了会出现下载")
    if row.content is None or row.expires_at is None or row.expires_at <= now:
        raise Conflict("export.expired", "这份资料已经过期，请重新导出")
    return row, base64.b64decode(row.content)


async def delete_account(
    session: AsyncSession, actor: Customer, confirm: str, clocks: Clocks
) -> None:
    """Take away what tells who this person is. Orders and money stay, without a person; the number
    may register anew, as somebody new.

    Raises KaimenError ``me.confirm`` (422), Conflict ``me.delete_blocked`` (409) with the reasons.
    """
    account = await session.get(Account, actor.account_id, with_for_update=True)
    if account is None:
        raise NotFound("account")
    if confirm != account.phone_tail:
        raise KaimenError("me.confirm", "和你手机号的后四位不一样", status=422, field="confirm")
    blockers = [
        blocker
        for holder in holders()
        for blocker in await holder.blockers(session, actor.account_id)
    ]
    if blockers:
        raise Conflict(
            "me.delete_blocked",
            _("；").join(_(one.message) for one in blockers),
            reasons=[
                {"code": one.code, "message": one.message, "refs": one.refs} for one in blockers
            ],
        )
    for holder in holders():
        await holder.forget(session, actor.account_id, clocks)
    await session.exec(
        update(DataExport)
        .where(col(DataExport.account_id) == actor.account_id)
        .values(state="expired", content=None)
    )
    await _record(session, actor, "account.delete", clocks)


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Copies whose week is over go; ``now`` is wire time."""
    await session.exec(
        update(DataExport)
        .where(col(DataExport.expires_at) <= now, col(DataExport.state) == "ready")
        .values(state="expired", content=None)
    )


async def _record(session: AsyncSession, actor: Customer, action: str, clocks: Clocks) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=audit.INSTALLATION,
        subject=f"account:{actor.account_id}",
        clocks=clocks,
    )

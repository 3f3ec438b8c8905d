"""What a person was told (their in-app inbox), what they agreed to, and the merchant's delivery log."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.paging import page_of
from cloud_api.notifications.channels import wechat
from cloud_api.notifications.models import (
    Delivery,
    Notice,
    NoticeChannel,
    NoticeTemplate,
    WechatConsent,
)
from cloud_api.notifications.schemas import DeliveryOut
from cloud_api.notifications.texts import TEXTS
from cloud_api.staff.permissions import NOTICE_READ

KEPT: Final = timedelta(days=180)
"""So long a notice and its log are kept: past any dispute about an order, no longer than needed."""
MOST_CONSENTS = 20  # free ones of a person and template: more are of no use to anybody


async def inbox(
    session: AsyncSession, account_id: str, *, cursor: str | None = None, limit: int = 20
) -> tuple[list[Notice], str | None]:
    """A person's notices, the newest first."""
    query = scoped(Customer(account_id), Notice)
    return await page_of(
        session, query, by=Notice.created_at, key=Notice.id, cursor=cursor, limit=limit
    )


async def unread(session: AsyncSession, account_id: str) -> int:
    """How many a person has not seen."""
    inner = scoped(Customer(account_id), Notice).where(col(Notice.read_at).is_(None)).subquery()
    return int((await session.exec(select(func.count()).select_from(inner))).one())


async def mark_read(cloud: Cloud, session: AsyncSession, account_id: str) -> None:
    """A person has seen all of them."""
    await session.exec(
        update(Notice)
        .where(col(Notice.account_id) == account_id, col(Notice.read_at).is_(None))
        .values(read_at=cloud.clocks.now)
        .execution_options(synchronize_session=False)
    )


async def delivery_log(
    session: AsyncSession,
    actor: Staff,
    *,
    state: str = "",
    kind: str = "",
    cursor: str | None = None,
    limit: int = 20,
) -> tuple[list[DeliveryOut], str | None]:
    """What was sent by which channel and how it went, the newest first. Needs notice.read."""
    actor.need(NOTICE_READ)
    query = scoped(actor, Delivery)
    if state:
        query = query.where(col(Delivery.state) == state)
    if kind:
        query = query.where(col(Delivery.kind) == kind)
    found, following = await page_of(
        session, query, by=Delivery.created_at, key=Delivery.id, cursor=cursor, limit=limit
    )
    ids = {one.notice_id for one in found}
    notices = {
        one.id: one
        for one in (await session.exec(scoped(actor, Notice).where(col(Notice.id).in_(ids)))).all()
    }
    return [
        DeliveryOut.of(one, notices[one.notice_id], TEXTS[notices[one.notice_id].event].name)
        for one in found
        if one.notice_id in notices
    ], following


async def consent(
    cloud: Cloud, person: Customer, merchant_id: str, code: str, templates: list[str]
) -> int:
    """Keep what a person agreed to in the mini program; how many were taken.

    Who it is says WeChat (``code``), never the phone. Only templates the merchant uses count. Raises
    KaimenError ``wechat.none`` where the merchant has no mini program, ``wechat.bad_code``.
    """
    async with cloud.db.read() as session:
        query = scoped(System(), NoticeChannel).where(
            col(NoticeChannel.merchant_id) == merchant_id,
            col(NoticeChannel.kind) == "wechat",
            col(NoticeChannel.enabled).is_(True),
        )
        channel = (await session.exec(query)).first()
        used = scoped(System(), NoticeTemplate).where(
            col(NoticeTemplate.merchant_id) == merchant_id, col(NoticeTemplate.channel) == "wechat"
        )
        known = {row.provider_template for row in (await session.exec(used)).all()}
    if channel is None:
        raise KaimenError("wechat.none", "商家还没有开通微信消息", status=404)
    credentials = wechat.WechatCredentials.model_validate_json(channel.credentials)
    openid = await wechat.openid_of(cloud, credentials, code)
    taken = 0
    async with cloud.db.write() as session:
        for template in templates:
            if template not in known or await _free(session, person, template) >= MOST_CONSENTS:
                continue
            session.add(
                WechatConsent(
                    merchant_id=merchant_id,
                    account_id=person.account_id,
                    appid=credentials.app_id,
                    openid=openid,
                    template_id=template,
                    created_at=cloud.clocks.real,
                )
            )
            taken += 1
    return taken


async def _free(session: AsyncSession, person: Customer, template: str) -> int:
    inner = (
        scoped(person, WechatConsent)
        .where(col(WechatConsent.template_id) == template, col(WechatConsent.used_at).is_(None))
        .subquery()
    )
    return int((await session.exec(select(func.count()).select_from(inner))).one())


async def forget_old(session: AsyncSession, clocks: Clocks) -> None:
    """Notices whose time is over go with their deliveries, and consents that were used up so long ago."""
    old = col(Notice.created_at) <= clocks.now - KEPT
    await session.exec(
        delete(Delivery).where(col(Delivery.notice_id).in_(select(col(Notice.id)).where(old)))
    )
    await session.exec(delete(Notice).where(old))
    await session.exec(
        delete(WechatConsent).where(col(WechatConsent.used_at) <= clocks.real - KEPT)
    )

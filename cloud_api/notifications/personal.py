"""What notices keep of a person: the inbox, and the permission to write to them on WeChat."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register
from cloud_api.notifications import choices
from cloud_api.notifications.models import Delivery, Notice, NoticeChoice, WechatConsent


class _Notices:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        query = scoped(Customer(account_id), Notice).order_by(col(Notice.id))
        found = (await session.exec(query)).all()
        chosen = await choices.choices(session, account_id)
        agreed = (await session.exec(scoped(Customer(account_id), WechatConsent))).all()
        return [
            Section(
                "notices",
                "收到的通知",
                [{"标题": one.title, "内容": one.body, "时间": one.created_at} for one in found],
            ),
            Section(
                "notice_choices",
                "想不想收到应用以外的消息",
                [
                    {"哪一类": choices.NAMES[kind][0], "要不要": "要" if wanted else "不要"}
                    for kind, wanted in chosen.items()
                ],
            ),
            Section(
                "wechat_consents",
                "同意过的微信消息",
                [
                    {"微信编号": one.openid, "同意时间": one.created_at, "发出时间": one.used_at}
                    for one in sorted(agreed, key=lambda one: one.created_at)
                ],
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        mine = col(Notice.account_id) == account_id
        await session.exec(
            update(Delivery)
            .where(col(Delivery.notice_id).in_(select(col(Notice.id)).where(mine)))
            .values(recipient="")
        )
        await session.exec(
            update(Notice).where(mine).values(title="", body="", values={}, account_id=None)
        )
        await session.exec(delete(NoticeChoice).where(col(NoticeChoice.account_id) == account_id))
        await session.exec(delete(WechatConsent).where(col(WechatConsent.account_id) == account_id))
        del clocks


register("notices", _Notices())

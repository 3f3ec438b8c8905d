"""What is cleared, kind by kind: which rows are old, and a batch of them gone.

Orders, payments, vouchers and the books are no kind: nothing here touches them. Accounting vouchers and
books are kept for 30 years (China: 会计档案管理办法, 2015, annex 1). Logs of a network's events are kept for six
months at least (网络安全法, article 21): no setting goes below what its kind states in ``least``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, update
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import checkpoints
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.cloud import Cloud
from cloud_api.media.models import Media
from cloud_api.media.service import give_up
from cloud_api.members.models import MemberProfile
from cloud_api.notifications.models import Delivery, Notice
from cloud_api.orders.models import Order, OrderExport
from cloud_api.store_channel.models import StoreEvent
from cloud_api.webhooks.models import WebhookDelivery

Count = Callable[[AsyncSession, str, datetime], Awaitable[int]]
Drop = Callable[[Cloud, AsyncSession, str, datetime, int], Awaitable[int]]
FOR_EVER: Final = 0
MOST_DAYS: Final = 36_500


@dataclass(frozen=True, slots=True)
class Kind:
    """``days`` where the merchant chose none; ``least`` days are kept by law or because they are needed.

    ``drop`` takes at most so many rows and tells how many it took; fewer than asked means no more are there.
    """

    key: str
    name: str
    what: str
    days: int
    least: int
    count: Count
    drop: Drop
    whole: bool = False
    """All at once: the drop tells no number, so what is there before it counts."""


def _old(model: Any, at: str, *more: ColumnElement[bool]) -> Callable[[str, datetime], Any]:
    def where(merchant_id: str, before: datetime) -> Any:
        return and_(col(model.merchant_id) == merchant_id, col(getattr(model, at)) < before, *more)

    return where


def _count(model: type[SQLModel], where: Callable[[str, datetime], Any]) -> Count:
    async def count(session: AsyncSession, merchant_id: str, before: datetime) -> int:
        query = select(func.count()).select_from(model).where(where(merchant_id, before))
        return int((await session.exec(query)).one())

    return count


def _drop(model: Any, where: Callable[[str, datetime], Any]) -> Drop:
    async def drop(
        cloud: Cloud, session: AsyncSession, merchant_id: str, before: datetime, most: int
    ) -> int:
        del cloud
        query = select(col(model.id)).where(where(merchant_id, before)).limit(most)
        ids = (await session.exec(query)).all()
        await session.exec(delete(model).where(col(model.id).in_(ids)))
        return len(ids)

    return drop


_ON_THEIR_WAY: Final = ("waiting", "sending", "retrying")
_events = _old(StoreEvent, "received_at")
_notices = _old(
    Notice,
    "created_at",
    ~exists().where(
        col(Delivery.notice_id) == col(Notice.id), col(Delivery.state).in_(_ON_THEIR_WAY)
    ),
)
_webhooks = _old(WebhookDelivery, "created_at", col(WebhookDelivery.state) != "waiting")
_exports = _old(OrderExport, "created_at", col(OrderExport.content).is_(None))
_audit = _old(AuditEntry, "wire_at")
_guests = _old(
    MemberProfile,
    "last_at",
    or_(
        col(MemberProfile.name).is_not(None),
        col(MemberProfile.note).is_not(None),
        col(MemberProfile.tags) != [],
    ),
)


async def _drop_notices(
    cloud: Cloud, session: AsyncSession, merchant_id: str, before: datetime, most: int
) -> int:
    """With their deliveries; what is still on its way stays."""
    del cloud
    query = select(col(Notice.id)).where(_notices(merchant_id, before)).limit(most)
    ids = (await session.exec(query)).all()
    await session.exec(delete(Delivery).where(col(Delivery.notice_id).in_(ids)))
    await session.exec(delete(Notice).where(col(Notice.id).in_(ids)))
    return len(ids)


async def _drop_audit(
    cloud: Cloud, session: AsyncSession, merchant_id: str, before: datetime, most: int
) -> int:
    """As far as the chain's own way of being shortened goes: a signed checkpoint, then what lies before it."""
    del most
    await checkpoints.prune(session, merchant_id, before, cloud.clocks, cloud.settings.data_dir)
    return 0


async def _photos(session: AsyncSession, merchant_id: str, before: datetime) -> int:
    return len(await _old_photos(session, merchant_id, before, 10_000))


async def _old_photos(
    session: AsyncSession, merchant_id: str, before: datetime, most: int
) -> list[Media]:
    """Photos of cleaning tasks, which are evidence and on no page of the store. An id begins with its time."""
    query = (
        select(Media)
        .where(
            col(Media.merchant_id) == merchant_id,
            col(Media.subject).like("cleaning:%"),
            col(Media.deleted_at).is_(None),
            col(Media.id) < _first_id(before),
        )
        .limit(most)
    )
    return list((await session.exec(query)).all())


def _first_id(at: datetime) -> str:
    """The lowest id (ULID) that can have been made at ``at``."""
    ms, text = int(at.timestamp() * 1000), ""
    for _ in range(10):
        ms, rest = divmod(ms, 32)
        text = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[rest] + text
    return text + "0" * 16


async def _drop_photos(
    cloud: Cloud, session: AsyncSession, merchant_id: str, before: datetime, most: int
) -> int:
    found = await _old_photos(session, merchant_id, before, most)
    for media in found:
        await give_up(session, media, cloud.clocks.real)
    return len(found)


async def _forget_guests(
    cloud: Cloud, session: AsyncSession, merchant_id: str, before: datetime, most: int
) -> int:
    """What staff wrote of them goes; who they are is theirs, and their orders are the books'."""
    del cloud
    query = select(MemberProfile).where(_guests(merchant_id, before)).limit(most)
    found = (await session.exec(query)).all()
    for profile in found:
        profile.name, profile.note, profile.tags = None, None, []
        session.add(profile)
    await session.exec(
        update(Order)
        .where(
            col(Order.merchant_id) == merchant_id,
            col(Order.account_id).in_([one.account_id for one in found]),
            col(Order.staff_note) != "",
        )
        .values(staff_note="")
    )
    return len(found)


KINDS: Final = (
    Kind(
        "events", "门店上报的事件", "开门、用电、设备状态的流水。订单和统计里的数字不受影响",
        730, 180, _count(StoreEvent, _events), _drop(StoreEvent, _events),
    ),
    Kind(
        "photos", "保洁照片", "验收用的照片；门店和包间的宣传图不动",
        180, 30, _photos, _drop_photos,
    ),
    Kind(
        "notices", "通知记录", "发给顾客和店员的每一条，和它送到没有",
        365, 30, _count(Notice, _notices), _drop_notices,
    ),
    Kind(
        "webhooks", "推送记录", "推给别的软件的每一条，和对方的回答",
        90, 7, _count(WebhookDelivery, _webhooks), _drop(WebhookDelivery, _webhooks),
    ),
    Kind(
        "exports", "导出记录", "谁导过哪些表。表本身一天就删，操作记录里还查得到",
        90, 1, _count(OrderExport, _exports), _drop(OrderExport, _exports),
    ),
    Kind(
        "audit", "操作记录", "谁在什么时候做了什么。缩短后，剩下的链照样能验",
        FOR_EVER, 365, _count(AuditEntry, _audit), _drop_audit, whole=True,
    ),
    Kind(
        "guests", "很久没来的会员", "店员写的称呼、备注、标签和订单备注；他自己的账号、余额和订单不动",
        FOR_EVER, 180, _count(MemberProfile, _guests), _forget_guests,
    ),
)  # fmt: skip
BY_KEY: Final = {one.key: one for one in KINDS}

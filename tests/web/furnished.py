"""A town that has been lived in: offers, reviews, messages, vouchers and money in hand, so that no page is empty."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons import manage
from cloud_api.coupons.schemas import CouponIn
from cloud_api.groupbuy import buy, campaigns
from cloud_api.groupbuy.buy import pays
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.kit.clocks import Clocks
from cloud_api.notifications.models import Notice
from cloud_api.orders.models import Order
from cloud_api.pricing.models import Package, Slot
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, topup
from cloud_api.stored_value.schemas import AdjustIn, PlanIn
from cloud_api.support.models import Review
from cloud_api.vouchers import service as vouchers
from tests.cloud_api.factories import customer, make_customer, make_order, make_staff, staff
from tests.web.scenes import Town

SAID = (  # stars, words, the house's answer
    (5, "新桌子，洗牌安静，茶也好喝。", "谢谢，欢迎再来"),
    (4, "位置好找，晚上停车要早点来。", ""),
    (5, "", ""),
    (2, "空调太冷，调了半天。", "已经换了温控，下次来试试"),
)
TOLD = (
    ("order.ready", "订好了", "竹间 今天 17:00–19:00，16:45 起可以进门。"),
    ("refund.succeeded", "退款到账", "¥76 已经原路退回，订单梅间 12月1日。"),
    ("voucher.expiring", "券快到期", "四人下午场 3 天后到期，用了再走。"),
)


async def furnish(session: AsyncSession, town: Town, clocks: Clocks) -> dict[str, str]:
    """Ids of what pages are about: ``campaign``, ``team`` (its token), ``group_order``, ``voucher``."""
    shop, guest, now = town.shop, town.guest, clocks.now
    owner = staff(await make_staff(session, shop, now), ALL)
    own = {"merchant_id": shop.merchant.id, "store_id": shop.store.id, "created_at": now}
    session.add_all(
        [
            Package(name="三小时畅打", minutes=180, price_fen=8800, sort=1, **own),  # type: ignore[arg-type]
            Slot(name="下午场", from_minute=780, until_minute=1080, price_fen=16800, **own),  # type: ignore[arg-type]
        ]
    )
    for days in (3, 10):  # a guest who comes on Fridays, for three hours
        stay = await make_order(
            session, shop, guest, now - timedelta(days=days), now=now, minutes=180,
            status="completed", room=shop.rooms[0],
        )  # fmt: skip
        stay.ended_at = stay.ends_at
    terms = CampaignIn.model_validate(
        {
            "name": "四人下午场", "tagline": "竹间、梅间任选，送一壶龙井", "price_fen": 5800, "list_fen": 8800,
            "minutes": 180, "people": 4, "team_size": 4, "stock": 20, "most_per_customer": 2,
            "weekdays": 31, "from_minute": 600, "until_minute": 1080, "extras": ["龙井一壶", "瓜子一碟"],
            "starts_at": now - timedelta(days=1), "ends_at": now + timedelta(days=20),
            "store_ids": [shop.store.id],
        }
    ).model_dump()  # fmt: skip
    made = await campaigns.create(session, owner, terms, clocks)
    await campaigns.turn(session, owner, made.id, "published", clocks)
    group_order = await buy.buy(session, customer(guest), made.id, 1, clocks)
    alone = await buy.buy(session, customer(guest), made.id, 1, clocks, alone=True)
    alone.status, alone.paid_at = "issued", now
    (voucher,) = await vouchers.issue(
        session,
        merchant_id=shop.merchant.id,
        account_id=guest.id,
        source=pays(alone.id),
        campaign_id=made.id,
        terms=vouchers.Terms(
            "四人下午场", 180, 5800, [shop.store.id], now + timedelta(days=30), people=4
        ),
        count=1,
        clocks=clocks,
    )
    coupon = CouponIn(name="周末减 ¥20", kind="off", off_fen=2000, min_fen=6000, valid_days=30)
    kind = await manage.make(session, owner, coupon.model_dump(), clocks)
    await manage.issue(session, owner, kind, [guest.id], "", clocks)
    plan = PlanIn(name="充 ¥500 送 ¥60", pay_fen=50_000, gift_fen=6_000, gift_days=180)
    await topup.put_plan(session, owner, None, plan, clocks)
    gift = AdjustIn(store_id=shop.store.id, amount_fen=12_600, why="开业充值礼")
    await office.adjust(session, owner, guest.id, gift, clocks)
    await _said(session, town, clocks)
    for n, (event, title, body) in enumerate(TOLD):
        session.add(
            Notice(
                merchant_id=shop.merchant.id, store_id=shop.store.id, account_id=guest.id,
                audience="customer", once=f"furnished-{n}", event=event, subject="order:x",
                language="zh_Hans", title=title, body=body,
                created_at=now - timedelta(hours=n * 20), read_at=None if n == 0 else now,
            )
        )  # fmt: skip
    await session.flush()
    return {"campaign": made.id, "group_order": group_order.id, "voucher": voucher.id}


async def _said(session: AsyncSession, town: Town, clocks: Clocks) -> None:
    """Reviews of the first two rooms by others, one a stay of its own."""
    shop, now = town.shop, clocks.now
    for n, (stars, text, reply) in enumerate(SAID):
        other = await make_customer(session, now)
        stay: Order = await make_order(
            session, shop, other, now - timedelta(days=20 + n), now=now, status="completed",
            room=shop.rooms[n % 2],
        )  # fmt: skip
        session.add(
            Review(
                merchant_id=shop.merchant.id, store_id=shop.store.id, room_id=stay.room_id,
                account_id=other.id, order_id=stay.id, stars=stars, text=text, reply=reply,
                replied_by="staff" if reply else None, replied_at=now if reply else None,
                created_at=now - timedelta(days=19 - n),
            )
        )  # fmt: skip

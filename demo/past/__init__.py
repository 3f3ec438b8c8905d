"""A past for the demonstration's store: five weeks of orders, money, members and reviews.

Who opens the statistics of a store that opened a minute ago learns nothing of them. So the demonstration
has been open for five weeks: everything is invented from a seed and the day (``plan``), told in the
product's own terms (``orders``, ``vouchers``, ``members``), and written at once (``books``), in the past of
the real clock. Its books balance, and the payment services are told of it as well (``Told``), so that a
refund or a bill of a past day is no surprise to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.ledger.days import CLOSE, CLOSE_AFTER, ends_at
from cloud_api.ledger.models import LedgerDay
from cloud_api.merchants.models import Merchant
from cloud_api.orders.models import Order
from cloud_api.payments import house as ways
from cloud_api.payments.models import ProviderAccount
from cloud_api.pricing.models import Extra, Package, Slot, Tariff
from cloud_api.staff.models import StaffMember
from cloud_api.stored_value.paying import BALANCE
from cloud_api.stores.models import Room, Store
from cloud_api.support.models import Review
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from demo.past import bills, members
from demo.past.books import Pages
from demo.past.orders import House, Story, place
from demo.past.plan import DAYS, GUESTS, REGULARS, Visit, visits
from demo.past.vouchers import Market

SEED: Final = 20260701
ONLINE: Final = ("wechat", "alipay")
_PRAISE: Final = {
    5: ("机子很新，洗牌快，房间干净", "全程自助，扫码就进，很方便", "茶不错，下次还来", ""),
    4: ("安静，就是停车要绕一圈", "空调凉快，灯光舒服", "性价比可以", ""),
    3: ("房间有一点烟味，希望通通风",),
    2: ("麻将机卡了两次，店家回得倒快",),
}
_SORRY: Final = "抱歉影响了你的牌局，已经请师傅看过了，下次来送一壶茶。"


@dataclass(slots=True)
class Told:
    """What a payment service has to know: its payments and refunds, as ``/admin/past`` takes them."""

    payments: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)


async def write(session: AsyncSession, store_id: str, clocks: Clocks) -> dict[str, Told]:
    """Give the store its past, if it has no order yet; by provider what its service is to be told.

    A store that takes money at none of ``ONLINE`` has none: nobody could have paid from home.
    """
    known = select(col(Order.id)).where(col(Order.store_id) == store_id).limit(1)
    if (await session.exec(known)).first() is not None:
        return {}
    store = await session.get_one(Store, store_id)
    now, dice = clocks.now, Random(SEED)
    opened = _opened(now, store.tz)
    taken = select(col(ProviderAccount.id)).where(
        col(ProviderAccount.merchant_id) == store.merchant_id,
        col(ProviderAccount.provider).in_(ONLINE),
    )
    if (await session.exec(taken)).first() is None:
        return {}
    house, campaigns = await _house(session, store, clocks, opened, dice)
    coming = visits(len(house.rooms), now, store.tz, dice)
    _tell(house, coming, campaigns, opened)
    bills.add(house, now)
    members.profiles(house.pages, house.guests)
    still_open = house.pages.close_days(now)
    await house.pages.insert(session)
    await _afterwards(session, house, still_open, clocks)
    return _told(house)


def _opened(now: datetime, tz: str) -> datetime:
    zone = ZoneInfo(tz)
    first = now.astimezone(zone).date() - timedelta(days=DAYS + 7)
    return datetime.combine(first, time(8), zone).astimezone(UTC)


async def _house(
    session: AsyncSession, store: Store, clocks: Clocks, opened: datetime, dice: Random
) -> tuple[House, list[Campaign]]:
    """The store as it is, opened some weeks earlier."""

    async def all_of(model: Any) -> list[Any]:
        query = select(model).where(col(model.merchant_id) == store.merchant_id)
        return list((await session.exec(query.order_by(col(model.created_at)))).all())

    rooms: list[Room] = sorted(await all_of(Room), key=lambda room: room.index)
    campaigns: list[Campaign] = await all_of(Campaign)
    for one in (await session.get_one(Merchant, store.merchant_id), store, *rooms):
        one.created_at = opened
        session.add(one)
    for n, campaign in enumerate(campaigns):
        campaign.starts_at, campaign.created_at = opened, opened + timedelta(seconds=n)
        session.add(campaign)
    accounts = {
        one.provider: one for one in await all_of(ProviderAccount) if one.provider in ONLINE
    }
    for way in (ways.CASH, BALANCE):
        accounts[way] = await ways.account(session, store, way, clocks)
    owner = next(one for one in await all_of(StaffMember) if one.role == "owner")
    (tea, *_more) = await all_of(Extra)
    pages = Pages(store, dice)
    guests = members.accounts(pages, opened)
    ref = f"staff:{owner.id}"
    house = House(
        pages=pages,
        rooms=rooms,
        tariffs=await all_of(Tariff),
        slots={one.name: one for one in await all_of(Slot)},
        packages={one.name: one for one in await all_of(Package)},
        tea=tea,
        owner=ref,
        at=accounts,
        guests=guests,
        levels=members.levels(pages, guests, ref, opened),
        metered=frozenset({rooms[0].id}),
    )
    await session.flush()
    return house, campaigns


def _tell(house: House, coming: list[Visit], campaigns: list[Campaign], opened: datetime) -> None:
    dice, pages = house.pages.dice, house.pages
    online = [one for one in ONLINE if one in house.at]
    offered = members.plans(pages, opened)
    purses = [members.Purse(house, house.guests[n].id, online[0]) for n in range(REGULARS)]
    market = Market(house, campaigns, online[0])
    market.sell(coming)
    usual = [online[0] if n % 3 else online[-1] for n in range(GUESTS)]
    for visit in coming:
        story = market.redeem(visit) or place(house, visit)
        order = story.order
        paid_at = visit.placed_at + timedelta(seconds=dice.randint(35, 170))
        if order.status == "ready":
            pass
        elif visit.fate == "lapsed":
            story.lapse()
            continue
        elif visit.way == "cash":
            story.pay(ways.CASH, paid_at)
        elif visit.way == "balance" and _enough(purses[visit.guest], order, offered, dice):
            purses[visit.guest].spend(story.pay(BALANCE, paid_at), paid_at)
        else:
            story.pay(usual[visit.guest], paid_at)
        _then(story, visit, dice)


def _enough(purse: members.Purse, order: Order, offered: list[Any], dice: Random) -> bool:
    """Whether the balance pays it; most who see that it does not top it up."""
    if purse.has_fen < order.total_fen and dice.random() < 0.75:
        at = order.created_at - timedelta(minutes=dice.randint(2, 6))
        purse.top_up(members.plan_for(dice, offered), at)
    return purse.has_fen >= order.total_fen


def _then(story: Story, visit: Visit, dice: Random) -> None:
    """The visit, or its cancelling, and what was said of it."""
    order, pages = story.order, story.house.pages
    if visit.fate in ("cancelled", "late_cancelled"):
        lead = timedelta(minutes=dice.randint(20, 60) if visit.fate == "late_cancelled" else 125)
        story.cancel(max(order.starts_at - lead, order.created_at + timedelta(minutes=5)))
        return
    ended = story.use()
    story.settle()
    if visit.complains and order.paid_fen and order.refunded_fen == 0 and _is_online(story):
        story.complain(ended + timedelta(minutes=dice.randint(1, 4)))
    if visit.stars:
        written = ended + timedelta(minutes=dice.randint(2, 9))
        answered = visit.stars <= 3
        pages.add(
            Review,
            written,
            room_id=order.room_id,
            account_id=order.account_id,
            order_id=order.id,
            stars=visit.stars,
            text=dice.choice(_PRAISE[visit.stars]),
            reply=_SORRY if answered else "",
            replied_by=story.house.owner if answered else None,
            replied_at=written + timedelta(minutes=10) if answered else None,
            created_at=written,
            **pages.own,
        )


def _is_online(story: Story) -> bool:
    return story.paid[0].provider in ONLINE


async def _afterwards(
    session: AsyncSession, house: House, still_open: list[date], clocks: Clocks
) -> None:
    """What is still to come of the past: days to close, bills to read, vouchers that run out."""
    store = house.pages.store
    for day in still_open:
        session.add(LedgerDay(merchant_id=store.merchant_id, store_id=store.id, day=day))
        await schedule(
            session,
            merchant_id=store.merchant_id,
            kind=CLOSE,
            ref=f"{store.id}.{day}",
            run_at=ends_at(day, store.tz) + CLOSE_AFTER,
        )
    await bills.go_on(session, house, clocks)
    for voucher in house.pages.rows(Voucher):
        if voucher.state == "issued":
            await vouchers.watch(session, voucher)


def _told(house: House) -> dict[str, Told]:
    """In each service's own numbers: Alipay takes no hyphen (payments/providers/alipay)."""

    def theirs(provider: str, number: str) -> str:
        return number.replace("-", "_") if provider == "alipay" else number

    found: dict[str, Told] = {name: Told() for name in ONLINE if name in house.at}
    by_id: Mapping[str, Any] = {one.id: one for one in house.payments}
    for paid in house.payments:
        if paid.provider in found and paid.succeeded_at is not None:
            found[paid.provider].payments.append(
                {
                    "number": theirs(paid.provider, paid.number),
                    "amount_fen": paid.amount_fen,
                    "subject": paid.subject,
                    "merchant_name": house.pages.store.name,
                    "channel": paid.channel,
                    "txn": paid.provider_txn,
                    "created_at": paid.created_at.timestamp(),
                    "paid_at": paid.succeeded_at.timestamp(),
                }
            )
    for back in house.refunds:
        paid = by_id[back.payment_id]
        if paid.provider in found and back.succeeded_at is not None:
            found[paid.provider].refunds.append(
                {
                    "number": theirs(paid.provider, back.number),
                    "payment_number": theirs(paid.provider, paid.number),
                    "amount_fen": back.amount_fen,
                    "reason": back.reason,
                    "refund_no": back.provider_refund,
                    "created_at": back.created_at.timestamp(),
                    "done_at": back.succeeded_at.timestamp(),
                }
            )
    return found

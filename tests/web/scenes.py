"""People and orders that fill a site: a guest in every state, a stranger, an owner, a second store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.devices.models import Binding, Board, DeviceCommand, StoreStatus
from cloud_api.kit.ids import new_id
from cloud_api.orders.models import Order, OrderLine
from tests.cloud_api.factories import (
    Shop,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
    reported,
)

GUEST = "+8613912345678"
STRANGER = "+8613987654321"


@dataclass
class Town:
    """What was made. Tokens are logins."""

    shop: Shop
    far: Shop  # of the same merchant, not connected
    guest: Account
    stranger: Account
    tokens: dict[str, str] = field(default_factory=dict)  # guest, stranger, owner, cleaner
    orders: dict[str, Order] = field(default_factory=dict)

    def order(self, name: str) -> str:
        """An order's id."""
        return self.orders[name].id


async def make_town(session: AsyncSession, shop: Shop, now: datetime, real: datetime) -> Town:
    """At Monday noon: 竹间 in use by the guest, 梅间 by the stranger and over time, 听雨 booked soon."""
    guest = await make_customer(session, now, GUEST)
    stranger = await make_customer(session, now, STRANGER)
    far = await make_store(
        session, now, merchant=shop.merchant, name="雀友会·徐汇店", online=False, rooms=2
    )
    town = Town(shop, far, guest, stranger)
    owner = await make_staff(session, shop, now)
    cleaner = await make_staff(session, shop, now, role="cleaner", store_ids=[shop.store.id])
    for name, account_id in (
        ("guest", guest.id),
        ("stranger", stranger.id),
        ("owner", owner.account_id),
        ("cleaner", cleaner.account_id),
    ):
        town.tokens[name] = await make_login(session, account_id, real)
    bamboo, plum, rain = shop.rooms
    hour = timedelta(hours=1)

    async def order(name: str, who: Account, starts: datetime, **more: object) -> Order:
        made = await make_order(session, shop, who, starts, now=now, **more)  # type: ignore[arg-type]
        await _line(session, made)
        town.orders[name] = made
        return made

    stay = await order("in_use", guest, now - 1.5 * hour, room=bamboo, minutes=180, status="in_use")
    over = await order(
        "over", stranger, now - 2.5 * hour, room=plum, minutes=120, status="in_use", cleaning_s=0
    )
    await order("theirs", stranger, now + 0.6 * hour, room=rain, minutes=120)
    await order("ready", guest, now + 5 * hour, room=bamboo)
    await order("unpaid", guest, now + 8 * hour, room=rain, status="pending_payment")
    await order("done", guest, now - 30 * hour, room=plum, status="completed")
    cancelled = await order("cancelled", guest, now + 30 * hour, room=plum, status="cancelled")
    cancelled.cancel_why = "customer"
    stay.entered_at, over.entered_at = stay.starts_at, over.starts_at
    town.orders["done"].ended_at = town.orders["done"].ends_at
    session.add_all([stay, over, cancelled, town.orders["done"]])
    await session.flush()
    assert far.status is not None
    far.status.presence_at = far.status.reported_at = real - timedelta(minutes=12)
    session.add(far.status)
    await fit(session, shop, now)
    await report(session, shop, real, stays={stay.claim_id: "in_use", over.claim_id: "overtime"})
    await _unlocked(session, shop, real, owner.id)
    return town


async def _line(session: AsyncSession, order: Order) -> None:
    minutes = round((order.ends_at - order.starts_at).total_seconds() / 60)
    session.add(
        OrderLine(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            order_id=order.id,
            position=0,
            text="平日",
            amount_fen=order.total_fen,
            detail={"minutes": minutes, "hourly_fen": 3800},
        )
    )
    await session.flush()


async def fit(session: AsyncSession, shop: Shop, now: datetime) -> None:
    """The first room gets an air conditioner that takes a temperature, and a speaker."""
    own = {"merchant_id": shop.merchant.id, "store_id": shop.store.id, "created_at": now}
    for name, profile, capability, role in (
        ("空调温度", "onokom.air-gr-1-mb-b", "climate.set", "ac"),
        ("语音", "dy.sv17f", "speaker.say", "speaker"),
    ):
        board = Board(name=name, profile=profile, port=f"{role}-1", **own)  # type: ignore[arg-type]
        session.add(board)
        await session.flush()
        binding = Binding(
            board_id=board.id, name=name, capability=capability, role=role,
            rooms=[shop.room.id], **own,  # type: ignore[arg-type]
        )  # fmt: skip
        session.add(binding)
        shop.boards.append(board)
        shop.bindings[f"{shop.room.name}.{capability}"] = binding
    await session.flush()


async def report(
    session: AsyncSession, shop: Shop, real: datetime, *, stays: dict[str, str], dead: str = ""
) -> None:
    """The store says what it is like: switches of a room with a stay are on; ``dead`` names a board."""
    query = select(StoreStatus).where(col(StoreStatus.store_id) == shop.store.id)
    status = (await session.exec(query)).one()
    told = reported(shop, real)
    at = round(real.timestamp() * 1000)
    for key in ("竹间.table", "竹间.ac", "梅间.table"):
        told["values"][shop.bindings[key].id] = {"value": True, "quality": "ok", "at": at}
    air = shop.bindings["竹间.climate.set"].id
    told["values"][air] = {"value": 25, "quality": "ok", "at": at}
    told["airs"] = [
        {
            "binding": air,
            "mode": "cool",
            "fan": "auto",
            "quality": "ok",
            "modes": ["cool", "heat", "dry", "fan", "auto"],
            "fans": ["auto", "low", "mid", "high"],
        }
    ]
    told["stays"] = [
        {"id": claim, "room": shop.room.id, "state": state} for claim, state in stays.items()
    ]
    for board in told["boards"]:
        if board["id"] == dead:
            board["state"] = "offline"
    status.reported, status.reported_at, status.presence_at = told, real, real
    session.add(status)
    await session.flush()


async def _unlocked(session: AsyncSession, shop: Shop, real: datetime, staff_id: str) -> None:
    asked = real - timedelta(minutes=5)
    session.add(
        DeviceCommand(
            id=new_id(),
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            target=shop.door.id,
            action="unlock",
            by=f"staff:{staff_id}",
            why="客人手机没电",
            state="done",
            created_at=asked,
            expires_at=asked + timedelta(seconds=10),
            sent_at=asked + timedelta(seconds=0.1),
            accepted_at=asked + timedelta(seconds=0.3),
            final_at=asked + timedelta(seconds=0.8),
        )
    )
    await session.flush()

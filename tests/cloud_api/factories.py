"""Rows that tests start from: a store with rooms, doors and devices; people; orders in any state."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.models import Grant
from cloud_api.auth.models import Account, Login
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.models import Binding, Board, StoreStatus
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.crypto import vault
from cloud_api.kit.ids import new_digits, new_id, new_token
from cloud_api.merchants.models import Merchant
from cloud_api.orders.models import Order
from cloud_api.pricing.models import Quote, Tariff
from cloud_api.staff.models import StaffMember
from cloud_api.stores.models import Door, Room, Store

_phones = count(13900000001)
ROOM_NAMES = ("竹间", "梅间", "听雨")
ROLES = (("lock", "门锁", 1), ("table", "麻将机", 2), ("light", "灯", 3), ("ac", "空调", 4))


@dataclass
class Shop:
    """A merchant's store with everything in it. ``room``/``door`` are the first ones."""

    merchant: Merchant
    store: Store
    rooms: list[Room] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)  # one per room, in the order of rooms
    boards: list[Board] = field(default_factory=list)
    bindings: dict[str, Binding] = field(default_factory=dict)  # "竹间.lock", "竹间.table", …
    tariffs: list[Tariff] = field(default_factory=list)
    entrance: Door | None = None
    status: StoreStatus | None = None

    @property
    def room(self) -> Room:
        return self.rooms[0]

    @property
    def door(self) -> Door:
        return self.doors[0]


async def make_store(
    session: AsyncSession,
    now: datetime,
    *,
    merchant: Merchant | None = None,
    name: str = "雀友会·静安店",
    online: bool = True,
    rooms: int = 3,
    **rules: Any,
) -> Shop:
    """A store with ``rooms`` rooms (3800 fen/h, 4800 from 18:00), their doors, a board each, an entrance.

    ``rules`` go into Store. The store is online with connection nonce ``n1`` unless ``online`` is false.
    """
    if merchant is None:
        merchant = Merchant(name="雀友会", created_at=now)
        session.add(merchant)
        await session.flush()
    store = Store(
        merchant_id=merchant.id,
        name=name,
        address="静安区南京西路 1618 号 3 楼",
        phone="021-62580000",
        created_at=now,
        **rules,
    )
    session.add(store)
    await session.flush()
    shop = Shop(merchant, store)
    own: dict[str, Any] = {
        "merchant_id": merchant.id,
        "store_id": store.id,
        "created_at": now,
    }
    names = [ROOM_NAMES[at] if at < len(ROOM_NAMES) else f"房间 {at + 1}" for at in range(rooms)]
    for index, room_name in enumerate(names):
        _make_room(shop, own, index, room_name)
    # What others point at is written first, all of a kind at once.
    session.add_all([*shop.rooms, *shop.boards])
    await session.flush()
    session.add_all(shop.bindings.values())
    await session.flush()
    session.add_all([*shop.doors, *shop.tariffs])
    shop.entrance = Door(
        name="大门",
        kind="entrance",
        token=new_token(128),
        rooms=[room.id for room in shop.rooms],
        lock_binding_id=shop.bindings[f"{shop.room.name}.lock"].id,
        **own,
    )
    shop.status = StoreStatus(
        store_id=store.id,
        merchant_id=merchant.id,
        online=online,
        boot="b1",
        nonce="n1" if online else None,
        presence_at=now,
        reported=reported(shop, now),
        reported_at=now,
        epoch=1,
        rev=1,
    )
    session.add_all([shop.entrance, shop.status])
    await session.flush()
    return shop


def _make_room(shop: Shop, own: dict[str, Any], index: int, name: str) -> None:
    """A room with its board, what hangs on it, its door and its prices; not written yet."""
    room = Room(index=index, name=name, sort=index, **own)
    board = Board(
        name=f"{name}继电器板",
        profile="waveshare.modbus-rtu-relay-8ch",
        port="rs485-1",
        params={"unit_id": index + 1},
        **own,
    )
    for role, label, channel in ROLES:
        shop.bindings[f"{name}.{role}"] = Binding(
            board_id=board.id,
            name=label,
            capability="lock.pulse" if role == "lock" else "switch.set",
            channel=channel,
            role=role,
            rooms=[room.id],
            **own,
        )
    door = Door(
        name=f"{name}门",
        token=new_token(128),
        rooms=[room.id],
        lock_binding_id=shop.bindings[f"{name}.lock"].id,
        **own,
    )
    shop.tariffs += [
        Tariff(room_id=room.id, name="平日", hourly_fen=3800, **own),
        Tariff(room_id=room.id, name="晚间", from_minute=1080, hourly_fen=4800, priority=10, **own),
    ]
    shop.rooms.append(room)
    shop.boards.append(board)
    shop.doors.append(door)


def reported(shop: Shop, now: datetime, **changes: Any) -> dict[str, Any]:
    """A store_link Reported as JSON: every board online, every switch off and freshly read."""
    at = round(now.timestamp() * 1000)
    return {
        "v": 1,
        "store": shop.store.id,
        "boot": "b1",
        "nonce": "n1",
        "sent_at": at,
        "epoch": 1,
        "rev": 1,
        "journal": "j1",
        "version": "test",
        "clock": "synced",
        "boards": [{"id": b.id, "state": "online", "detail": ""} for b in shop.boards],
        "values": {
            b.id: {"value": False, "quality": "ok", "at": at}
            for b in shop.bindings.values()
            if b.capability == "switch.set"
        },
        "stays": [],
        "overrides": [],
        "outbox": {"depth": 0, "oldest_at": None, "full": False},
    } | changes


async def make_customer(session: AsyncSession, now: datetime, phone: str | None = None) -> Account:
    """An account with a phone of its own."""
    number = phone or f"+86{next(_phones)}"
    account = Account(
        phone=number, phone_index=vault().index(number), phone_tail=number[-4:], created_at=now
    )
    session.add(account)
    await session.flush()
    return account


async def make_staff(
    session: AsyncSession,
    shop: Shop,
    now: datetime,
    *,
    role: str = "owner",
    store_ids: list[str] | None = None,
) -> StaffMember:
    """A new account that works for the shop's merchant in ``role``."""
    account = await make_customer(session, now)
    member = StaffMember(
        merchant_id=shop.merchant.id,
        account_id=account.id,
        name="陈店长",
        role=role,
        store_ids=store_ids,
        created_at=now,
    )
    session.add(member)
    await session.flush()
    return member


async def make_login(session: AsyncSession, account_id: str, now: datetime) -> str:
    """A login of the account; returns the bearer token."""
    token = new_token()
    session.add(
        Login(
            account_id=account_id,
            token_hash=vault().hash_token(token),
            created_at=now,
            expires_at=now + timedelta(days=30),
        )
    )
    await session.flush()
    return token


async def make_order(
    session: AsyncSession,
    shop: Shop,
    account: Account,
    starts_at: datetime,
    *,
    now: datetime,
    room: Room | None = None,
    minutes: int = 120,
    status: str = "ready",
    claim_state: str | None = None,
    grant: bool | None = None,
    cleaning_s: int | None = None,
) -> Order:
    """An order with quote and claim written straight into the tables, and a grant if it is ``ready``.

    The claim's state follows the status unless given; the block adds the store's cleaning time.
    """
    room = room or shop.room
    ends_at = starts_at + timedelta(minutes=minutes)
    own: dict[str, Any] = {
        "merchant_id": shop.merchant.id,
        "store_id": shop.store.id,
        "room_id": room.id,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "created_at": now,
    }
    states = {
        "pending_payment": "held",
        "paid": "held",
        "in_use": "in_use",
        "completed": "released",
        "cancelled": "released",
    }
    clean = shop.store.cleaning_s if cleaning_s is None else cleaning_s
    claim = RoomClaim(
        block_from=starts_at,
        block_until=ends_at + timedelta(seconds=clean),
        state=claim_state or states.get(status, "confirmed"),
        **own,
    )
    total = minutes * 3800 // 60
    quote = Quote(total_fen=total, lines=[], expires_at=now + timedelta(minutes=15), **own)
    session.add_all([claim, quote])
    await session.flush()
    order = Order(
        account_id=account.id,
        claim_id=claim.id,
        quote_id=quote.id,
        number=new_digits(16),
        status=status,
        hold_expires_at=now + timedelta(seconds=shop.store.hold_s),
        total_fen=total,
        paid_fen=0 if status in ("pending_payment", "cancelled") else total,
        **own,
    )
    session.add(order)
    await session.flush()
    claim.order_id = order.id
    session.add(claim)
    if grant if grant is not None else status in ("ready", "in_use", "completed"):
        await make_grant(session, shop, order)
    await session.flush()
    return order


async def make_grant(session: AsyncSession, shop: Shop, order: Order) -> Grant:
    """The order's grant, open from the store's lead time before the start until the end."""
    made = Grant(
        id=new_id(),
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        order_id=order.id,
        claim_id=order.claim_id,
        rooms=[order.room_id],
        not_before=order.starts_at - timedelta(seconds=shop.store.lead_s),
        expires_at=order.ends_at,
        pin=new_digits(6),
        created_at=order.created_at,
    )
    session.add(made)
    await session.flush()
    return made


def customer(account: Account) -> Customer:
    """The actor of an account."""
    return Customer(account_id=account.id)


def staff(member: StaffMember, permissions: frozenset[str]) -> Staff:
    """The actor of a member of staff with exactly these permissions."""
    stores = None if member.store_ids is None else frozenset(member.store_ids)
    return Staff(
        staff_id=member.id,
        account_id=member.account_id,
        merchant_id=member.merchant_id,
        permissions=permissions,
        store_ids=stores,
        name=member.name,
    )


def bearer(token: str) -> dict[str, str]:
    """The header that logs a request in."""
    return {"Authorization": f"Bearer {token}"}

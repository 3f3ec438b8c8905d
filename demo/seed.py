"""The store of the demonstration: 雀友会·静安店, three rooms, their tariffs, doors and boards.

Runs against a migrated database and changes nothing in one that holds the store already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account
from cloud_api.coupons.models import Coupon
from cloud_api.devices.models import Binding, Board
from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.crypto import vault
from cloud_api.kit.ids import new_token
from cloud_api.merchants.models import Merchant
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.setups import ends_at
from cloud_api.pricing.models import Extra, Package, Slot, Tariff
from cloud_api.staff.models import StaffMember
from cloud_api.stores.models import Door, Room, Store

STORE = "雀友会·静安店"
OWNER_PHONE = "+8613800000001"
PORT = "rs485-1"
RELAYS = "waveshare.modbus-rtu-relay-8ch"
INPUTS = "waveshare.modbus-rtu-io-8ch"
SCANNER = "hzgrow.gm65"
METER = "eastron.sdm120"
SPEAKER = "dy.sv17f"
MEASURED = "竹间"  # the room with a meter, a door contact and a voice
METER_PORT = "meter-1"
SPEAKER_PORT = "speaker-1"
CONTACT_INPUT = 4  # of the input board; 1 to 3 are the presence sensors
# Code readers, each alone on its port: port → the door's name.
READERS = {"scanner-1": "大门", "scanner-2": "竹间门"}


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """A room of the demonstration; ``unit`` is its relay board's Modbus address."""

    name: str
    unit: int
    capacity: int
    area_m2: int
    style: str
    art: str
    facilities: tuple[str, ...]
    hourly_fen: int


ROOMS = (
    RoomPlan("竹间", 1, 4, 25, "中式", "room-moon-bamboo", ("雀友 T8", "新风", "茶台"), 3800),
    RoomPlan("梅间", 2, 4, 22, "中式", "room-plum-branch", ("雀友 T8", "空调"), 3600),
    RoomPlan("听雨", 3, 6, 32, "茶室", "room-tea-lattice", ("智能茶台", "投影", "新风"), 5800),
)
EQUIPMENT: dict[str, tuple[dict[str, str], ...]] = {
    "竹间": (
        {"kind": "table", "brand": "雀友", "model": "T8"},
        {"kind": "ac", "brand": "格力", "model": ""},
        {"kind": "air", "brand": "", "model": ""},
        {"kind": "charging", "brand": "", "model": ""},
    ),
    "梅间": (
        {"kind": "table", "brand": "雀友", "model": "T8"},
        {"kind": "ac", "brand": "格力", "model": ""},
    ),
    "听雨": (
        {"kind": "tea", "brand": "", "model": ""},
        {"kind": "projector", "brand": "极米", "model": ""},
        {"kind": "air", "brand": "", "model": ""},
    ),
}
ROLES = (("lock", "门锁", 1), ("table", "麻将机", 2), ("light", "灯", 3), ("ac", "空调", 4))
ENTRANCE_CHANNEL = 5  # of the first room's board
INPUT_UNIT = 4


async def seed(session: AsyncSession, now: datetime, paid_at: dict[str, dict[str, str]]) -> str:
    """Make the store if it is not there; returns its id. ``paid_at``: credentials by provider."""
    found = (await session.exec(select(Store).where(col(Store.name) == STORE))).first()
    if found is not None:
        await _point_at(session, found.merchant_id, paid_at, now)
        return found.id
    merchant = Merchant(name="雀友会", created_at=now)
    session.add(merchant)
    await session.flush()
    store = Store(
        merchant_id=merchant.id,
        name=STORE,
        address="静安区南京西路 1618 号 3 楼",
        phone="021-6258 0000",
        about="三间安静的包间，机麻、茶台、新风都有，24 小时自助。",
        lat=31.2288,
        lon=121.4581,
        wifi_name="kaimen-jingan",
        wifi_password="mahjong888",  # noqa: S106  of a shop that is not there
        notice="室内禁烟，22 点后请轻声。离开前请带好随身物品。",
        overtime_mode="per_unit",
        overtime_unit_minutes=15,
        overtime_unit_fen=600,
        overtime_cap_fen=6000,
        created_at=now,
    )
    session.add(store)
    account = Account(
        phone=OWNER_PHONE,
        phone_index=vault().index(OWNER_PHONE),
        phone_tail=OWNER_PHONE[-4:],
        created_at=now,
    )
    session.add(account)
    await session.flush()
    session.add(
        StaffMember(
            merchant_id=merchant.id,
            account_id=account.id,
            name="陈店长",
            role="owner",
            created_at=now,
        )
    )
    await _point_at(session, merchant.id, paid_at, now)
    await _rooms(session, store, now)
    session.add_all(_products(store, now))
    session.add_all(_campaigns(store, now))
    return store.id


def _campaigns(store: Store, now: datetime) -> list[Campaign]:
    """One package to buy at once, one for a team of three; the newest stands on top."""
    own: dict[str, Any] = {
        "merchant_id": store.merchant_id,
        "store_ids": [store.id],
        "state": "published",
        "stock": 50,
        "most_per_customer": 3,
        "rules": "不与其他优惠同享。超时按店里的价补。",
        "starts_at": now,
        "ends_at": now + timedelta(days=90),
    }
    return [
        Campaign(
            name="三人拼团·晚场三小时",
            tagline="三个人凑齐，一人一张，送瓜子一碟",
            price_fen=9900,
            list_fen=13900,
            team_size=3,
            minutes=180,
            extras=["瓜子一碟"],
            picture="room-moon-bamboo",
            created_at=now,
            **own,
        ),
        Campaign(
            name="工作日下午茶室两小时",
            tagline="不用拼，买了就能用，送龙井一壶",
            price_fen=6800,
            list_fen=6800,
            minutes=120,
            weekdays=0b0011111,
            from_minute=10 * 60,
            until_minute=18 * 60,
            extras=["龙井一壶"],
            picture="room-tea-lattice",
            created_at=now + timedelta(seconds=1),
            **own,
        ),
    ]


async def _point_at(
    session: AsyncSession, merchant_id: str, paid_at: dict[str, dict[str, str]], now: datetime
) -> None:
    """An account at each provider; it may stand at another port in this run, so it learns the address."""
    known = {
        account.provider: account
        for account in await session.exec(
            select(ProviderAccount).where(col(ProviderAccount.merchant_id) == merchant_id)
        )
    }
    for place, (provider, credentials) in enumerate(paid_at.items()):
        account = known.get(provider) or ProviderAccount(
            merchant_id=merchant_id,
            provider=provider,
            name=PROVIDERS[provider].label,
            credentials="",
            position=place,
            created_at=now,
        )
        account.credentials = json.dumps(credentials)
        account.expires_at = ends_at(provider, account.credentials)
        session.add(account)


async def _rooms(session: AsyncSession, store: Store, now: datetime) -> None:
    own: dict[str, Any] = {
        "merchant_id": store.merchant_id,
        "store_id": store.id,
        "created_at": now,
    }
    readers = await _readers(session, own)
    inputs = Board(name="输入板", profile=INPUTS, port=PORT, params={"unit_id": INPUT_UNIT}, **own)
    session.add(inputs)
    await session.flush()
    made: list[tuple[Room, Board]] = []
    for index, plan in enumerate(ROOMS):
        room = Room(
            index=index,
            name=plan.name,
            capacity=plan.capacity,
            area_m2=plan.area_m2,
            style=plan.style,
            art=plan.art,
            facilities=list(plan.facilities),
            sort=index,
            **own,
        )
        board = Board(
            name=f"{plan.name}继电器板",
            profile=RELAYS,
            port=PORT,
            params={"unit_id": plan.unit},
            **own,
        )
        session.add_all([room, board])
        await session.flush()
        made.append((room, board))
        bindings = {
            role: Binding(
                board_id=board.id,
                name=name,
                capability="lock.pulse" if role == "lock" else "switch.set",
                channel=channel,
                role=role,
                rooms=[room.id],
                **own,
            )
            for role, name, channel in ROLES
        }
        presence = Binding(
            board_id=inputs.id,
            name="人体感应",
            capability="presence",
            channel=index + 1,
            role="presence",
            rooms=[room.id],
            **own,
        )
        session.add_all([*bindings.values(), presence])
        await session.flush()
        contact = None
        if plan.name == MEASURED:
            contact = await _measured(session, own, room, inputs)
        session.add(
            Door(
                name=f"{plan.name}门",
                kind="room",
                token=new_token(128),
                rooms=[room.id],
                lock_binding_id=bindings["lock"].id,
                contact_binding_id=contact,
                reader_binding_id=_reader(readers, f"{plan.name}门", [room.id]),
                **own,
            )
        )
        session.add_all(_tariffs(own, room, plan.hourly_fen))
        room.kind = "大包" if plan.capacity > 4 else "小包"
        room.tags = ["安静"] if plan.capacity > 4 else ["临窗"]
        room.equipment = [dict(thing) for thing in EQUIPMENT[plan.name]]
    await _entrance(session, own, made, readers)


async def _measured(session: AsyncSession, own: dict[str, Any], room: Room, inputs: Board) -> str:
    """A meter, a door contact and a voice for a room; returns the contact's binding."""
    meter = Board(name=f"{room.name}电表", profile=METER, port=METER_PORT, params={}, **own)
    voice = Board(name=f"{room.name}喇叭", profile=SPEAKER, port=SPEAKER_PORT, params={}, **own)
    session.add_all([meter, voice])
    await session.flush()
    contact = Binding(
        board_id=inputs.id,
        name="门磁",
        capability="door.contact",
        channel=CONTACT_INPUT,
        role="door_contact",
        rooms=[room.id],
        **own,
    )
    uses = (
        (meter, "功率", "power.w", "meter"),
        (meter, "电量", "energy.wh", "meter"),
        (voice, "喇叭", "speaker.say", "speaker"),
    )
    session.add_all(
        [
            contact,
            *(
                Binding(
                    board_id=board.id,
                    name=name,
                    capability=capability,
                    role=role,
                    rooms=[room.id],
                    **own,
                )
                for board, name, capability, role in uses
            ),
        ]
    )
    await session.flush()
    return contact.id


async def _readers(session: AsyncSession, own: dict[str, Any]) -> dict[str, Binding]:
    """A code reader for each door of READERS, by the door's name; rooms come with the door."""
    readers: dict[str, Binding] = {}
    for port, door in READERS.items():
        board = Board(name=f"{door}扫码器", profile=SCANNER, port=port, params={}, **own)
        session.add(board)
        await session.flush()
        readers[door] = Binding(
            board_id=board.id,
            name="扫码器",
            capability="input.code",
            role="reader",
            rooms=[],
            **own,
        )
        session.add(readers[door])
    await session.flush()
    return readers


def _reader(readers: dict[str, Binding], door: str, rooms: list[str]) -> str | None:
    reader = readers.get(door)
    if reader is None:
        return None
    reader.rooms = rooms
    return reader.id


async def _entrance(
    session: AsyncSession,
    own: dict[str, Any],
    made: list[tuple[Room, Board]],
    readers: dict[str, Binding],
) -> None:
    rooms = [room.id for room, _ in made]
    lock = Binding(
        board_id=made[0][1].id,
        name="大门锁",
        capability="lock.pulse",
        channel=ENTRANCE_CHANNEL,
        role="lock",
        rooms=rooms,
        **own,
    )
    session.add(lock)
    await session.flush()
    session.add(
        Door(
            name="大门",
            kind="entrance",
            token=new_token(128),
            rooms=rooms,
            lock_binding_id=lock.id,
            reader_binding_id=_reader(readers, "大门", rooms),
            **own,
        )
    )


def _products(store: Store, now: datetime) -> list[SQLModel]:
    """Slots, a package, something to drink, and a coupon for who types its code."""
    own: dict[str, Any] = {
        "merchant_id": store.merchant_id,
        "store_id": store.id,
        "created_at": now,
    }
    slots = (("上午场", 9, 13, 9900), ("下午场", 13, 18, 12900), ("通宵", 22, 8, 16800))
    return [
        *(
            Slot(name=name, from_minute=a * 60, until_minute=b * 60, price_fen=fen, sort=n, **own)
            for n, (name, a, b, fen) in enumerate(slots)
        ),
        Package(name="工作日四小时", minutes=240, price_fen=12800, weekdays=0b11111, **own),
        Extra(name="龙井", unit="壶", price_fen=2800, **own),
        Coupon(
            merchant_id=store.merchant_id,
            name="新客满百减二十",
            kind="off",
            off_fen=2000,
            min_fen=10000,
            valid_days=30,
            code="KAIMEN20",
            created_at=now,
        ),
    ]


def _tariffs(own: dict[str, Any], room: Room, hourly_fen: int) -> list[Tariff]:
    weekend = 0b1100000
    return [
        Tariff(room_id=room.id, name="平日", hourly_fen=hourly_fen, priority=0, **own),
        Tariff(
            room_id=room.id,
            name="晚间",
            from_minute=18 * 60,
            until_minute=24 * 60,
            hourly_fen=hourly_fen + 1000,
            priority=10,
            **own,
        ),
        Tariff(
            room_id=room.id,
            name="周末晚间",
            weekdays=weekend,
            from_minute=18 * 60,
            until_minute=24 * 60,
            hourly_fen=hourly_fen + 2000,
            priority=20,
            **own,
        ),
    ]

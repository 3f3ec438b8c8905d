"""A store described in one YAML file: rooms, doors, boards, prices, payment account.

For ``kaimen-cloud add-store``, which the person runs who wires the store. deploy/store.example.yaml
shows every field.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import Binding, Board
from cloud_api.devices.profiles import is_known
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.ids import new_token
from cloud_api.merchants.models import Merchant
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers import PROVIDERS
from cloud_api.pricing.models import Tariff
from cloud_api.stores.models import Door, Room, Store


class _Plan(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BoardPlan(_Plan):
    """A board on a line; ``port`` is the name that the controller gives the line."""

    name: str
    profile: str
    port: str
    unit: int = Field(ge=1, le=247)


class Wire(_Plan):
    """A channel of a board, as printed on it."""

    board: str
    channel: int = Field(ge=1)


class SwitchPlan(Wire):
    """Something that gets power with the room."""

    name: str
    role: str = Field(pattern="^(table|light|ac)$")


class RoomPlan(_Plan):
    """A room with its door, its switches and its price per hour in fen."""

    name: str
    hourly_fen: int = Field(gt=0)
    lock: Wire
    switches: list[SwitchPlan] = []
    capacity: int = 4
    area_m2: int = 20
    facilities: list[str] = []


class Plan(_Plan):
    """The file."""

    name: str
    address: str
    phone: str
    tz: str = "Asia/Shanghai"
    notice: str = ""
    boards: list[BoardPlan]
    rooms: list[RoomPlan] = Field(min_length=1)
    entrance: Wire | None = None
    provider: str = "cashier"
    credentials: dict[str, str] = {}


def read_plan(file: Path) -> Plan:
    """The file's content. Raises KaimenError ``store_plan.invalid`` with the field that is wrong."""
    try:
        plan = Plan.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise KaimenError("store_plan.invalid", f"{file} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise KaimenError("store_plan.invalid", f"{file} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise KaimenError("store_plan.invalid", f"{file}: {where}: {first['msg']}") from error
    boards = {board.name for board in plan.boards}
    wires = [wire for room in plan.rooms for wire in (room.lock, *room.switches)]
    for wire in [*wires, *([plan.entrance] if plan.entrance else [])]:
        if wire.board not in boards:
            raise KaimenError("store_plan.invalid", f"{file}: there is no board {wire.board!r}")
    for board in plan.boards:
        if not is_known(board.profile):
            raise KaimenError(
                "store_plan.invalid",
                f"{file}: there is no profile {board.profile!r}; see kaimen-bridge profiles list",
            )
    if plan.provider not in PROVIDERS:
        raise KaimenError("store_plan.invalid", f"{file}: there is no provider {plan.provider!r}")
    return plan


async def make_planned_store(
    session: AsyncSession, plan: Plan, merchant: str, now: datetime, public_url: str
) -> list[str]:
    """Make the store; lines to print. Raises KaimenError where the merchant is not there, or the store is."""
    wanted = scoped(System(), Merchant).where(col(Merchant.name) == merchant)
    owner = (await session.exec(wanted)).one_or_none()
    if owner is None:
        raise KaimenError("merchant.not_found", f"No merchant is called {merchant!r}: run init")
    same = scoped(System(), Store).where(
        col(Store.name) == plan.name, col(Store.merchant_id) == owner.id
    )
    if (await session.exec(same)).first() is not None:
        raise Conflict("store.exists", f"{plan.name} is there already; nothing was changed")
    store = Store(
        merchant_id=owner.id,
        name=plan.name,
        address=plan.address,
        phone=plan.phone,
        tz=plan.tz,
        notice=plan.notice,
        created_at=now,
    )
    session.add(store)
    await session.flush()
    own: dict[str, Any] = {"merchant_id": owner.id, "store_id": store.id, "created_at": now}
    boards = {}
    for one in plan.boards:
        boards[one.name] = Board(
            name=one.name, profile=one.profile, port=one.port, params={"unit_id": one.unit}, **own
        )
    session.add_all(boards.values())
    await session.flush()
    lines = [f"Made {plan.name} ({store.id})."]
    rooms = []
    for index, one_room in enumerate(plan.rooms):
        room = Room(
            index=index,
            name=one_room.name,
            capacity=one_room.capacity,
            area_m2=one_room.area_m2,
            facilities=list(one_room.facilities),
            sort=index,
            **own,
        )
        session.add(room)
        await session.flush()
        rooms.append(room.id)
        for switch in one_room.switches:
            session.add(
                Binding(
                    board_id=boards[switch.board].id,
                    name=switch.name,
                    capability="switch.set",
                    channel=switch.channel,
                    role=switch.role,
                    rooms=[room.id],
                    **own,
                )
            )
        session.add(Tariff(room_id=room.id, name="平日", hourly_fen=one_room.hourly_fen, **own))
        door = await _door(session, own, one_room.name, "room", [room.id], boards, one_room.lock)
        lines.append(f"{door.name}  {public_url.rstrip('/')}/d/{door.token}")
    if plan.entrance is not None:
        door = await _door(session, own, "大门", "entrance", rooms, boards, plan.entrance)
        lines.append(f"{door.name}  {public_url.rstrip('/')}/d/{door.token}")
    if plan.credentials:
        session.add(
            ProviderAccount(
                merchant_id=owner.id,
                store_id=store.id,
                provider=plan.provider,
                name=plan.provider,
                credentials=json.dumps(plan.credentials),
                created_at=now,
            )
        )
    return lines


async def _door(
    session: AsyncSession,
    own: dict[str, Any],
    name: str,
    kind: str,
    rooms: list[str],
    boards: dict[str, Board],
    wire: Wire,
) -> Door:
    lock = Binding(
        board_id=boards[wire.board].id,
        name=f"{name}锁",
        capability="lock.pulse",
        channel=wire.channel,
        role="lock",
        rooms=rooms,
        **own,
    )
    session.add(lock)
    await session.flush()
    door = Door(
        name=name if kind == "entrance" else f"{name}门",
        kind=kind,
        token=new_token(128),
        rooms=rooms,
        lock_binding_id=lock.id,
        **own,
    )
    session.add(door)
    await session.flush()
    return door

"""Setting up what hangs in a store: boards, what their channels work, the doors. Told to the store at once.

A board is of a profile of the catalog; a channel can only be used for what the profile says it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.devices import profiles
from cloud_api.devices.models import Binding, Board, Schedule
from cloud_api.kit import outbox
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_token
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores.models import Door, Room, Store
from cloud_api.stores.service import get_store

ROLES: Final = {
    "switch.set": ("table", "light", "ac", "fan", "sign", "other"),
    "lock.pulse": ("lock",),
    "climate.set": ("ac",),
    "speaker.say": ("speaker",),
    "door.contact": ("contact",),
    "input.code": ("reader",),
    "input.card": ("reader",),
    "presence": ("presence",),
    "hazard": ("hazard",),
    "power.w": ("meter",),
    "energy.wh": ("meter",),
    "lock.state": ("lock",),
    "light.scene": ("light",),
}
MOST_BOARDS: Final = 60
Thing = TypeVar("Thing", Board, Binding)


async def add_board(
    session: AsyncSession,
    staff: Staff,
    store_id: str,
    *,
    name: str,
    profile: str,
    port: str,
    unit: int,
    clocks: Clocks,
) -> Board:
    """Add a board on a line of the controller's. Needs store.edit.

    Raises KaimenError ``board.profile`` (422), Conflict ``board.there`` (the address is taken on its line).
    """
    store = await _store(session, staff, store_id)
    if not profiles.is_known(profile):
        raise KaimenError("board.profile", "没有这种板子，从列表里选", status=422, field="profile")
    known = await boards_of(session, staff, store_id)
    if len(known) >= MOST_BOARDS:
        raise Conflict("board.too_many", _("一家店最多 {n} 块板子").format(n=MOST_BOARDS))
    if any(one.name == name for one in known):
        raise KaimenError("board.name", "这家店已经有叫这个名字的板子", status=422, field="name")
    if any(one.port == port and one.params.get("unit_id") == unit for one in known):
        raise KaimenError(
            "board.there", "这条线上这个地址已经有一块板子，换一个地址", status=422, field="unit"
        )
    made = Board(
        merchant_id=store.merchant_id,
        store_id=store.id,
        name=name,
        profile=profile,
        port=port,
        params={"unit_id": unit},
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await _told(session, staff, store, "board.add", f"board:{made.id}", {"name": name}, clocks)
    return made


async def drop_board(session: AsyncSession, staff: Staff, board_id: str, clocks: Clocks) -> None:
    """Take a board out that nothing uses. Needs store.edit. Raises NotFound, Conflict ``board.used``."""
    board = await _one(session, staff, Board, board_id, "board")
    used = scoped(staff, Binding).where(col(Binding.board_id) == board.id)
    if (await session.exec(used.limit(1))).first() is not None:
        raise Conflict("board.used", "先把接在它上面的东西拿掉")
    store = await _store(session, staff, board.store_id)
    await session.delete(board)
    await session.flush()
    await _told(
        session, staff, store, "board.drop", f"board:{board_id}", {"name": board.name}, clocks
    )


async def wire(
    session: AsyncSession,
    staff: Staff,
    board_id: str,
    *,
    name: str,
    capability: str,
    channel: int | None,
    role: str,
    rooms: Sequence[str],
    clocks: Clocks,
) -> Binding:
    """Say what a channel of a board works, and for which rooms. Needs store.edit.

    Raises NotFound, KaimenError ``binding.cannot``, ``binding.role``, ``binding.rooms``,
    ``binding.channel_taken`` (422).
    """
    board = await _one(session, staff, Board, board_id, "board")
    store = await _store(session, staff, board.store_id)
    if not profiles.can(board.profile, capability, channel):
        raise KaimenError(
            "binding.cannot",
            "这块板子的这一路做不了这个，看看型号和通道",
            status=422,
            field="channel",
        )
    if role not in ROLES.get(capability, ()):
        raise KaimenError("binding.role", "这种设备不能当这个用", status=422, field="role")
    mine = scoped(staff, Room).where(
        col(Room.store_id) == board.store_id, col(Room.retired_at).is_(None)
    )
    known = {one.id for one in (await session.exec(mine)).all()}
    if not rooms or not set(rooms) <= known:
        raise KaimenError("binding.rooms", "选它管的包间", status=422, field="rooms")
    taken = scoped(staff, Binding).where(
        col(Binding.board_id) == board.id,
        col(Binding.capability) == capability,
        col(Binding.channel) == channel,
    )
    if channel is not None and (await session.exec(taken.limit(1))).first() is not None:
        raise KaimenError(
            "binding.channel_taken", "这一路已经接了别的", status=422, field="channel"
        )
    made = Binding(
        merchant_id=board.merchant_id,
        store_id=board.store_id,
        board_id=board.id,
        name=name,
        capability=capability,
        channel=channel,
        role=role,
        rooms=list(rooms),
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await _told(session, staff, store, "binding.add", f"binding:{made.id}", {"name": name}, clocks)
    return made


async def unwire(session: AsyncSession, staff: Staff, binding_id: str, clocks: Clocks) -> None:
    """Take a device away that no door and no schedule uses. Needs store.edit. Raises ``binding.used``."""
    binding = await _one(session, staff, Binding, binding_id, "binding")
    doors = scoped(staff, Door).where(col(Door.store_id) == binding.store_id)
    for door in (await session.exec(doors)).all():
        if binding_id in (
            door.lock_binding_id,
            door.contact_binding_id,
            door.reader_binding_id,
            door.cards_binding_id,
        ):
            raise Conflict("binding.used", _("“{door}”在用它，先给门换一把").format(door=door.name))
    plans = scoped(staff, Schedule).where(col(Schedule.store_id) == binding.store_id)
    for plan in (await session.exec(plans)).all():
        if binding_id in plan.bindings:
            raise Conflict("binding.used", _("定时“{plan}”在用它").format(plan=plan.name))
    store = await _store(session, staff, binding.store_id)
    await session.delete(binding)
    await session.flush()
    told = {"name": binding.name}
    await _told(session, staff, store, "binding.drop", f"binding:{binding_id}", told, clocks)


async def add_door(
    session: AsyncSession,
    staff: Staff,
    store_id: str,
    *,
    name: str,
    kind: str,
    rooms: Sequence[str],
    lock_binding_id: str | None,
    clocks: Clocks,
) -> Door:
    """Add a door with its sticker's token. Needs store.edit. Raises ``door.rooms``, ``door.bad_binding``."""
    store = await _store(session, staff, store_id)
    mine = scoped(staff, Room).where(col(Room.store_id) == store_id, col(Room.retired_at).is_(None))
    known = [one.id for one in (await session.exec(mine)).all()]
    wanted = known if kind == "entrance" else list(rooms)
    if not wanted or not set(wanted) <= set(known):
        raise KaimenError("door.rooms", "选这扇门通到的包间", status=422, field="rooms")
    if lock_binding_id is not None:
        lock = scoped(staff, Binding).where(
            col(Binding.id) == lock_binding_id,
            col(Binding.store_id) == store_id,
            col(Binding.capability) == "lock.pulse",
        )
        if (await session.exec(lock)).one_or_none() is None:
            raise KaimenError(
                "door.bad_binding", "这里要选一把锁", status=422, field="lock_binding_id"
            )
    made = Door(
        merchant_id=store.merchant_id,
        store_id=store.id,
        name=name,
        kind=kind,
        token=new_token(128),
        rooms=wanted,
        lock_binding_id=lock_binding_id,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await _told(session, staff, store, "door.add", f"door:{made.id}", {"name": name}, clocks)
    return made


async def boards_of(session: AsyncSession, staff: Staff, store_id: str) -> list[Board]:
    """The boards of a store, in the order they came."""
    query = scoped(staff, Board).where(col(Board.store_id) == store_id)
    return list((await session.exec(query.order_by(col(Board.id)))).all())


async def bindings_of(session: AsyncSession, staff: Staff, store_id: str) -> list[Binding]:
    """What is wired in a store."""
    query = scoped(staff, Binding).where(col(Binding.store_id) == store_id)
    return list((await session.exec(query.order_by(col(Binding.id)))).all())


async def _store(session: AsyncSession, staff: Staff, store_id: str) -> Store:
    staff.need(STORE_EDIT)
    return await get_store(session, staff, store_id)


async def _one(
    session: AsyncSession, staff: Staff, model: type[Thing], key: str, noun: str
) -> Thing:
    staff.need(STORE_EDIT)
    found = (await session.exec(scoped(staff, model).where(col(model.id) == key))).one_or_none()
    if found is None:
        raise NotFound(noun)
    return found


async def _told(
    session: AsyncSession,
    staff: Staff,
    store: Store,
    action: str,
    subject: str,
    after: dict[str, str],
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        staff,
        action,
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=subject,
        after=after,
        clocks=clocks,
    )
    await outbox.desired_changed(
        session, merchant_id=store.merchant_id, store_id=store.id, now=clocks.real
    )

"""Staff's cards and codes: who has which, and for which doors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import staff_keys
from cloud_api.devices.models import StaffKey
from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import service as staff
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STAFF_EDIT
from cloud_api.stores import service as stores
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.running import KeyForm, KeyRow, KeyShown, KeysPage, Option

router = APIRouter(prefix="/console/keys", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
KINDS = {"card": "卡", "code": "开门码"}


@router.get("")
async def all_keys(seen: Seen, who: Who) -> Response:
    """All of them. Needs staff.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await staff_keys.keys_of(session, who)
        names = await _people(session, who)
        doors = {key: text for key, text, _note in await _doors(session, who, frame)}
    may = STAFF_EDIT in who.permissions
    rows = tuple(
        KeyRow(
            id=row.id,
            href=f"/console/keys/{row.id}" if may else "",
            staff=names.get(row.staff_id, _("已停用的员工")),
            kind=_(KINDS[row.kind]),
            masked=f"…{row.tail}",
            doors=_where(row, doors),
            when=_when(row),
            until=row.until,
        )
        for row in found
    )
    here = seen.at(frame.tz)
    return console_page(
        here, who, frame, "console/keys.html", KeysPage(rows, may), here="staff-keys"
    )


@router.get("/new")
async def new_key(seen: Seen, who: Who) -> Response:
    """A new one. Needs staff.edit."""
    who.need(STAFF_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        people = tuple((await _people(session, who)).items())
        doors = await _doors(session, who, frame)
    model = KeyForm(people, doors)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/key_form.html", model, here="staff-keys")


@router.get("/{key_id}")
async def one_key(seen: Seen, who: Who, key_id: str) -> Response:
    """One with its number. Needs staff.edit and a fresh second factor."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        row = await staff_keys.get(session, who, key_id)
        names = await _people(session, who)
        doors = {key: text for key, text, _note in await _doors(session, who, frame)}
    number = row.secret if row.kind == "card" else f"{row.secret[:4]} {row.secret[4:]}"
    model = KeyShown(
        row.id,
        names.get(row.staff_id, _("已停用的员工")),
        row.kind,
        number,
        _where(row, doors),
        _when(row),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/key.html", model, here="staff-keys")


def _where(row: StaffKey, doors: dict[str, str]) -> str:
    if row.doors is None:
        return _("管的门店的所有门")
    return _("、").join(doors.get(key, _("已拆的门")) for key in row.doors)


def _when(row: StaffKey) -> str:
    return _("什么时候都行") if row.begins is None else f"{row.begins}–{row.ends}"


async def _people(session: AsyncSession, who: Staff) -> dict[str, str]:
    found = await staff.list_staff(session, who)
    return {member.id: member.name for member, _account in found if member.active}


async def _doors(session: AsyncSession, who: Staff, frame: Frame) -> tuple[Option, ...]:
    found: list[Option] = []
    for store in frame.stores:
        several = f"{store.name} " if len(frame.stores) > 1 else ""
        doors = await stores.doors_of(session, who, store.id)
        found += [(door.id, f"{several}{door.name}", "") for door in doors]
    return tuple(found)

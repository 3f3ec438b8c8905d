"""What cleaning paid in a month, per person: tasks that are done, by when they were finished."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.cleaning import people
from cloud_api.cleaning.models import CleaningTask
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders.export_sheet import safe
from cloud_api.staff.permissions import CLEANING_MANAGE
from cloud_api.stores.models import Room, Store

COLUMNS: Final = ("姓名", "完成时间", "门店", "包间", "用了（分钟）", "工钱（元）", "返工过")


@dataclass(frozen=True, slots=True)
class Done:
    """One task that pays. ``at`` is in the store's zone."""

    id: str
    at: datetime
    store: str
    room: str
    minutes: int
    pay_fen: int
    sent_back: bool


@dataclass(slots=True)
class Person:
    """Somebody's month; ``staff_id`` empty for who is not known any more."""

    staff_id: str
    name: str
    tasks: list[Done] = field(default_factory=list)

    @property
    def pay_fen(self) -> int:
        """The sum of it."""
        return sum(one.pay_fen for one in self.tasks)

    @property
    def minutes(self) -> int:
        """How long it took, from the first step in to the last."""
        return sum(one.minutes for one in self.tasks)


def month_of(text: str) -> tuple[date, date]:
    """The first days of ``2026-11`` and of the month after. Raises KaimenError ``cleaning.month`` (422)."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = date.min
    if not 2000 <= first.year < 2100:
        raise KaimenError("cleaning.month", "月份写成 2026-11 这样", status=422, field="month")
    return first, date(first.year + first.month // 12, first.month % 12 + 1, 1)


async def month(session: AsyncSession, staff: Staff, text: str, tz: str) -> list[Person]:
    """The month of all who cleaned, most pay first; a cleaner gets their own. ``tz`` bounds the month."""
    first, after = month_of(text)
    zone = ZoneInfo(tz)
    query = scoped(staff, CleaningTask).where(
        col(CleaningTask.state) == "done",
        col(CleaningTask.finished_at) >= datetime(first.year, first.month, 1, tzinfo=zone),
        col(CleaningTask.finished_at) < datetime(after.year, after.month, 1, tzinfo=zone),
    )
    if CLEANING_MANAGE not in staff.permissions:
        query = query.where(col(CleaningTask.staff_id) == staff.staff_id)
    tasks = (await session.exec(query.order_by(col(CleaningTask.finished_at)))).all()
    stores = {one.id: one for one in (await session.exec(scoped(staff, Store))).all()}
    rooms = {one.id: one.name for one in (await session.exec(scoped(staff, Room))).all()}
    names = await people.names(session, staff.merchant_id)
    found: dict[str, Person] = {}
    for task in tasks:
        who = task.staff_id or ""
        person = found.setdefault(who, Person(who, names.get(who, "")))
        person.tasks.append(_done(task, stores[task.store_id], rooms.get(task.room_id, "")))
    return sorted(found.values(), key=lambda one: (-one.pay_fen, one.name))


def _done(task: CleaningTask, store: Store, room: str) -> Done:
    assert task.finished_at is not None
    began = task.started_at or task.finished_at
    return Done(
        task.id,
        task.finished_at.astimezone(ZoneInfo(store.tz)),
        store.name,
        room,
        max(0, round((task.finished_at - began).total_seconds() / 60)),
        task.pay_fen,
        bool(task.why),
    )


def as_csv(persons: Sequence[Person]) -> bytes:
    """The month as a sheet: one line a task, UTF-8 with a mark so that Excel reads it."""
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow([_(name) for name in COLUMNS])
    for person in persons:
        for one in person.tasks:
            sheet.writerow(
                (
                    safe(person.name),
                    f"{one.at:%Y-%m-%d %H:%M}",
                    safe(one.store),
                    safe(one.room),
                    one.minutes,
                    f"{one.pay_fen / 100:.2f}",
                    _("是") if one.sent_back else "",
                )
            )
    return b"\xef\xbb\xbf" + out.getvalue().encode()

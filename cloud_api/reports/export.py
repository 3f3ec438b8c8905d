"""Statistics to take along, as CSV or XLSX: written by a job beside the lists of orders, kept for a day.

``day`` is a row per store and day, ``part`` one per store, day, room and channel, ``fact`` one for each
thing that was counted. Needs ``report.read`` and ``order.export``; the log of acts tells who asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.branding import service as branding
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import DEFAULT, language, later, speaking
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.models import DueJob
from cloud_api.kit.throttle import hit
from cloud_api.orders.export import KEEP, LANGUAGE, LIMIT, MOST, finish, move
from cloud_api.orders.export_sheet import FORMS, Cell, write
from cloud_api.orders.models import OrderExport
from cloud_api.reports import facts
from cloud_api.reports.measures import CHANNELS, COLUMNS, head_of
from cloud_api.reports.models import ReportDay, ReportPart
from cloud_api.reports.query import Wanted
from cloud_api.staff.permissions import ORDER_EXPORT, REPORT_READ
from cloud_api.stores.models import Room, Store

MAKE: Final = "report.export"
Detail = Literal["day", "part", "fact"]
_SYSTEM: Final = System()
_CHUNK: Final = timedelta(days=7)
_HEADS: Final = {
    "day": ("营业日", "门店"),
    "part": ("营业日", "门店", "包间", "来源"),
    "fact": ("营业日", "门店", "时间", "类型", "对象", "说明", "包间", "来源"),
}


async def ask(
    session: AsyncSession,
    actor: Staff,
    form: str,
    detail: Detail,
    wanted: Wanted,
    stores: Sequence[Store],
    clocks: Clocks,
) -> OrderExport:
    """Ask for the statistics of a period. Raises KaimenError ``export.form`` (422), TooOften."""
    actor.need(REPORT_READ)
    actor.need(ORDER_EXPORT)
    if form not in FORMS:
        raise KaimenError("export.form", "选 CSV 或 Excel", status=422, field="form")
    await hit(session, f"order-export:{actor.staff_id}", *LIMIT, clocks.real)
    told = {
        "report": detail,
        "first": wanted.first.isoformat(),
        "last": wanted.last.isoformat(),
        "stores": [one.id for one in stores],
        "room_id": wanted.room_id,
        "channel": wanted.channel,
        LANGUAGE: language(),
    }
    made = OrderExport(
        merchant_id=actor.merchant_id,
        staff_id=actor.staff_id,
        form=form,
        wanted=told,
        store_ids=None if actor.store_ids is None else sorted(actor.store_ids),
        total=((wanted.last - wanted.first).days + 1) * len(stores),
        created_at=clocks.real,
        expires_at=clocks.real + KEEP,
    )
    session.add(made)
    await session.flush()
    await schedule(
        session,
        merchant_id=made.merchant_id,
        kind=MAKE,
        ref=made.id,
        run_at=clocks.real,
        clock="wire",
        max_attempts=3,
    )
    await audit.record(
        session,
        actor,
        "report.export",
        merchant_id=made.merchant_id,
        subject=f"order_export:{made.id}",
        after={"form": form, **told},
        clocks=clocks,
    )
    return made


async def make(cloud: Cloud, job: DueJob) -> None:
    """The job: write the file, saying how many days of stores are in it. Again from the start after a crash."""
    async with cloud.db.read() as session:
        row = await session.get_one(OrderExport, job.ref)
        house = await branding.name_of(session, row.merchant_id)
    if row.state in {"done", "failed"} or row.expires_at <= cloud.clocks.real:
        return
    detail = str(row.wanted["report"])
    try:
        rows: list[tuple[Cell, ...]] = []
        days = 0
        with speaking(str(row.wanted.get(LANGUAGE, DEFAULT))):
            async for part, done in _parts(cloud, row, detail):
                rows += part
                days += done
                if len(rows) > MOST:
                    await move(cloud, row.id, state="failed")
                    return
                await move(cloud, row.id, state="running", rows=days)
            packed = await asyncio.to_thread(
                write, row.form, rows, heads(detail), later("统计"), house
            )
    except Exception:
        if job.attempts >= job.max_attempts:  # nobody would wait for a list that never comes
            await move(cloud, row.id, state="failed")
        raise
    await finish(cloud, row.id, packed, len(rows))


def heads(detail: str) -> tuple[str, ...]:
    """The first row of the sheet, in the language that is spoken."""
    return (*map(_, _HEADS[detail]), *map(head_of, COLUMNS))


async def _parts(
    cloud: Cloud, row: OrderExport, detail: str
) -> AsyncIterator[tuple[list[tuple[Cell, ...]], int]]:
    """Rows, and for how many days of stores, in the order of stores and days."""
    first, last = (date.fromisoformat(str(row.wanted[key])) for key in ("first", "last"))
    # Asked for before an upgrade, a list says nothing of these: it is about the whole.
    part = Wanted(first, last, room_id=row.wanted.get("room_id"), channel=row.wanted.get("channel"))
    async with cloud.db.read() as session:
        query = scoped(_SYSTEM, Store).where(
            col(Store.merchant_id) == row.merchant_id,
            col(Store.id).in_([str(one) for one in row.wanted["stores"]]),
        )
        stores = (await session.exec(query.order_by(col(Store.name)))).all()
        found = scoped(_SYSTEM, Room).where(col(Room.merchant_id) == row.merchant_id)
        rooms = {one.id: one.name for one in (await session.exec(found)).all()}
    for store in stores:
        day = first
        while day <= last:
            until = min(last, day + _CHUNK - timedelta(days=1))
            async with cloud.db.read() as session:
                rows = await _rows(
                    session, store, rooms, replace(part, first=day, last=until), detail
                )
            yield rows, (until - day).days + 1
            day = until + timedelta(days=1)


async def _rows(
    session: AsyncSession,
    store: Store,
    rooms: dict[str, str],
    wanted: Wanted,
    detail: str,
) -> list[tuple[Cell, ...]]:
    if detail == "fact":
        return await _facts(session, store, rooms, wanted)
    table: Any = ReportDay if detail == "day" and not wanted.parted else ReportPart
    query = scoped(_SYSTEM, table).where(
        col(table.store_id) == store.id,
        col(table.day) >= wanted.first,
        col(table.day) <= wanted.last,
    )
    query = query.order_by(col(table.day))
    if table is ReportPart:
        query = query.order_by(col(ReportPart.room_id), col(ReportPart.channel))
        query = query.where(*wanted.of_parts(ReportPart))
    found = (await session.exec(query)).all()
    if detail == "day":
        return [
            (f"{day}", store.name, *_numbers(_sum(list(parts))))
            for day, parts in groupby(found, lambda one: one.day)
        ]
    return [
        (
            f"{one.day}",
            store.name,
            rooms.get(one.room_id, ""),
            _(CHANNELS.get(one.channel, one.channel)),
            *_numbers(vars(one)),
        )
        for one in found
    ]


def _sum(rows: Sequence[Any]) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in rows) for name in COLUMNS}


async def _facts(
    session: AsyncSession, store: Store, rooms: dict[str, str], wanted: Wanted
) -> list[tuple[Cell, ...]]:
    zone = ZoneInfo(store.tz)
    made: list[tuple[Cell, ...]] = []
    for n in range((wanted.last - wanted.first).days + 1):
        day = wanted.first + timedelta(days=n)
        for one in (await facts.of_day(session, store, day)).facts:
            if not wanted.holds(one.room_id, one.channel):
                continue
            made.append(
                (
                    f"{day}",
                    store.name,
                    one.at.astimezone(zone),
                    _(facts.KINDS[one.kind]),
                    one.ref,
                    one.text,
                    rooms.get(one.room_id, ""),
                    _(CHANNELS.get(one.channel, one.channel)) if one.channel else "",
                    *_numbers(one.values),
                )
            )
    return made


def _numbers(values: dict[str, Any]) -> tuple[Cell, ...]:
    """Every column's number; money in yuan."""
    return tuple(
        (values.get(name, 0) / 100 if name.endswith("_fen") else values.get(name, 0))
        for name in COLUMNS
    )

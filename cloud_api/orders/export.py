"""Lists of orders to take along: asked for, written by a job that tells how far it is, kept for a day.

The file belongs to who asked for it, and to their stores as they were then.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import func, update
from sqlalchemy.orm import defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.branding import service as branding
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import DEFAULT, language, speaking
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.models import DueJob
from cloud_api.kit.throttle import hit
from cloud_api.orders import overtime
from cloud_api.orders.export_sheet import FORMS, Cell, write
from cloud_api.orders.models import Order, OrderExport
from cloud_api.orders.money import pays
from cloud_api.orders.search import Wanted, chosen
from cloud_api.orders.views import phone_tails
from cloud_api.orders.words import TEXT, word
from cloud_api.payments.house import LABELS
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers import PROVIDERS
from cloud_api.staff.permissions import ORDER_EXPORT, ORDER_READ
from cloud_api.stores.models import Room, Store

MAKE: Final = "order.export"
LANGUAGE: Final = "language"
"""In ``OrderExport.wanted``: that of who asked."""
MOST: Final = 50_000  # rows of one file
KEEP: Final = timedelta(hours=24)
LIMIT: Final = (20, 3600)  # lists per seconds and member of staff
_BATCH: Final = 500
_GIVEN_UP: Final = timedelta(minutes=15)  # a list that takes longer was killed again and again
_SOURCES: Final = {"app": "顾客", "staff": "代客", "waitlist": "候补", "series": "每周"}
_OVERTIME: Final = {"free": "不收", "due": "待付", "paid": "已付", "waived": "免收"}


async def ask(
    session: AsyncSession, actor: Staff, form: str, wanted: Wanted, clocks: Clocks
) -> OrderExport:
    """Ask for the orders that fit. Needs order.export and order.read; written down in the log of acts.

    Raises KaimenError ``export.form``, ``export.too_many`` (422), TooOften, and as ``search.find``.
    """
    actor.need(ORDER_EXPORT)
    if form not in FORMS:
        raise KaimenError("export.form", "选 CSV 或 Excel", status=422, field="form")
    query = await chosen(session, actor, wanted)
    await hit(session, f"order-export:{actor.staff_id}", *LIMIT, clocks.real)
    total = int((await session.exec(select(func.count()).select_from(query.subquery()))).one())
    if total > MOST:
        raise KaimenError(
            "export.too_many",
            _("有 {total} 单，一份表最多 {most} 单，缩短日期再导").format(total=total, most=MOST),
            status=422,
            field="day",
        )
    made = OrderExport(
        merchant_id=actor.merchant_id,
        staff_id=actor.staff_id,
        form=form,
        wanted={**_stored(wanted), LANGUAGE: language()},
        store_ids=None if actor.store_ids is None else sorted(actor.store_ids),
        total=total,
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
    await _record(session, actor, made, "order.export", clocks)
    return made


async def make(cloud: Cloud, job: DueJob) -> None:
    """The job: write the file, saying how far it is. Again from the start after a crash."""
    async with cloud.db.read() as session:
        row = await session.get_one(OrderExport, job.ref)
        house = await branding.name_of(session, row.merchant_id)
    if row.state in {"done", "failed"} or row.expires_at <= cloud.clocks.real:
        return
    try:
        with speaking(str(row.wanted.get(LANGUAGE, DEFAULT))):
            rows: list[tuple[Cell, ...]] = []
            async for part in _parts(cloud, row):
                rows += part
                await move(cloud, row.id, state="running", rows=len(rows))
            packed = await asyncio.to_thread(write, row.form, rows, house=house)
    except Exception:
        if job.attempts >= job.max_attempts:  # nobody would wait for a list that never comes
            await move(cloud, row.id, state="failed")
        raise
    await finish(cloud, row.id, packed, len(rows))


async def finish(cloud: Cloud, export_id: str, packed: bytes, rows: int) -> None:
    """Put the file down: its list is done."""
    await move(
        cloud,
        export_id,
        state="done",
        rows=rows,
        total=rows,
        content=base64.b64encode(packed).decode(),
        size_bytes=len(packed),
    )


async def mine(session: AsyncSession, actor: Staff) -> list[OrderExport]:
    """One's own lists, newest first, without their files. Needs order.export."""
    actor.need(ORDER_EXPORT)
    query = (
        scoped(actor, OrderExport)
        .where(col(OrderExport.staff_id) == actor.staff_id)
        .options(defer(OrderExport.content))  # type: ignore[arg-type]  # a column of the class
        .order_by(col(OrderExport.id).desc())
        .limit(20)
    )
    return list((await session.exec(query)).all())


async def one(session: AsyncSession, actor: Staff, export_id: str) -> OrderExport:
    """One of one's own lists. Needs order.export. Raises NotFound."""
    actor.need(ORDER_EXPORT)
    query = scoped(actor, OrderExport).where(
        col(OrderExport.id) == export_id, col(OrderExport.staff_id) == actor.staff_id
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("export", "没有这份表，或不是你导的")
    return found


def state_of(row: OrderExport, now: datetime) -> str:
    """The list's state; ``expired`` once its file is gone. ``now`` is wire time."""
    if row.state == "done":
        return "expired" if row.expires_at <= now else "done"
    return "failed" if row.created_at + _GIVEN_UP <= now else row.state


async def fetch(
    session: AsyncSession, actor: Staff, export_id: str, clocks: Clocks
) -> tuple[OrderExport, bytes]:
    """The file, which the log of acts tells of. Raises NotFound, Conflict ``export.not_ready`` / ``.expired``."""
    row = await one(session, actor, export_id)
    if row.expires_at <= clocks.real:
        raise Conflict("export.expired", "这份表过期了，重新导一份")
    if row.content is None:
        raise Conflict("export.not_ready", "还在写，好了就能下载")
    await _record(session, actor, row, "order.export_fetch", clocks)
    return row, base64.b64decode(row.content)


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Files whose time is over go; that somebody asked for them stays. ``now`` is wire time."""
    await session.exec(
        update(OrderExport)
        .where(col(OrderExport.expires_at) <= now, col(OrderExport.content).is_not(None))
        .values(content=None)
    )


async def _parts(cloud: Cloud, row: OrderExport) -> AsyncIterator[list[tuple[Cell, ...]]]:
    """The rows, oldest order first, as who asked saw them then."""
    as_then = Staff(
        staff_id=row.staff_id,
        account_id="",
        merchant_id=row.merchant_id,
        permissions=frozenset({ORDER_READ}),
        store_ids=None if row.store_ids is None else frozenset(map(str, row.store_ids)),
    )
    wanted = _read(row.wanted)
    last: tuple[datetime, str] | None = None
    while True:
        async with cloud.db.read() as session:
            query = await chosen(session, as_then, wanted)
            by, key = col(Order.created_at), col(Order.id)
            if last is not None:
                query = query.where((by > last[0]) | ((by == last[0]) & (key > last[1])))
            found = list((await session.exec(query.order_by(by, key).limit(_BATCH))).all())
            part = await _cells(session, found)
        if part:
            yield part
        if len(found) < _BATCH:
            return
        last = (found[-1].created_at, found[-1].id)


async def _cells(session: AsyncSession, orders: list[Order]) -> list[tuple[Cell, ...]]:
    ids = [one.id for one in orders]
    stores = await _named(session, Store, {one.store_id for one in orders})
    rooms = await _named(session, Room, {one.room_id for one in orders})
    tails = await phone_tails(session, {one.account_id for one in orders})
    owed = await overtime.of_orders(session, ids)
    ways: dict[str, list[str]] = {}
    paid = select(col(PaymentAttempt.pays), col(PaymentAttempt.provider)).where(
        col(PaymentAttempt.pays).in_([pays(i) for i in ids]),
        col(PaymentAttempt.state) == "succeeded",
    )
    for what, provider in (await session.exec(paid)).all():
        names = ways.setdefault(what, [])
        name = _way(provider)
        if name not in names:
            names.append(name)
    made: list[tuple[Cell, ...]] = []
    for order in orders:
        store, charge = stores[order.store_id], owed.get(order.id)
        zone = ZoneInfo(store.tz)
        made.append(
            (
                order.number,
                store.name,
                rooms[order.room_id].name,
                _(TEXT[word(order)]),
                tails.get(order.account_id, ""),
                _(_SOURCES.get(order.source, order.source)),
                _local(order.created_at, zone),
                _local(order.starts_at, zone),
                _local(order.ends_at, zone),
                round((order.ends_at - order.starts_at).total_seconds() / 60),
                _local(order.entered_at, zone),
                _local(order.ended_at, zone),
                None if order.used_s is None else order.used_s // 60,
                order.total_fen / 100,
                order.paid_fen / 100,
                order.refunded_fen / 100,
                order.refunding_fen / 100,
                order.cancel_fee_fen / 100,
                None if charge is None else charge.minutes,
                None if charge is None else charge.amount_fen / 100,
                "" if charge is None else _(_OVERTIME[charge.state]),
                _("、").join(ways.get(pays(order.id), [])),
                _(order.cancel_why or ""),
                order.staff_note,
            )
        )
    return made


def _way(provider: str) -> str:
    return _(PROVIDERS[provider].label if provider in PROVIDERS else LABELS.get(provider, provider))


def _local(at: datetime | None, zone: ZoneInfo) -> datetime | None:
    return None if at is None else at.astimezone(zone)


async def _named(session: AsyncSession, model: Any, ids: set[str]) -> dict[str, Any]:
    query = scoped(System(), model).where(col(model.id).in_(ids))
    return {row.id: row for row in (await session.exec(query)).all()}


def _stored(wanted: Wanted) -> dict[str, Any]:
    told = asdict(wanted)
    for name in ("day", "until"):
        told[name] = told[name].isoformat() if told[name] is not None else None
    return told


def _read(told: dict[str, Any]) -> Wanted:
    told = {name: value for name, value in told.items() if name != LANGUAGE}
    days = {n: date.fromisoformat(told[n]) if told.get(n) else None for n in ("day", "until")}
    lists = {n: tuple(told.get(n, ())) for n in ("status", "ids")}
    return Wanted(**{**told, **days, **lists})


async def move(cloud: Cloud, export_id: str, **values: Any) -> None:
    """Say how far a list is, unless it is over; also for lists of other packages (reports)."""
    async with cloud.db.write() as session:
        await session.exec(
            update(OrderExport)
            .where(
                col(OrderExport.id) == export_id, col(OrderExport.state).in_(("waiting", "running"))
            )
            .values(**values)
        )


async def _record(
    session: AsyncSession, actor: Staff, row: OrderExport, act: str, clocks: Clocks
) -> None:
    wanted = {name: value for name, value in row.wanted.items() if value and name != "text"}
    await audit.record(
        session,
        actor,
        act,
        merchant_id=row.merchant_id,
        store_id=row.wanted.get("store_id") or None,
        subject=f"order_export:{row.id}",
        after={"form": row.form, "orders": row.total, "wanted": wanted},
        clocks=clocks,
    )

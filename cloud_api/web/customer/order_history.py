"""What became of an order, in words: each step with its moment, each change with before, after and by whom."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.dates import day_month
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import offers
from cloud_api.orders.models import Order, OrderChange
from cloud_api.orders.schemas import OrderOut
from cloud_api.stores.models import Room
from cloud_api.web.pages import Visit
from cloud_api.web.rendering import hm, hm_end
from cloud_api.web.view_models.visit import Happened


async def history(
    session: AsyncSession, seen: Visit, order: Order, told: OrderOut
) -> tuple[Happened, ...]:
    """The oldest first. What only the till did (a page opened) is left out."""
    query = scoped(System(), OrderChange).where(
        col(OrderChange.order_id) == order.id, col(OrderChange.state) != "held"
    )
    changes = (await session.exec(query.order_by(col(OrderChange.id)).limit(50))).all()
    names: dict[str, str] = {}
    if changes:
        rooms = scoped(System(), Room).where(
            col(Room.id).in_({id_ for c in changes for id_ in (c.was_room_id, c.room_id)})
        )
        names = {room.id: room.name for room in (await session.exec(rooms)).all()}
    rows = [Happened(seen.local(one.at), one.text) for one in told.events if one.kind not in _QUIET]
    rows += [_changed(seen, one, names) for one in changes if one.state != "lapsed"]
    return tuple(sorted(rows, key=lambda row: row.at))


_QUIET = frozenset({"payment_opened"})


def _changed(seen: Visit, one: OrderChange, names: dict[str, str]) -> Happened:
    was = seen.local(one.was_starts_at), seen.local(one.was_ends_at)
    now = seen.local(one.starts_at), seen.local(one.ends_at)
    same = one.was_room_id == one.room_id
    if one.kind == offers.EXTENSION:
        before, after = hm_end(was[1]), hm_end(now[1])
        text = _("续时")
    else:
        days = was[0].date() != now[0].date()

        def span(room: str, begin: object, end: object, day: str) -> str:
            parts = ("" if same else names.get(room, ""), day, f"{begin}–{end}")
            return " ".join(part for part in parts if part)

        before = span(
            one.was_room_id, hm(was[0]), hm_end(was[1]), day_month(was[0].date()) if days else ""
        )
        after = span(
            one.room_id, hm(now[0]), hm_end(now[1]), day_month(now[0].date()) if days else ""
        )
        text = _("改时间") if same else _("换房")
    who = _("店家") if one.by.startswith("staff:") else _("你")
    money = ""
    if one.diff_fen > 0:
        money = _("补 {m}").format(m=yuan(one.diff_fen))
    elif one.diff_fen < 0:
        money = _("退 {m}").format(m=yuan(-one.diff_fen))
    note = " · ".join(part for part in (who, money) if part)
    return Happened(seen.local(one.created_at), text, before, after, note)

"""Starting earlier than booked: where the room is free before, the page of changes shows what it costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.window import previous_until
from cloud_api.orders.models import Order
from cloud_api.stores.models import Store
from cloud_api.web.pages import Visit


async def href(session: AsyncSession, here: Visit, order: Order, store: Store) -> str:
    """The page that offers the next time a booking may start at, up to the same end; "" where there is none
    before the order's own. ``here`` is in the store's zone.
    """
    if order.status not in ("paid", "ready") or order.claim_id is None:
        return ""
    rules = await rules_of(session, store, order.room_id)
    begin = next_start(here.now, rules.step_minutes)
    if begin >= order.starts_at or begin.date() != here.local(order.starts_at).date():
        return ""
    before = await previous_until(session, order.room_id, order.claim_id, order.starts_at)
    if before is not None and before > begin:
        return ""
    minutes = round((order.ends_at - begin).total_seconds() / 60)
    asked = {"day": begin.date().isoformat(), "time": f"{begin:%H:%M}", "minutes": minutes}
    return f"/orders/{order.id}/change?{urlencode(asked)}"


def next_start(now: datetime, step_minutes: int) -> datetime:
    """The first start of the grid that is not past: steps from local midnight, in the zone of ``now``."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    gone = (now - midnight).total_seconds() / 60
    return midnight + timedelta(minutes=-(-gone // step_minutes) * step_minutes)

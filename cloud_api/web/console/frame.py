"""What every console page carries: whose console it is, its stores, the ways to the other pages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Response
from sqlalchemy import ScalarSelect, Select, func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms import service as alarms
from cloud_api.cleaning import service as cleaning
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.merchants.models import Merchant
from cloud_api.staff.permissions import ALARM_READ, CLEANING_DO
from cloud_api.stores import service as stores
from cloud_api.stores.models import Store
from cloud_api.web.console import nav
from cloud_api.web.pages import HOME_ZONE, Visit, page


class NoStore(KaimenError):
    """404 ``store.none``: the merchant has no store yet; the page says where the first one is made."""

    def __init__(self) -> None:
        super().__init__("store.none", _("还没有门店，先开一家"), status=404)


EVENTS = "/api/v1/console/events"


@dataclass(frozen=True, slots=True)
class Frame:
    """The merchant and the stores that ``who`` works in; ``alarms`` is the number at the bell.

    ``badges`` counts what waits for ``who``, by page.
    """

    merchant: Merchant
    stores: list[Store]
    alarms: int = 0
    badges: Mapping[str, int] = field(default_factory=dict)

    @property
    def tz(self) -> str:
        """The zone of pages that belong to no one store: the first store's."""
        return self.stores[0].tz if self.stores else HOME_ZONE

    def tz_of(self, store_id: str) -> str:
        """The zone of one of the stores."""
        return next((store.tz for store in self.stores if store.id == store_id), self.tz)

    @property
    def store_choices(self) -> tuple[tuple[str, str, str], ...]:
        """The stores as choices of a form: id, name, address."""
        return tuple((store.id, store.name, store.address) for store in self.stores)

    def names_of(self, store_ids: Collection[object] | None) -> str:
        """Some stores in words; None are all of them."""
        if store_ids is None:
            return _("全部门店")
        names = [store.name for store in self.stores if store.id in store_ids]
        return _("、").join(names) or _("没有门店")


async def frame_of(session: AsyncSession, who: Staff) -> Frame:
    """Read the frame, in the page's own transaction. Two queries."""
    mine = await stores.list_stores(session, who)
    badges = {}
    waits = []
    if ALARM_READ in who.permissions:
        waits.append(_number(alarms.waiting_for(who)))
    if CLEANING_DO in who.permissions:
        waits.append(_number(cleaning.waiting_for(who)))
    query = select(Merchant, *waits).where(col(Merchant.id) == who.merchant_id)
    merchant, *counts = (await session.execute(query)).one()
    bell = counts.pop(0) if ALARM_READ in who.permissions else 0
    if counts:
        badges["cleaning"] = counts[0]
    return Frame(merchant, mine, bell, badges)


def _number(query: Select[Any]) -> ScalarSelect[int]:
    return select(func.count()).select_from(query.subquery()).scalar_subquery()


def console_page(
    seen: Visit,
    who: Staff,
    frame: Frame,
    template: str,
    model: object,
    *,
    here: str,
    status: int = 200,
    **more: object,
) -> Response:
    """A page inside the console's frame; ``here`` is its key in ``nav.PAGES``.

    Give ``seen.at(tz)``: instants on the page and its clock are in that zone.
    """
    look = seen.of(frame.merchant.id).look
    shell = seen.of(frame.merchant.id).shell(person=who.name, events=EVENTS)
    around = nav.shell(
        who.permissions,
        here,
        merchant=look.name if look.version else frame.merchant.name,
        stores=frame.stores,
        badges=frame.badges,
        alarms=frame.alarms,
    )
    return page(
        seen,
        template,
        model,
        shell=shell,
        nav=around,
        status=status,
        acting=bool(who.platform_admin),
        **more,
    )

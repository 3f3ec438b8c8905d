"""What may still be changed before ordering: what comes beside the room, and which coupon is taken off.

Each change asks for another price of the same time; ``want`` is how it is asked for.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons.service import offers_for
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.members.levels import level_of
from cloud_api.pricing.models import Extra, Quote
from cloud_api.web.pages import Visit
from cloud_api.web.view_models.booking import CouponRow, ExtraRow

_MEMBER = "member"


async def basket(session: AsyncSession, seen: Visit, quote: Quote) -> dict[str, Any]:
    """The part of the confirm page that may be changed. ``seen`` is in the store's zone."""
    coupons = _coupons(quote)
    again = await _knew_nobody(session, seen, quote)
    return {
        "want": json.dumps(_want(seen, quote)),
        "extras": await _extras(session, quote),
        "coupons": coupons,
        "keep": _keep(coupons, requote=again),
        "coupon_word": _coupon_word(coupons),
        "requote": again,
        "weekly_href": _weekly(quote) if quote.kind == "hourly" else "",
    }


def _want(seen: Visit, quote: Quote) -> dict[str, Any]:
    """The same time, asked for again."""
    begin = seen.local(quote.starts_at).isoformat(timespec="seconds")
    end = seen.local(quote.ends_at).isoformat(timespec="seconds")
    ways: dict[str, dict[str, Any]] = {
        "slot": {"slot_id": quote.product_id, "day": begin[:10]},
        "package": {"package_id": quote.product_id, "starts_at": begin},
        "payg": {"payg": True, "starts_at": begin, "ends_at": end},
    }
    own = ways.get(quote.kind, {"starts_at": begin, "ends_at": end})
    return {"room_id": quote.room_id, **own}


async def _extras(session: AsyncSession, quote: Quote) -> tuple[ExtraRow, ...]:
    """Everything the store sells beside a room, with how many of it are in the price."""
    query = scoped(System(), Extra).where(col(Extra.store_id) == quote.store_id, col(Extra.active))
    query = query.order_by(col(Extra.sort), col(Extra.id)).limit(20)
    taken = {line["ref"]: line["quantity"] for line in quote.lines if line["kind"] == "extra"}
    return tuple(
        ExtraRow(one.id, one.name, one.unit, one.price_fen, one.most, taken.get(one.id, 0))
        for one in (await session.exec(query)).all()
    )


def _coupons(quote: Quote) -> tuple[CouponRow, ...]:
    """The coupons that were weighed: what takes off most first, those that do not fit last."""
    return tuple(
        CouponRow(
            id=one["id"],
            name=one["name"],
            text=one["text"],
            off_fen=one["off_fen"],
            why_not=_(one["why_not"]) if one["why_not"] else "",
            chosen=one["chosen"],
            best=one["best"],
        )
        for one in quote.detail.get("coupons", [])
    )


def _keep(coupons: tuple[CouponRow, ...], *, requote: bool) -> str:
    chosen = next((one for one in coupons if one.chosen), None)
    if chosen is not None:
        return "best" if chosen.best else chosen.id
    left_out = any(not one.why_not for one in coupons)
    return "none" if left_out or requote else "best"


def _coupon_word(coupons: tuple[CouponRow, ...]) -> str:
    """The choice in one line; "" where there is nothing to choose from."""
    chosen = next((one for one in coupons if one.chosen), None)
    if chosen is not None:
        word = _("{name}，省 {sum}").format(name=chosen.name, sum=yuan(chosen.off_fen))
        return word + (_("，这是最省的一张") if chosen.best and len(coupons) > 1 else "")
    if coupons:
        return _("{n} 张券这次都用不了").format(n=len(coupons))
    return ""


async def _knew_nobody(session: AsyncSession, seen: Visit, quote: Quote) -> bool:
    """Whether the price was asked for before logging in, and could be another now."""
    if quote.detail.get("coupons") or quote.kind == "payg":
        return False
    who = seen.customer
    if await offers_for(session, who, quote.merchant_id, seen.cloud.clocks.now):
        return True
    level = await level_of(session, quote.merchant_id, who.account_id)
    return level is not None and not any(line["kind"] == _MEMBER for line in quote.lines)


def _weekly(quote: Quote) -> str:
    span = {"from": quote.starts_at.isoformat(), "to": quote.ends_at.isoformat()}
    return f"/rooms/{quote.room_id}/weekly?{urlencode(span)}"

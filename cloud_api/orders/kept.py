"""What the rules keep of an order whose price a voucher paid, when it is cancelled or nobody comes.

Its total is nothing, so a share of the total is nothing too: the share is taken of the voucher. A platform's
voucher cannot be given back in part: it is whole again while cancelling costs nothing, and used after that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import Rules, rules_of, span_words
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import no_show
from cloud_api.orders.cancel import BY_CUSTOMER
from cloud_api.orders.cancel_rules import fee_of, tier_of
from cloud_api.orders.models import Order, OrderLine
from cloud_api.stores.models import Store


@dataclass(frozen=True, slots=True)
class Share:
    """Fen of a voucher's value that are kept, and that go back. Nothing kept: the voucher is whole again."""

    kept_fen: int
    back_fen: int


def share_of(value_fen: int, per_cent: int) -> Share:
    """Part of a voucher's value by a rule."""
    kept = fee_of(value_fen, per_cent)
    return Share(kept, value_fen - kept)


def now_kept(order: Order, rules: Rules, now: datetime) -> int:
    """Per cent that its guest would leave behind by cancelling now; 0 while the house has not confirmed."""
    if order.status != "ready":
        return 0
    tier = tier_of(rules, order.starts_at, now)
    return 100 if tier is None else tier.per_cent


def fate_of(
    order: Order, lines: Iterable[OrderLine], rules: Rules, now: datetime
) -> tuple[str | None, int]:
    """What cancelling now makes of the voucher that pays: ``whole``, ``part`` with fen, ``used``, or None.

    A platform's voucher goes back whole, or not at all; ``late`` is one that the platform takes back by
    itself no more, so that the house has to settle it there.
    """
    paying = next((line for line in lines if line.kind == "voucher"), None)
    if paying is None:
        return None, 0
    per_cent = now_kept(order, rules, now)
    share = share_of(-paying.amount_fen, per_cent)
    theirs = paying.detail.get("source") == "platform"
    if not per_cent or not share.kept_fen:
        until = paying.detail.get("back_until")
        over = theirs and until is not None and not (until and now <= datetime.fromisoformat(until))
        return ("late" if over else "whole"), 0
    return ("part", share.back_fen) if share.back_fen and not theirs else ("used", 0)


def platform_words(rules: Rules) -> str:
    """What cancelling makes of a platform's voucher, before anybody uses one."""
    free = [tier.minutes for tier in rules.cancel_tiers if not tier.per_cent]
    if not free:
        return _("用了以后取消，券算用掉")
    if not free[-1]:
        return _("开始前取消，券整张退回")
    return _("开始 {time}前取消，券整张退回；再晚取消，券算用掉").format(time=span_words(free[-1]))


async def per_cent_of(session: AsyncSession, order: Order, was: str, at: datetime) -> int:
    """Per cent that is kept of an order that was cancelled ``at`` (business time): nothing where the house
    did it.
    """
    if was != "ready" or order.cancel_why not in (BY_CUSTOMER, no_show.WHY):
        return 0
    store = await session.get_one(Store, order.store_id)
    rules = await rules_of(session, store, order.room_id)
    if order.cancel_why == no_show.WHY:
        return rules.no_show_per_cent
    tier = tier_of(rules, order.starts_at, at)
    return 100 if tier is None else tier.per_cent

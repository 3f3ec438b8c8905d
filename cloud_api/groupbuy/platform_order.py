"""What a platform's voucher does to orders: verified, an order is made of the held room; an order that cannot
be made, or is cancelled, has the platform take the verification back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import service as claims
from cloud_api.kit.actor import Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, looked, schedule
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.kit.money import yuan
from cloud_api.kit.notices import notify
from cloud_api.orders import kept, place
from cloud_api.orders.models import Order
from cloud_api.platform_vouchers import books, service
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.platforms import KINDS
from cloud_api.platform_vouchers.platforms.base import Back
from cloud_api.platform_vouchers.transitions import lock_use, move
from cloud_api.pricing.models import Quote
from cloud_api.staff.permissions import VOUCHER_REDEEM

_BACK_S: Final = (5, 10, 20, 40, 60, 120, 300)
_SYSTEM: Final = System()


async def make_order(session: AsyncSession, use: PlatformUse, clocks: Clocks) -> None:
    """The held room becomes a ready order. Raises what forbids it."""
    quote = Quote(
        merchant_id=use.merchant_id,
        store_id=use.store_id,
        room_id=use.room_id,
        starts_at=use.starts_at,
        ends_at=use.ends_at,
        total_fen=0,
        lines=_lines(use),
        created_at=clocks.now,
        expires_at=clocks.now + timedelta(minutes=1),
    )
    session.add(quote)
    await session.flush()
    order = await place.place(
        session,
        Customer(account_id=use.account_id),
        quote.id,
        clocks,
        source="platform",
        claim_id=use.claim_id,
    )
    await move(session, use, "confirmed", by="system", clocks=clocks, order_id=order.id)
    await books.follow(session, use, clocks)


async def confirm(cloud: Cloud, use_id: str) -> PlatformUse:
    """Make the order of a verified voucher; where that fails, have the verification taken back."""
    try:
        async with cloud.db.write() as session:
            use = await lock_use(session, _SYSTEM, use_id)
            if use.state == "verified":
                await make_order(session, use, cloud.clocks)
            return use
    except KaimenError as error:
        failed = error.message
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, use_id)
        if use.state == "verified":
            if use.claim_id is not None:
                await claims.release(session, use.claim_id, "platform_failed")
            await move(session, use, "cancelling", by="system", why=failed, clocks=cloud.clocks)
            await books.follow(session, use, cloud.clocks)
            await take_back_later(session, use, cloud.clocks)
        return use


async def unused(
    session: AsyncSession, order: Order, was: str, by: str, at: datetime, clocks: Clocks
) -> None:
    """An order that a platform's voucher paid for was cancelled: it is to be whole there again.

    A platform takes a voucher back whole or not at all: it stays used where the rules keep anything.
    """
    if await kept.per_cent_of(session, order, was, at):
        return
    query = scoped(_SYSTEM, PlatformUse).where(
        col(PlatformUse.order_id) == order.id, col(PlatformUse.state) == "confirmed"
    )
    known = (await session.exec(query)).first()
    if known is None:
        return
    use = await lock_use(session, _SYSTEM, known.id)
    if use.state == "confirmed":
        await move(session, use, "cancelling", by=by, why=later("订单取消"), clocks=clocks)
        await take_back_later(session, use, clocks)


async def take_back(cloud: Cloud, job: DueJob) -> None:
    """Job ``platform.cancel``: have the platform make the voucher whole; where it will not, people see it."""
    view = await service.take_back(cloud, job.ref)
    if view.answer is Back.UNKNOWN:
        raise Again(_BACK_S[min(looked(job), len(_BACK_S) - 1)], view.detail)
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, job.ref)
        await books.follow(session, use, cloud.clocks)
        if use.state == "stuck":
            await tell_staff(session, use, "platform.stuck", cloud.clocks, reason=use.why)


async def take_back_later(session: AsyncSession, use: PlatformUse, clocks: Clocks) -> None:
    """Ask the platform, after this transaction, to make the voucher whole."""
    await schedule(
        session,
        merchant_id=use.merchant_id,
        kind=service.CANCEL,
        ref=use.id,
        run_at=clocks.real,
        clock="wire",
    )


async def tell_staff(
    session: AsyncSession, use: PlatformUse, event: str, clocks: Clocks, **data: Any
) -> None:
    """Tell who redeems at the store."""
    await notify(
        session,
        merchant_id=use.merchant_id,
        store_id=use.store_id,
        event=event,
        to=f"staff:{VOUCHER_REDEEM}",
        subject=f"platform_use:{use.id}",
        data={"name": use.name, "label": use.label, "room_id": use.room_id, **data},
        key=use.id,
        at=clocks.now,
    )


async def record(
    session: AsyncSession, staff: Staff, use: PlatformUse, action: str, why: str, clocks: Clocks
) -> None:
    """Write down what staff did with it."""
    await audit.record(
        session,
        staff,
        action,
        merchant_id=use.merchant_id,
        store_id=use.store_id,
        subject=f"platform_use:{use.id}",
        after={"name": use.name, "label": use.label, "code": f"…{use.code_tail}", "way": use.way},
        why=why.strip(),
        clocks=clocks,
    )


def _lines(use: PlatformUse) -> list[dict[str, Any]]:
    """What the order says of its price: the package, and the voucher that pays it."""
    span = {
        "from": use.starts_at.isoformat(),
        "to": use.ends_at.isoformat(),
        "minutes": round((use.ends_at - use.starts_at).total_seconds() / 60),
        "hourly_fen": 0,
        "tariff_id": "",
    }
    return [
        {**span, "kind": "room_time", "text": use.name, "amount_fen": use.worth_fen},
        {
            **span,
            "kind": "voucher",
            "text": _("{label}券抵 {money}").format(label=use.label, money=yuan(use.worth_fen)),
            "amount_fen": -use.worth_fen,
            "platform_use_id": use.id,
            "source": "platform",
            "back_until": _back_until(use),
        },
    ]


def _back_until(use: PlatformUse) -> str:
    """Until when the platform takes it back by itself (ISO, business time); empty where it does not."""
    window_s = KINDS[use.kind].window_s
    if window_s is None:
        return ""
    return ((use.verified_at or use.created_at) + timedelta(seconds=window_s)).isoformat()

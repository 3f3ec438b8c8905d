"""Platform vouchers by hand: staff verify a code in the platform's own app and say here how it went."""

from __future__ import annotations

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.groupbuy.platform_order import make_order, record, tell_staff
from cloud_api.kit.actor import Customer, Staff, System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.platform_vouchers import books, service
from cloud_api.platform_vouchers.models import PlatformUse
from cloud_api.platform_vouchers.transitions import OVER, lock_use, move
from cloud_api.staff.permissions import VOUCHER_REDEEM

_SYSTEM: Final = System()


async def ask_people(session: AsyncSession, use: PlatformUse, clocks: Clocks) -> None:
    """A guest waits for somebody to confirm: staff hear of it, and it lapses in time."""
    assert use.expires_at is not None
    await schedule(
        session,
        merchant_id=use.merchant_id,
        kind=service.LAPSE,
        ref=use.id,
        run_at=use.expires_at,
    )
    await tell_staff(session, use, "platform.asked", clocks)


async def confirm_by_hand(
    session: AsyncSession, staff: Staff, use_id: str, why: str, clocks: Clocks
) -> PlatformUse:
    """Staff verified a code in the platform's own app, or found out that it was: the order is made.

    For one that waits for it (``asked``) or that nobody knows of (``unknown``). Raises NotFound, KaimenError
    ``platform.why`` (422), Conflict ``platform.over``, and what forbids an order.
    """
    use = await _by_staff(session, staff, use_id, why)
    if use.state in ("verified", "confirmed"):
        return use
    _need_state(use, "asked", "verifying", "unknown")
    await move(
        session, use, "verified", by=staff.ref, why=why, clocks=clocks, verified_at=clocks.now
    )
    await make_order(session, use, clocks)
    await record(session, staff, use, "platform_voucher.confirm", why, clocks)
    return use


async def refuse_by_hand(
    session: AsyncSession, staff: Staff, use_id: str, why: str, clocks: Clocks
) -> PlatformUse:
    """Staff say that a code is no good, or was not verified: the room goes back on sale."""
    use = await _by_staff(session, staff, use_id, why)
    if use.state == "refused":
        return use
    _need_state(use, "asked", "verifying", "unknown")
    await move(session, use, "refused", by=staff.ref, why=why, clocks=clocks)
    if use.claim_id is not None:
        await claims.release(session, use.claim_id, "platform_refused")
    await record(session, staff, use, "platform_voucher.refuse", why, clocks)
    return use


async def settle_by_hand(
    session: AsyncSession, staff: Staff, use_id: str, why: str, clocks: Clocks
) -> PlatformUse:
    """Staff took a verification back in the platform's own app, which would not take it from us."""
    use = await _by_staff(session, staff, use_id, why)
    if use.state == "cancelled":
        return use
    _need_state(use, "stuck")
    await move(session, use, "cancelled", by=staff.ref, why=why, clocks=clocks)
    await books.follow(session, use, clocks)
    await record(session, staff, use, "platform_voucher.settle", why, clocks)
    return use


async def withdraw(
    session: AsyncSession, guest: Customer, use_id: str, clocks: Clocks
) -> PlatformUse:
    """A guest does not wait any longer for somebody to confirm. Raises NotFound, Conflict."""
    use = await lock_use(session, guest, use_id)
    if use.state in OVER:
        return use
    _need_state(use, "asked")
    await move(session, use, "refused", by=guest.ref, why=later("顾客不等了"), clocks=clocks)
    if use.claim_id is not None:
        await claims.release(session, use.claim_id, "platform_withdrawn")
    return use


async def lapse(cloud: Cloud, job: DueJob) -> None:
    """Job ``platform.lapse``: nobody confirmed in time; the room goes back, the code was not touched."""
    async with cloud.db.write() as session:
        use = await lock_use(session, _SYSTEM, job.ref)
        if use.state == "asked":
            await move(
                session,
                use,
                "lapsed",
                by="system",
                why=later("店家没有及时确认"),
                clocks=cloud.clocks,
            )
            if use.claim_id is not None:
                await claims.release(session, use.claim_id, "platform_lapsed")


async def _by_staff(session: AsyncSession, staff: Staff, use_id: str, why: str) -> PlatformUse:
    staff.need(VOUCHER_REDEEM)
    if len(why.strip()) < 2:
        raise KaimenError("platform.why", "写一句你是怎么知道的", status=422, field="why")
    return await lock_use(session, staff, use_id)


def _need_state(use: PlatformUse, *states: str) -> None:
    if use.state not in states:
        raise Conflict(
            "platform.over",
            _("这张券现在是「{word}」，不用再处理").format(word=_(service.WORDS[use.state])),
            state_now=use.state,
        )

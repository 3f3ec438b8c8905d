"""Letting a voucher be good for longer: staff do it for a reason, and the books follow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.groupbuy import books
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError
from cloud_api.payments.dispatch import ref_of
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher

LONGEST: Final = timedelta(days=731)


async def extend(
    session: AsyncSession, staff: Staff, voucher_id: str, until: datetime, why: str, clocks: Clocks
) -> Voucher:
    """Let a voucher be good until ``until``; one that expired is whole, and owed, again.

    Raises KaimenError ``voucher.until_far`` (422) and as ``vouchers.service.extend``.
    """
    if until - clocks.now > LONGEST:
        raise KaimenError("voucher.until_far", "最多延到两年后", status=422, field="until")
    was = (await vouchers.get(session, staff, voucher_id)).valid_until.isoformat()
    found = await vouchers.extend(session, staff, voucher_id, until, clocks)
    await books.follow_later(session, found.merchant_id, ref_of(found.source), clocks)
    await audit.record(
        session,
        staff,
        "voucher.extend",
        merchant_id=found.merchant_id,
        subject=f"voucher:{found.id}",
        before={"valid_until": was},
        after={"name": found.name, "valid_until": found.valid_until.isoformat()},
        why=why,
        clocks=clocks,
    )
    return found

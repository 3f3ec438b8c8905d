"""A merchant's rows by the five hundred, and the money of many of them at once: for looks at everything.

A merchant may have a hundred thousand orders; a look at their books takes a few statements for each five
hundred of them, not for each of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.payments.models import PaymentAttempt, RefundAttempt

MANY: Final = 500
_SYSTEM: Final = System()
_Row = TypeVar("_Row", bound=SQLModel)


@dataclass(slots=True)
class Moved:
    """The payments for one thing and their refunds, oldest first."""

    paid: list[PaymentAttempt] = field(default_factory=list)
    refunds: list[RefundAttempt] = field(default_factory=list)


async def by_many(
    session: AsyncSession, model: type[_Row], merchant_id: str
) -> AsyncIterator[Sequence[_Row]]:
    """All rows of a merchant in the order of their ids, ``MANY`` at a time; never an empty part."""
    columns: Any = model
    after = ""
    while True:
        query = (
            scoped(_SYSTEM, model)
            .where(col(columns.merchant_id) == merchant_id, col(columns.id) > after)
            .order_by(col(columns.id))
            .limit(MANY)
        )
        found = (await session.exec(query)).all()
        if found:
            yield found
        if len(found) < MANY:
            return
        last: Any = found[-1]
        after = last.id


async def moved(session: AsyncSession, parts: Iterable[str]) -> dict[str, Moved]:
    """The money that belongs to each of many things (``PaymentAttempt.part_of``), in two statements."""
    made = {part: Moved() for part in parts}
    query = scoped(_SYSTEM, PaymentAttempt).where(col(PaymentAttempt.part_of).in_(made))
    owner: dict[str, Moved] = {}
    for payment in (await session.exec(query.order_by(col(PaymentAttempt.id)))).all():
        owner[payment.id] = made[payment.part_of]
        made[payment.part_of].paid.append(payment)
    back = scoped(_SYSTEM, RefundAttempt).where(col(RefundAttempt.payment_id).in_(owner))
    for refund in (await session.exec(back.order_by(col(RefundAttempt.id)))).all():
        owner[refund.payment_id].refunds.append(refund)
    return made

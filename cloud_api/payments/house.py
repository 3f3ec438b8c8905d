"""Ways to pay that are the house's own: a balance, cash at the desk. No provider is called for them.

They are payments like all others: an attempt with a number, refunds out of it, entries in the books. A
package above says with ``register`` how money goes back; it acts in the transaction of the refund.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.ids import new_id
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers.base import Back, RefundView
from cloud_api.stores.models import Store

GiveBack = Callable[[AsyncSession, RefundAttempt, PaymentAttempt, Clocks], Awaitable[RefundView]]
CASH: Final = "cash"
LABELS: Final = {CASH: "现金", "balance": "余额"}
SPENT: Final = tuple(LABELS.keys() - {CASH})
"""Providers whose payments bring nothing in: that money came before, when a balance was topped up."""


@dataclass(frozen=True, slots=True)
class Method:
    """``give_back`` is called under the refund's lock, perhaps again for the same refund."""

    give_back: GiveBack


async def _over_the_counter(
    _session: AsyncSession, refund: RefundAttempt, _payment: PaymentAttempt, _clocks: Clocks
) -> RefundView:
    """Cash goes back when somebody hands it over; until then it is on its way."""
    return RefundView(Back.SUBMITTED, refund.number)


_methods: Final[dict[str, Method]] = {CASH: Method(_over_the_counter)}


def register(provider: str, give_back: GiveBack) -> None:
    """Say how money goes back by ``provider``."""
    _methods[provider] = Method(give_back)


def is_house(provider: str) -> bool:
    """Whether a provider is the house itself."""
    return provider in LABELS


def method_of(provider: str) -> Method:
    """How money goes back."""
    return _methods[provider]


async def account(
    session: AsyncSession, store: Store, provider: str, clocks: Clocks
) -> ProviderAccount:
    """The row that stands for the house's own method: one per merchant, never offered as a provider."""
    query = select(ProviderAccount).where(
        col(ProviderAccount.merchant_id) == store.merchant_id,
        col(ProviderAccount.provider) == provider,
    )
    found = (await session.exec(query.order_by(col(ProviderAccount.id)))).first()
    if found is None:
        found = ProviderAccount(
            id=new_id(),
            merchant_id=store.merchant_id,
            provider=provider,
            name=LABELS[provider],
            credentials="{}",
            enabled=False,
            created_at=clocks.now,
        )
        session.add(found)
        await session.flush()
    return found


async def paid(
    session: AsyncSession,
    *,
    store: Store,
    account_id: str,
    provider: str,
    pays: str,
    part_of: str,
    number: str,
    amount_fen: int,
    subject: str,
    expires_at: datetime,
    clocks: Clocks,
    with_id: str | None = None,
) -> PaymentAttempt:
    """A payment that is there at once. The caller settles it (payments/dispatch.py) in this transaction."""
    own = await account(session, store, provider, clocks)
    payment = PaymentAttempt(
        merchant_id=store.merchant_id,
        store_id=store.id,
        account_id=account_id,
        account_ref=own.id,
        provider=provider,
        channel="house",
        subject=subject,
        pays=pays,
        part_of=part_of,
        number=number,
        amount_fen=amount_fen,
        state="succeeded",
        expires_at=expires_at,
        created_at=clocks.now,
        succeeded_at=clocks.now,
        with_id=with_id,
    )
    session.add(payment)
    await session.flush()
    return payment

"""Top-ups: plans, buying one through any provider, and what its money does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Actor, Customer, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.ids import new_number
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.service import Line
from cloud_api.payments import house
from cloud_api.payments import service as payments
from cloud_api.payments.dispatch import ref_of
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import Payer
from cloud_api.payments.records import lock_payment
from cloud_api.payments.transitions import note as note_payment
from cloud_api.staff.permissions import BALANCE_EDIT
from cloud_api.stored_value import service
from cloud_api.stored_value.models import Topup, TopupPlan
from cloud_api.stored_value.schemas import PlanIn
from cloud_api.stored_value.split import Parts
from cloud_api.stores.service import get_store

KIND: Final = "topup"
OPEN_FOR: Final = timedelta(minutes=15)
_SYSTEM: Final = System()


async def plans(
    session: AsyncSession, merchant_id: str, *, all_of_them: bool = False
) -> Sequence[TopupPlan]:
    """A merchant's plans in their order; only those on offer unless ``all_of_them``."""
    query = scoped(_SYSTEM, TopupPlan).where(col(TopupPlan.merchant_id) == merchant_id)
    if not all_of_them:
        query = query.where(col(TopupPlan.active).is_(True))
    return (await session.exec(query.order_by(col(TopupPlan.sort), col(TopupPlan.pay_fen)))).all()


async def put_plan(
    session: AsyncSession, staff: Staff, plan_id: str | None, body: PlanIn, clocks: Clocks
) -> TopupPlan:
    """Make a plan, or change one for those who buy it from now on. Needs ``balance.edit``.

    Raises NotFound, Forbidden for staff who do not see every store of the merchant.
    """
    staff.need(BALANCE_EDIT)
    if plan_id is None:
        _all_stores(staff)
        plan = TopupPlan(merchant_id=staff.merchant_id, created_at=clocks.now, **body.model_dump())
        was = None
    else:
        found = await session.exec(scoped(staff, TopupPlan).where(col(TopupPlan.id) == plan_id))
        known = found.one_or_none()
        if known is None:
            raise NotFound("plan", "没有这个储值方案")
        _all_stores(staff)
        plan, was = known, known.model_dump(include=set(PlanIn.model_fields))
        for name, value in body.model_dump().items():
            setattr(plan, name, value)
    session.add(plan)
    await session.flush()
    await audit.record(
        session,
        staff,
        "plan.put",
        merchant_id=staff.merchant_id,
        subject=f"plan:{plan.id}",
        before=was,
        after=body.model_dump(),
        clocks=clocks,
    )
    return plan


async def buy(
    cloud: Cloud,
    customer: Customer,
    *,
    store_id: str,
    plan_id: str,
    provider: str,
    channel: str = "page",
    payer: Payer | None = None,
) -> tuple[Topup, PaymentAttempt]:
    """Open a payment for a plan at a store of its merchant.

    Raises NotFound, Conflict ``topup.limit`` where this member has bought it as often as it may be,
    and what opening a payment raises.
    """
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        store = await get_store(session, customer, store_id)
        plan = await session.get(TopupPlan, plan_id)
        if plan is None or plan.merchant_id != store.merchant_id or not plan.active:
            raise NotFound("plan", "这个储值方案已经下架，请选别的")
        if house.is_house(provider):
            raise KaimenError(
                "payment.no_account", "充值要用别的方式付", status=422, field="provider"
            )
        await service.lock_wallet(session, store.merchant_id, customer.account_id, clocks)
        if plan.per_member is not None:
            bought = await _bought(session, customer.account_id, plan.id)
            if bought >= plan.per_member:
                raise Conflict(
                    "topup.limit",
                    _("这个方案每人限 {per_member} 次，你已经买过了").format(
                        per_member=plan.per_member
                    ),
                )
        topup = Topup(
            merchant_id=store.merchant_id,
            store_id=store.id,
            account_id=customer.account_id,
            plan_id=plan.id,
            number=f"V{new_number(clocks.now, store.tz)}",
            pay_fen=plan.pay_fen,
            gift_fen=plan.gift_fen,
            gift_days=plan.gift_days,
            created_at=clocks.now,
        )
        session.add(topup)
        await session.flush()
        payment = await payments.open_payment(
            session,
            store=store,
            account_id=customer.account_id,
            pays=f"{KIND}:{topup.id}",
            number=f"{topup.number}-1",
            amount_fen=topup.pay_fen,
            subject=f"{store.name} {plan.name}",
            return_url=f"{cloud.settings.public_url.rstrip('/')}/me/balance?store={store.id}",
            expires_at=clocks.now + OPEN_FOR,
            provider=provider,
            channel=channel,
            clocks=clocks,
            payer=payer,
        )
    return topup, await payments.begin(cloud, payment.id)


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Let money for a top-up have its one effect; again changes nothing.

    Money that came after the limit was used up by another goes back in full.
    """
    payment = await session.get_one(PaymentAttempt, payment_id)
    wallet = await service.lock_wallet_of(session, payment, clocks)
    payment = await lock_payment(session, payment_id)
    if payment.state != "succeeded" or payment.applied is not None:
        return
    topup = await session.get_one(Topup, ref_of(payment.pays), populate_existing=True)
    plan = await session.get_one(TopupPlan, topup.plan_id)
    over = (
        plan.per_member is not None
        and await _bought(session, topup.account_id, plan.id) >= plan.per_member
    )
    if topup.state == "done" or over:
        await payments.ask_refund(
            session,
            payment.id,
            tag="dup",
            amount_fen=payment.amount_fen,
            reason=later("充值没有生效，全额退回"),
            clocks=clocks,
        )
        await note_payment(session, payment, applied="topup_refunded")
        return
    await session.exec(
        update(Topup)
        .where(col(Topup.id) == topup.id, col(Topup.state) != "done")
        .values(state="done", done_at=clocks.now)
        .execution_options(synchronize_session=False)
    )
    lots = await service.give(
        session,
        wallet,
        store_id=topup.store_id,
        amount_fen=topup.gift_fen,
        days=topup.gift_days,
        clocks=clocks,
    )
    wallet.paid_fen += topup.pay_fen
    session.add(wallet)
    await session.flush()
    await service.moved(
        session,
        wallet,
        store_id=topup.store_id,
        kind="topup",
        key=f"topup:{topup.id}",
        parts=Parts(topup.pay_fen, topup.gift_fen),
        subject=payment.part_of,
        lines=[
            Line(Account.ADVANCE, topup.pay_fen),
            Line(Account.BALANCE_PAID, -topup.pay_fen),
            Line(Account.GIFT_COST, topup.gift_fen),
            Line(Account.BALANCE_GIFT, -topup.gift_fen),
        ],
        clocks=clocks,
        text=plan.name,
        by=f"customer:{topup.account_id}",
        lots=lots,
    )
    await note_payment(session, payment, applied=KIND)


async def history(session: AsyncSession, actor: Actor, merchant_id: str) -> Sequence[Topup]:
    """A member's top-ups, newest first."""
    query = scoped(actor, Topup).where(
        col(Topup.merchant_id) == merchant_id, col(Topup.state) == "done"
    )
    return (await session.exec(query.order_by(col(Topup.id).desc()).limit(50))).all()


async def _bought(session: AsyncSession, account_id: str, plan_id: str) -> int:
    query = (
        select(func.count())
        .select_from(Topup)
        .where(
            col(Topup.account_id) == account_id,
            col(Topup.plan_id) == plan_id,
            col(Topup.state) == "done",
        )
    )
    return (await session.exec(query)).one()


async def closed(session: AsyncSession, payment_id: str) -> None:
    """A top-up that nobody paid is void; money that comes after all still makes it good."""
    payment = await session.get_one(PaymentAttempt, payment_id)
    await session.exec(
        update(Topup)
        .where(col(Topup.id) == ref_of(payment.pays), col(Topup.state) == "waiting")
        .values(state="void")
        .execution_options(synchronize_session=False)
    )


def _all_stores(staff: Staff) -> None:
    """Plans are of all stores of a merchant: so is who changes them."""
    if staff.store_ids is not None:
        raise KaimenError(
            "plan.all_stores", "储值方案所有门店通用，要能管全部门店的人来改", status=403
        )

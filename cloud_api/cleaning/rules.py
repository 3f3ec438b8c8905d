"""When a store wants its rooms cleaned, and what that pays."""

from __future__ import annotations

from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.cleaning.models import CleaningRule
from cloud_api.cleaning.schemas import RuleIn
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.seen import unchanged
from cloud_api.staff.permissions import CLEANING_MANAGE
from cloud_api.stores.models import Store
from cloud_api.stores.service import get_store


async def rule_of(session: AsyncSession, store: Store, clocks: Clocks) -> CleaningRule:
    """The store's rule, or what holds where none was set."""
    found = await session.get(CleaningRule, store.id)
    if found is not None:
        return found
    return CleaningRule(
        id=store.id, merchant_id=store.merchant_id, store_id=store.id, updated_at=clocks.now
    )


def facts_of(rule: CleaningRule) -> dict[str, Any]:
    """What it says: what a form shows of it."""
    return audit.facts(rule, *RuleIn.model_fields)


async def set_rule(
    session: AsyncSession,
    staff: Staff,
    store_id: str,
    body: RuleIn,
    clocks: Clocks,
    saw: str | None = None,
) -> CleaningRule:
    """Set the rule of a store, for the tasks that come. Needs cleaning.manage.

    Raises NotFound, Conflict ``cleaning_rule.changed`` where it is not what they ``saw`` (kit/seen.py).
    """
    staff.need(CLEANING_MANAGE)
    store = await get_store(session, staff, store_id)
    await session.refresh(store, with_for_update={"key_share": True})  # there may be no rule yet
    rule = await rule_of(session, store, clocks)
    names = tuple(RuleIn.model_fields)
    before = facts_of(rule)
    unchanged(saw, before, body.model_dump(), "cleaning_rule.changed")
    for name, value in body.model_dump().items():
        setattr(rule, name, value)
    rule.updated_at = clocks.now
    session.add(rule)
    await session.flush()
    await audit.record(
        session,
        staff,
        "cleaning.rule",
        merchant_id=store.merchant_id,
        store_id=store.id,
        subject=f"store:{store.id}",
        before=before,
        after=audit.facts(rule, *names),
        clocks=clocks,
    )
    return rule

"""A merchant's own rules for alarms: kept beside the table of defaults, written down in the audit."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import AlarmRule
from cloud_api.alarms.rules import RULES, Rule, rule_of
from cloud_api.alarms.schemas import RuleIn
from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import NotFound
from cloud_api.staff.permissions import NOTICE_EDIT


async def set_rule(
    session: AsyncSession, actor: Staff, kind: str, asked: RuleIn, clocks: Clocks
) -> Rule:
    """Say how a kind behaves from now on. Needs notice.edit. Raises NotFound for an unknown kind."""
    actor.need(NOTICE_EDIT)
    if kind not in RULES:
        raise NotFound("alarm_rule", "没有这种告警")
    before = await rule_of(session, actor.merchant_id, kind)
    query = scoped(actor, AlarmRule).where(col(AlarmRule.kind) == kind)
    row = (await session.exec(query)).first() or AlarmRule(
        merchant_id=actor.merchant_id,
        kind=kind,
        severity=asked.severity,
        raise_after_s=asked.raise_after_s,
        updated_at=clocks.real,
    )
    row.enabled, row.severity = asked.enabled, asked.severity
    row.raise_after_s, row.threshold = asked.raise_after_s, asked.threshold
    row.steps = [step.model_dump() for step in asked.steps]
    row.updated_at = clocks.real
    session.add(row)
    await session.flush()
    after = await rule_of(session, actor.merchant_id, kind)
    await record(
        session,
        actor,
        "alarm_rule.change",
        merchant_id=actor.merchant_id,
        subject=f"alarm_rule:{kind}",
        before=before.model_dump(mode="json"),
        after=after.model_dump(mode="json"),
        clocks=clocks,
    )
    return after

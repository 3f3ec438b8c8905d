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
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.staff import rights, roles
from cloud_api.staff.permissions import ALL, NOTICE_EDIT


async def set_rule(
    session: AsyncSession, actor: Staff, kind: str, asked: RuleIn, clocks: Clocks
) -> Rule:
    """Say how a kind behaves from now on. Needs notice.edit.

    Raises NotFound for an unknown kind, KaimenError ``alarm_rule.nobody`` and ``alarm_rule.to`` at the
    step at fault.
    """
    actor.need(NOTICE_EDIT)
    if kind not in RULES:
        raise NotFound("alarm_rule", "没有这种告警")
    if asked.enabled and not asked.steps:
        raise KaimenError(
            "alarm_rule.nobody", "选一下先告诉谁，不用告警就关掉", status=422, field="steps.0.to"
        )
    for number, step in enumerate(asked.steps):
        await _known(session, actor, step.to, f"steps.{number}.to")
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


async def _known(session: AsyncSession, actor: Staff, to: str, field: str) -> None:
    """Refuse a step that would reach nobody: a permission or role that is not there."""
    kind, _, key = to.partition(":")
    there = key in ALL
    if kind == "role":
        own = None if rights.is_preset(key) else await roles.find(session, actor.merchant_id, key)
        there = rights.is_preset(key) or own is not None
    if not there:
        raise KaimenError(
            "alarm_rule.to", "没有这个岗位了，换一个", status=422, field=field, extra={"to": to}
        )

"""Alarm rules for staff: when a kind is raised, who hears of it first, and who when nobody acts."""

import json
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.rules import RULES, SEVERITY_NAMES, Rule, Step, rules_of
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.texts import TEXTS
from cloud_api.staff import rights
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.models import Role
from cloud_api.staff.permissions import ALARM_READ, NAMES, NOTICE_EDIT, ROLES
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.notice_words import channel_choices
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.alarm_rules import AlarmRuleForm, AlarmRulesPage, RuleRow, StepRow

router = APIRouter(prefix="/console/alarms/rules", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
HERE: Final = "alarm-rules"
PATH: Final = "/console/alarms/rules"
_TONES: Final = {"critical": "is-overtime", "warning": "is-cleaning", "info": "is-booked"}
_SPANS: Final = (0, 10, 30, 60, 180, 300, 600, 1800, 3600)
_LIMITS: Final = {
    "power.overload": "用电超过多少瓦算超",
    "disk.low": "剩下百分之几以下算满",
    "certificate.expiring": "到期前几天说",
}
_ROWS: Final = 4


@router.get("")
async def all_rules(seen: Seen, who: Who) -> Response:
    """Every kind in words. Needs alarm.read."""
    who.need(ALARM_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        rules = await rules_of(session, who.merchant_id)
        people = await _people(session, who)
    model = AlarmRulesPage(
        rows=tuple(_row(rule, people) for rule in rules.values()),
        quiet=_quiet(),
        may_edit=NOTICE_EDIT in who.permissions,
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/alarm_rules.html", model, here=HERE)


@router.get("/{kind}")
async def one_rule(seen: Seen, who: Who, kind: str) -> Response:
    """A kind's form. Needs alarm.read and notice.edit."""
    who.need(ALARM_READ)
    who.need(NOTICE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        rules = await rules_of(session, who.merchant_id)
        people = await _people(session, who)
    rule = rules.get(kind)
    if rule is None:
        raise NotFound("alarm_rule", "没有这种告警")
    people |= {step.to: _person(step.to, people) for step in rule.steps if step.to not in people}
    steps = [StepRow(s.to, s.after_min, tuple(s.channels or ())) for s in _in_order(rule)]
    steps += [StepRow("", None, ())] * max(_ROWS - len(steps), 0)
    model = AlarmRuleForm(
        kind=kind,
        name=_(rule.name),
        enabled=rule.enabled,
        severity=rule.severity,
        severities=tuple((key, _(name)) for key, name in SEVERITY_NAMES.items()),
        raise_after_s=rule.raise_after_s,
        spans=tuple((s, _span(s)) for s in sorted({*_SPANS, rule.raise_after_s})),
        limit=_(_LIMITS.get(kind, _("界限"))) if rule.threshold is not None else "",
        threshold="" if rule.threshold is None else f"{rule.threshold:g}",
        steps=tuple(steps),
        people=tuple(people.items()),
        channels=channel_choices("staff"),
        quiet=_quiet(),
        own=rule != RULES[kind],
        default=_body(RULES[kind]),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/alarm_rule.html", model, here=HERE)


async def _people(session: AsyncSession, who: Staff) -> dict[str, str]:
    """Whom a step may name: roles, then whoever may do what the defaults name."""
    own = (await session.exec(scoped(who, Role).order_by(col(Role.id)))).all()
    named = {role.key: role for role in own}
    keys = [*ROLES, *(role.key for role in own if not rights.is_preset(role.key))]
    wants = dict.fromkeys(s.to for rule in RULES.values() for s in rule.steps)
    able = {to: _able(to) for to in wants if to.startswith("staff:")}
    return able | {f"role:{key}": _(rights.name_of(key, named.get(key))) for key in keys}


def _able(to: str) -> str:
    what = NAMES.get(to.partition(":")[2], "")
    return _("能{what}的人").format(what=_(what))


def _person(to: str, people: dict[str, str]) -> str:
    if to in people:
        return people[to]
    return _able(to) if to.startswith("staff:") else _("已删除的岗位")


def _in_order(rule: Rule) -> list[Step]:
    return sorted(rule.steps, key=lambda step: step.after_min)


def _row(rule: Rule, people: dict[str, str]) -> RuleRow:
    steps = _in_order(rule)
    first = [step for step in steps if step.after_min == 0]
    later = [step for step in steps if step.after_min > 0]
    return RuleRow(
        kind=rule.kind,
        name=_(rule.name),
        tone=_TONES[rule.severity] if rule.enabled else "is-maintenance",
        state=_(SEVERITY_NAMES[rule.severity]) if rule.enabled else _("不告警"),
        raised=_raised(rule),
        first=_("、").join(_told(step, people) for step in first) or _("没有人"),
        later=tuple(
            _("{span}没人处理：{who}").format(
                span=_span(step.after_min * 60), who=_told(step, people)
            )
            for step in later
        ),
        own=rule != RULES[rule.kind],
        href=f"{PATH}/{rule.kind}",
    )


def _raised(rule: Rule) -> str:
    """After how long, and beyond which limit."""
    after = (
        _("马上")
        if rule.raise_after_s == 0
        else _("持续 {span}").format(span=_span(rule.raise_after_s))
    )
    if rule.threshold is None:
        return after
    return f"{after} · {rule.threshold:g} {_(rule.unit)}"


def _told(step: Step, people: dict[str, str]) -> str:
    who = _person(step.to, people)
    if step.channels is None:
        return who
    names = {"sms": _("短信")} | {kind: _(port.name) for kind, port in CHANNELS.items()}
    by = _("、").join(names.get(kind, kind) for kind in step.channels) or _("只在消息里")
    return _("{who}（{by}）").format(who=who, by=by)


def _span(seconds: int) -> str:
    if seconds == 0:
        return _("马上")
    if seconds % 60:
        return _("{n} 秒").format(n=seconds)
    if seconds % 3600:
        return _("{n} 分钟").format(n=seconds // 60)
    return _("{n} 小时").format(n=seconds // 3600)


def _quiet() -> str:
    """What the notices' own table says of alarms at night."""
    if all(TEXTS[event].urgent for event in ("alarm.raised", "alarm.escalated")):
        return _("告警在安静时间也发，解除的消息等安静时间过了再发")
    return _("安静时间里的告警等到结束再发")


def _body(rule: Rule) -> str:
    kept = rule.model_dump(include={"enabled", "severity", "raise_after_s", "threshold", "steps"})
    return json.dumps(kept)

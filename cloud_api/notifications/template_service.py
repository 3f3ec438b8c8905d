"""A merchant's own words, rules and quiet hours for notices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.seen import unchanged
from cloud_api.merchants.models import Merchant
from cloud_api.notifications import wording
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.channels.speaker import CLIPS, clips_of
from cloud_api.notifications.fanout import settings_of
from cloud_api.notifications.models import NoticeRule, NoticeSettings, NoticeTemplate
from cloud_api.notifications.schemas import (
    PreviewOut,
    RuleIn,
    RuleOut,
    SettingsIn,
    TemplateIn,
    TemplateOut,
)
from cloud_api.notifications.texts import TEXTS, VARIABLES, check, fill, in_language
from cloud_api.staff.permissions import NOTICE_EDIT, NOTICE_READ

SPEAKER: Final = "speaker"


def example(event: str, now: datetime, language: str) -> dict[str, str]:
    """Values that show what a template will look like, in its language."""
    values = {
        "store": later("静安店"),
        "room": later("竹间"),
        "starts_at": wording.moment(now + timedelta(hours=1), "Asia/Shanghai", language),
        "ends_at": wording.moment(now + timedelta(hours=3), "Asia/Shanghai", language),
        "at": wording.moment(now, "Asia/Shanghai", language),
        "number": "2611231200123456",
        "phone": "021-62580000",
        "link": "https://kaimen.example/orders/1",
        "amount": "¥76",
        "minutes": "15",
        "reason": later("临时有事"),
        "alarm": later("门店断网"),
        "severity": later("紧急"),
        "detail": "",
        "device": "",
        "name": later("店长"),
        "place": later("上海 · 手机"),
    }
    return {name: in_language(values[name], language) for name in TEXTS[event].variables}


async def _check_clip(session: AsyncSession, actor: Staff, clip: str, field: str) -> None:
    """Refuse what no speaker of the merchant's stores can say."""
    known = await clips_of(session, actor.merchant_id)
    if not known:
        raise KaimenError(
            "template.no_speaker",
            "你的门店还没有音箱，先在包间里接上音箱再选这个渠道",
            status=422,
            field=field,
        )
    if clip not in known:
        words = _("、").join(known)
        raise KaimenError(
            "template.clip",
            _("音箱里没有录 {clip} 这一句，能说的有：{words}").format(clip=clip, words=words)
            if clip
            else _("还没选说哪一句，能说的有：{words}").format(words=words),
            status=422,
            field=field,
            extra={"clip": clip, "clips": list(known)},
        )


def _check(asked: TemplateIn) -> None:
    if asked.event not in TEXTS:
        raise KaimenError("template.event", "没有这种通知", status=422, field="event")
    if asked.channel not in {"*", "in_app", *CHANNELS}:
        raise KaimenError("template.channel", "没有这种渠道", status=422, field="channel")
    check(asked.event, asked.title, "title")
    check(asked.event, asked.body, "body")
    for _name, text in asked.provider_params:
        check(asked.event, text, "provider_params")


async def list_templates(session: AsyncSession, actor: Staff) -> list[TemplateOut]:
    """Every event with our words and the merchant's. Needs notice.read."""
    actor.need(NOTICE_READ)
    rows = (
        await session.exec(scoped(actor, NoticeTemplate).order_by(col(NoticeTemplate.id)))
    ).all()
    return [
        TemplateOut(
            event=text.event,
            name=text.name,
            audience=text.audience,
            urgent=text.urgent,
            title=text.title,
            body=text.body,
            variables={name: VARIABLES[name] for name in text.variables},
            own=[_in(row) for row in rows if row.event == text.event],
        )
        for text in TEXTS.values()
    ]


def _in(row: NoticeTemplate) -> TemplateIn:
    return TemplateIn.model_validate({name: getattr(row, name) for name in TemplateIn.model_fields})


async def template_of(
    session: AsyncSession, actor: Staff, event: str, channel: str, language: str
) -> NoticeTemplate | None:
    """The merchant's own words for an event in a channel and a language, if it has any."""
    query = scoped(actor, NoticeTemplate).where(
        col(NoticeTemplate.event) == event,
        col(NoticeTemplate.channel) == channel,
        col(NoticeTemplate.language) == language,
    )
    return (await session.exec(query.execution_options(populate_existing=True))).first()


def words_of(row: NoticeTemplate | None) -> dict[str, Any]:
    """What a form shows of own words."""
    return {} if row is None else _in(row).model_dump(mode="json")


def rule_facts(event: str, row: NoticeRule | None) -> dict[str, Any]:
    """What a form shows of where an event goes."""
    if row is None:
        return {"enabled": True, "channels": [str(one) for one in TEXTS[event].channels]}
    return {"enabled": row.enabled, "channels": [str(one) for one in row.channels]}


async def _alone(session: AsyncSession, actor: Staff) -> None:
    """Nobody else changes a merchant's notices until this transaction ends; there may be no row of them yet."""
    mine = select(Merchant.id).where(col(Merchant.id) == actor.merchant_id)
    await session.exec(mine.with_for_update(key_share=True))


async def set_templates(
    session: AsyncSession,
    actor: Staff,
    asked: Sequence[TemplateIn],
    clocks: Clocks,
    saw: str | None = None,
) -> None:
    """Keep own words for events; one with nothing in it takes ours again. Needs notice.edit.

    Raises KaimenError ``template.variable`` for a variable that the event has not, ``template.clip`` and
    ``template.no_speaker`` for what no speaker of the stores can say; Conflict ``template.changed`` where
    the words are not what they ``saw`` (kit/seen.py).
    """
    actor.need(NOTICE_EDIT)
    await _alone(session, actor)
    for one in asked:
        _check(one)
        if one.channel == SPEAKER and one.provider_template:
            await _check_clip(session, actor, one.provider_template, "provider_template")
        row = await template_of(session, actor, one.event, one.channel, one.language)
        before = words_of(row)
        empty = not (one.title or one.body or one.provider_template)
        unchanged(saw, before, {} if empty else one.model_dump(mode="json"), "template.changed")
        if empty and row is not None:
            await session.delete(row)
        elif not empty:
            row = row or NoticeTemplate(
                merchant_id=actor.merchant_id, event=one.event, updated_at=clocks.real
            )
            for name, value in one.model_dump().items():
                setattr(row, name, value)
            row.provider_params = [list(pair) for pair in one.provider_params]
            row.updated_at = clocks.real
            session.add(row)
        await session.flush()
        await _record(
            session, actor, f"template:{one.event}", before, one.model_dump(mode="json"), clocks
        )


async def preview(
    session: AsyncSession, actor: Staff, asked: TemplateIn, now: datetime
) -> PreviewOut:
    """The words filled with an example, as they would be sent: what is empty takes the merchant's words
    for all channels, then ours. Needs notice.read; raises as ``set_templates``.
    """
    actor.need(NOTICE_READ)
    _check(asked)
    own = await wording.templates_of(session, actor.merchant_id, asked.event)
    base = None if asked.channel == "*" else own.get(("*", asked.language))
    text, values = TEXTS[asked.event], example(asked.event, now, asked.language)
    title = (
        asked.title
        or (base.title if base is not None else "")
        or in_language(text.title, asked.language)
    )
    body = (
        asked.body
        or (base.body if base is not None else "")
        or in_language(text.body, asked.language)
    )
    return PreviewOut(
        title=fill(title, values),
        body=fill(body, values),
        params=[(name, fill(how, values)) for name, how in asked.provider_params],
    )


async def list_rules(
    session: AsyncSession, actor: Staff, clocks: Clocks
) -> tuple[list[RuleOut], SettingsIn]:
    """Every event's channels, and the quiet hours. Needs notice.read."""
    actor.need(NOTICE_READ)
    rows = (await session.exec(scoped(actor, NoticeRule))).all()
    own = {row.event: row for row in rows}
    rules = [
        RuleOut(
            event=text.event,
            name=text.name,
            audience=text.audience,
            own=text.event in own,
            enabled=own[text.event].enabled if text.event in own else True,
            channels=[
                str(one)
                for one in (own[text.event].channels if text.event in own else text.channels)
            ],
        )
        for text in TEXTS.values()
    ]
    settings = await settings_of(session, actor.merchant_id, clocks.real)
    return rules, SettingsIn.model_validate(
        {name: getattr(settings, name) for name in SettingsIn.model_fields}
    )


async def set_rules(
    session: AsyncSession,
    actor: Staff,
    rules: Sequence[RuleIn],
    settings: SettingsIn | None,
    clocks: Clocks,
    saw: str | None = None,
) -> None:
    """Say which channels events take, and when it is quiet. Needs notice.edit.

    Raises KaimenError ``rule.event``, ``rule.channel``, ``rule.quiet``, and ``template.clip`` or
    ``template.no_speaker`` where the speaker is chosen anew and cannot say it; Conflict ``rule.changed`` where
    the one event's rule, or the hours, are not what they ``saw`` (kit/seen.py).
    """
    actor.need(NOTICE_EDIT)
    await _alone(session, actor)
    for one in rules:
        if one.event not in TEXTS:
            raise KaimenError("rule.event", "没有这种通知", status=422, field="event")
        for kind in one.channels:
            if kind not in {"sms", *CHANNELS}:
                raise KaimenError("rule.channel", "没有这种渠道", status=422, field="channels")
        query = scoped(actor, NoticeRule).where(col(NoticeRule.event) == one.event)
        row = (await session.exec(query)).first()
        wanted = {"enabled": one.enabled, "channels": list(dict.fromkeys(one.channels))}
        unchanged(saw, rule_facts(one.event, row), wanted, "rule.changed")
        before = {} if row is None else {"enabled": row.enabled, "channels": row.channels}
        had = TEXTS[one.event].channels if row is None else row.channels
        if SPEAKER in one.channels and SPEAKER not in had:
            own = await wording.templates_of(session, actor.merchant_id, one.event)
            chosen = own.get((SPEAKER, "zh_Hans"))
            clip = chosen.provider_template if chosen is not None else ""
            await _check_clip(session, actor, clip or CLIPS.get(one.event, ""), "channels")
        row = row or NoticeRule(
            merchant_id=actor.merchant_id, event=one.event, updated_at=clocks.real
        )
        row.enabled, row.channels = one.enabled, list(dict.fromkeys(one.channels))
        row.updated_at = clocks.real
        session.add(row)
        after = {"enabled": row.enabled, "channels": row.channels}
        await _record(session, actor, f"notice_rule:{one.event}", before, after, clocks)
    if settings is not None:
        now = await settings_facts(session, actor, clocks)
        unchanged(saw, now, settings.model_dump(), "rule.changed")
        await _set_settings(session, actor, settings, clocks)


async def settings_facts(session: AsyncSession, actor: Staff, clocks: Clocks) -> dict[str, Any]:
    """What a form shows of the quiet hours."""
    kept = await settings_of(session, actor.merchant_id, clocks.real)
    return {name: getattr(kept, name) for name in SettingsIn.model_fields}


async def _set_settings(
    session: AsyncSession, actor: Staff, asked: SettingsIn, clocks: Clocks
) -> None:
    if (asked.quiet_from is None) is not (asked.quiet_until is None):
        raise KaimenError(
            "rule.quiet", "安静时间要有开始和结束，或者都不填", status=422, field="quiet_until"
        )
    row = await session.get(NoticeSettings, actor.merchant_id)
    before: dict[str, Any] = {}
    if row is None:
        row = NoticeSettings(merchant_id=actor.merchant_id, updated_at=clocks.real)
        session.add(row)
        await session.flush()  # an INSERT takes "no quiet hours" for "as usual", an UPDATE does not
    else:
        before = {name: getattr(row, name) for name in SettingsIn.model_fields}
    for name, value in asked.model_dump().items():
        setattr(row, name, value)
    row.updated_at = clocks.real
    session.add(row)
    await _record(session, actor, "notice_settings:all", before, asked.model_dump(), clocks)


async def _record(
    session: AsyncSession,
    actor: Staff,
    subject: str,
    before: dict[str, Any],
    after: dict[str, Any],
    clocks: Clocks,
) -> None:
    await record(
        session,
        actor,
        "notice.change",
        merchant_id=actor.merchant_id,
        subject=subject,
        before=before,
        after=after,
        clocks=clocks,
    )

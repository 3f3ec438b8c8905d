"""The words of notices for staff: every event and channel, what may be said, and how it would look."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import DEFAULT, OWN_NAMES, language
from cloud_api.kit.i18n import chosen as chosen_language
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import mark
from cloud_api.notifications import channel_service, template_service
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.channels.speaker import CLIPS, clips_of
from cloud_api.notifications.schemas import TemplateIn, TemplateOut
from cloud_api.notifications.template_service import SPEAKER
from cloud_api.notifications.texts import in_language
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import NOTICE_EDIT
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.device_words import clip_word
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.notices import (
    EventPage,
    ProviderTemplate,
    TemplateRow,
    TemplatesPage,
    WordsChoice,
)

router = APIRouter(prefix="/console/notifications", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/notifications"
HERE: Final = "notice-words"
AUDIENCES: Final = {"customer": "顾客", "staff": "店员"}
_EVERYWHERE: Final = "*"


@router.get("/templates")
async def all_templates(seen: Seen, who: Who) -> Response:
    """Every event and channel. Needs notice.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await template_service.list_templates(session, who)
    model = TemplatesPage(
        rows=tuple(
            TemplateRow(
                name=_(told.name),
                audience=_(AUDIENCES[told.audience]),
                title=_said(told, _EVERYWHERE, language())[0] or _(told.title),
                href=f"{PATH}/events/{told.event}",
                choices=_words(told, language()),
            )
            for told in found
        )
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/notice_templates.html", model, here=HERE)


@router.get("/events/{event}")
async def one_event(
    seen: Seen,
    who: Who,
    event: str,
    channel: Annotated[str, Query(max_length=20)] = _EVERYWHERE,
    lang: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """An event's words for one channel or all, in one language, and where it goes. Needs notice.read."""
    clocks = seen.cloud.clocks
    reads = DEFAULT if channel == SPEAKER else chosen_language(lang) or language()
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        templates = {one.event: one for one in await template_service.list_templates(session, who)}
        told = templates.get(event)
        if told is None:
            raise NotFound("event", "没有这种通知")
        choices = _words(told, reads)
        chosen = next((one for one in choices if one.channel == channel), choices[0])
        title, body, clip = _said(told, chosen.channel, reads)
        rules, _settings = await template_service.list_rules(session, who, clocks)
        channels = await channel_service.list_channels(session, who)
        asked = TemplateIn(
            event=event, channel=chosen.channel, language=reads, title=title, body=body
        )
        shown = await template_service.preview(session, who, asked, clocks.now)
        clips = await clips_of(session, who.merchant_id) if chosen.channel == SPEAKER else ()
    rule = next(one for one in rules if one.event == event)
    every = _said(told, _EVERYWHERE, reads)
    wider = every if chosen.channel != _EVERYWHERE else ("", "", "")
    model = EventPage(
        event=event,
        name=_(told.name),
        audience=_(AUDIENCES[told.audience]),
        urgent=told.urgent,
        title=title,
        body=body,
        default_title=wider[0] or in_language(told.title, reads),
        default_body=wider[1] or in_language(told.body, reads),
        variables=tuple((f"{{{name}}}", _(word)) for name, word in told.variables.items()),
        enabled=rule.enabled,
        channels=tuple(rule.channels),
        choices=channel_choices(told.audience),
        providers=tuple(_providers(told, {channel.kind for channel in channels})),
        may_edit=NOTICE_EDIT in who.permissions,
        channel=chosen.channel,
        channel_name=chosen.name,
        own=chosen.own,
        words=choices,
        language=reads,
        languages=tuple(
            WordsChoice(one, name, _href(told, chosen.channel, one), _has_own(told, one))
            for one, name in OWN_NAMES.items()
        ),
        clip=clip,
        clips=_clips(event, clip, clips),
        shown_title=shown.title,
        shown_body=shown.body,
        tests=tuple(
            (one.id, one.name)
            for one in channels
            if one.enabled and CHANNELS[one.kind].addressed in {"phone", "group"}
        ),
        seen_rule=mark({"enabled": rule.enabled, "channels": rule.channels}),
        seen_words=_mark(told, chosen.channel, reads),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/notice_event.html", model, here=HERE)


def _mark(told: TemplateOut, channel: str, reads: str) -> str:
    own = next((one for one in told.own if (one.channel, one.language) == (channel, reads)), None)
    return mark({} if own is None else own.model_dump(mode="json"))


def _said(told: TemplateOut, channel: str, reads: str) -> tuple[str, str, str]:
    """The merchant's title, body and clip for a channel and language; empty where there are none."""
    own = next((one for one in told.own if (one.channel, one.language) == (channel, reads)), None)
    return ("", "", "") if own is None else (own.title, own.body, own.provider_template)


def _href(told: TemplateOut, channel: str, reads: str) -> str:
    return f"{PATH}/events/{told.event}?channel={channel}&lang={reads}"


def _has_own(told: TemplateOut, reads: str) -> bool:
    return any(one.language == reads for one in told.own)


def _words(told: TemplateOut, reads: str) -> tuple[WordsChoice, ...]:
    """The channels whose words a merchant writes: providers with templates of their own are not among
    them, those take only what was approved.
    """
    kinds = [(_EVERYWHERE, _("所有渠道")), ("in_app", _("消息"))]
    takes = {kind for kind, _name, _note in channel_choices(told.audience)}
    for kind, port in CHANNELS.items():
        if not port.needs_template and (kind in takes or kind == "sms_gateway"):
            kinds.append((kind, _(port.name)))
    own = {one.channel for one in told.own if one.language == reads}
    return tuple(
        WordsChoice(kind, name, _href(told, kind, reads), kind in own) for kind, name in kinds
    )


def _clips(event: str, now: str, known: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """What may be said: nothing chosen, then what the speakers have, and what is chosen now."""
    usual = CLIPS.get(event, "")
    first = _("默认：{clip}").format(clip=clip_word(usual)) if usual else _("不说话")
    names = dict.fromkeys((*known, *([now] if now else [])))
    return (("", first), *((one, clip_word(one)) for one in names))


def channel_choices(audience: str) -> tuple[tuple[str, str, str], ...]:
    """Kinds an event of this audience can take: guests are in no staff group."""
    made = [("sms", _("短信"), _("用第一个短信渠道"))]
    for kind, port in CHANNELS.items():
        guests = port.addressed in {"openid", "room"}
        if kind.startswith("sms_") or guests is not (audience == "customer"):
            continue
        made.append((kind, _(port.name), ""))
    return tuple(made)


def _providers(told: TemplateOut, have: set[str]) -> list[ProviderTemplate]:
    made = []
    for kind, port in CHANNELS.items():
        if not port.needs_template or kind not in have:
            continue
        own = next((one for one in told.own if one.channel == kind), None)
        params = "" if own is None else "\n".join(f"{n}={t}" for n, t in own.provider_params)
        code = "" if own is None else own.provider_template
        seen = mark({} if own is None else own.model_dump(mode="json"))
        made.append(ProviderTemplate(kind, _(port.name), code, params, seen))
    return made

"""Notices for staff: channels with their secrets, which event goes where in which words, and the log."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic.fields import FieldInfo
from sqlmodel import col

from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import mark
from cloud_api.notifications import channel_service, inbox, template_service
from cloud_api.notifications.channels import CHANNELS
from cloud_api.notifications.models import NoticeChannel
from cloud_api.notifications.schemas import STATE_NAMES, shown
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import NOTICE_EDIT
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.console.notice_words import AUDIENCES
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.notices import (
    ChannelField,
    ChannelPage,
    ChannelRow,
    DeliveryLogPage,
    DeliveryRow,
    EventRow,
    KindChoice,
    NoticesPage,
)

router = APIRouter(prefix="/console/notifications", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/notifications"
_TONES: Final = {"sent": "is-free", "failed": "is-overtime", "unknown": "is-cleaning"}


@router.get("")
async def overview(seen: Seen, who: Who) -> Response:
    """Channels, quiet hours, events. Needs notice.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        channels = await channel_service.list_channels(session, who)
        rules, settings = await template_service.list_rules(session, who, seen.cloud.clocks)
    model = NoticesPage(
        channels=tuple(_channel(channel) for channel in channels),
        kinds=tuple(
            KindChoice(kind, _(port.name), f"{PATH}/channels/new?kind={kind}")
            for kind, port in CHANNELS.items()
        ),
        events=tuple(
            EventRow(
                event=rule.event,
                name=_(rule.name),
                audience=_(AUDIENCES[rule.audience]),
                channels=_words_of(rule.channels),
                enabled=rule.enabled,
                own=rule.own,
                href=f"{PATH}/events/{rule.event}",
            )
            for rule in rules
        ),
        quiet_from=settings.quiet_from or "",
        quiet_until=settings.quiet_until or "",
        per_hour=settings.per_hour,
        per_event_hour=settings.per_event_hour,
        may_edit=NOTICE_EDIT in who.permissions,
        seen=mark(settings.model_dump()),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/notices.html", model, here="notifications")


@router.get("/channels/new")
async def new_channel(seen: Seen, who: Who, kind: str = "") -> Response:
    """The form for a new channel. Needs notice.edit."""
    return await _channel_form(seen, who, kind, None)


@router.get("/channels/{channel_id}")
async def one_channel(seen: Seen, who: Who, channel_id: str) -> Response:
    """A channel's form, without its secrets. Needs notice.edit."""
    async with seen.cloud.db.read() as session:
        query = scoped(who, NoticeChannel).where(col(NoticeChannel.id) == channel_id)
        found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("channel", "没有这个渠道")
    return await _channel_form(seen, who, found.kind, found)


async def _channel_form(
    seen: Visit, who: Staff, kind: str, channel: NoticeChannel | None
) -> Response:
    who.need(NOTICE_EDIT)
    port = CHANNELS.get(kind)
    if port is None:
        raise NotFound("channel", "没有这种渠道")
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    values = {} if channel is None else shown(channel)
    model = ChannelPage(
        kind=kind,
        kind_name=_(port.name),
        name="" if channel is None else channel.name,
        enabled=channel is None or channel.enabled,
        fields=tuple(
            _field(name, info, values.get(name), name in port.credentials.SECRET, channel)
            for name, info in port.credentials.model_fields.items()
        ),
    )
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/channel.html", model, here="notifications")


def _field(
    name: str, info: FieldInfo, value: Any, secret: bool, channel: NoticeChannel | None
) -> ChannelField:
    kind = "password" if secret else "text"
    if info.annotation is int:
        kind = "number"
    elif name == "to":
        kind = "list"
    if value is None and not info.is_required():
        value = info.default
    text = ", ".join(value) if isinstance(value, list) else str(value if value is not None else "")
    kept = secret and channel is not None
    return ChannelField(
        name=name,
        title=_(info.title or name),
        kind=kind,
        value=text,
        hint=_("已经存好了，要换才填") if kept else "",
        required=info.is_required() and not kept,
    )


@router.get("/log")
async def delivery_log(request: Request, seen: Seen, who: Who) -> Response:
    """What was sent by which channel, and how it went. Needs notice.read."""
    wish = asked(request, names=("state", "kind"), sorts=("created",), path=f"{PATH}/log")
    state = wish.get("state") if wish.get("state") in STATE_NAMES else ""
    kind = wish.get("kind") if wish.get("kind") in CHANNELS else ""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        found, following = await inbox.delivery_log(
            session, who, state=state, kind=kind, cursor=wish.cursor or None
        )
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    listing: Listing[DeliveryRow] = Listing(
        path=f"{PATH}/log",
        caption=_("通知记录"),
        columns=(
            Column(_("通知")),
            Column(_("结果")),
            Column(_("渠道")),
            Column(_("给谁")),
            Column(_("时间")),
        ),
        rows=tuple(
            DeliveryRow(
                id=one.id,
                event=_(one.event_name),
                channel=_(one.kind_name),
                recipient=one.recipient,
                title=one.title,
                state=_(one.state_name),
                tone=_TONES.get(one.state, "is-booked"),
                why=_(one.why) if one.state != "sent" else "",
                attempts=one.attempts,
                at=here.local(one.created_at + ahead),
            )
            for one in found
        ),
        filters=(
            Filter(
                "state",
                "chips",
                _("结果"),
                state,
                (Choice("", _("全部")), *(Choice(k, _(v)) for k, v in _SHOWN.items())),
            ),
            Filter(
                "kind",
                "select",
                _("渠道"),
                kind,
                (
                    Choice("", _("全部渠道")),
                    *(Choice(k, _(port.name)) for k, port in CHANNELS.items()),
                ),
            ),
        ),
        query=wish.query,
        sort=wish.sort,
        cursor=wish.cursor,
        next_cursor=following or "",
        empty=Empty(_("发出去的每一条都会记在这里。先加一个渠道"), _("去加渠道"), PATH),
    )
    model = DeliveryLogPage(listing)
    return console_page(here, who, frame, "console/notice_log.html", model, here="notice-log")


_SHOWN: Final = {k: STATE_NAMES[k] for k in ("sent", "failed", "unknown", "skipped", "waiting")}


def _channel(channel: NoticeChannel) -> ChannelRow:
    good = channel.checked == "ok"
    checked = (
        _("还没试过") if channel.checked is None else _("试发成功") if good else channel.checked
    )
    tone = "is-booked" if channel.checked is None else "is-free" if good else "is-overtime"
    return ChannelRow(
        id=channel.id,
        name=channel.name,
        kind=_(CHANNELS[channel.kind].name),
        enabled=channel.enabled,
        checked=checked if channel.enabled else _("已停用"),
        tone=tone if channel.enabled else "is-maintenance",
        href=f"{PATH}/channels/{channel.id}",
    )


def _words_of(kinds: list[str]) -> str:
    names = {"sms": _("短信")} | {kind: _(port.name) for kind, port in CHANNELS.items()}
    return _("、").join([_("消息"), *(names[kind] for kind in kinds if kind in names)])

"""Addresses that hear of events: which there are and how they do, a new one, what was told to each."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.dates import day_time
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.paging import PAGE
from cloud_api.staff.audit_view import names
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STAFF_EDIT
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Column, Empty, Listing
from cloud_api.web.view_models.software import (
    DeliveryRow,
    WebhookForm,
    WebhookPage,
    WebhookRow,
    WebhooksPage,
)
from cloud_api.webhooks import service
from cloud_api.webhooks.kinds import TOPICS, name_of
from cloud_api.webhooks.models import Webhook, WebhookDelivery

PATH: Final = "/console/webhooks"
HERE: Final = "webhooks"
router = APIRouter(prefix=PATH, include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
SHOWN: Final = 120
"""Of what an address answered: enough to know it by."""
NO_ANSWER: Final = {
    "stopped": "地址停着，没有发",
    "no such host": "找不到这个网址",
    "not a public address": "不是公网地址，没有发",
    "ConnectError": "连不上",
    "ConnectTimeout": "连不上",
    "ReadTimeout": "10 秒没有回话",
}
"""What was in the way, as ``webhooks.sending`` keeps it; anything else is no answer."""


@router.get("")
async def all_webhooks(seen: Seen, who: Who) -> Response:
    """The merchant's addresses. Needs staff.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await service.listed(session, who)
    here = seen.at(frame.tz)
    may = STAFF_EDIT in who.permissions
    make = (_("加一个地址"), f"{PATH}/new") if may else ("", "")
    listing = Listing(
        path=PATH,
        caption=_("推送地址"),
        columns=(Column(_("名字")), Column(_("状态")), Column(_("推哪些事件")), Column(_("门店"))),
        rows=tuple(_row(here, frame, hook) for hook in found),
        query={"sort": ""},
        empty=Empty(_("订单、告警、门店一有变化，就告诉别的软件。先加它的地址"), *make),
    )
    return console_page(
        here, who, frame, "console/webhooks.html", WebhooksPage(listing, may), here=HERE
    )


@router.get("/new")
async def new_webhook(seen: Seen, who: Who) -> Response:
    """The form for a new one. Needs staff.edit."""
    who.need(STAFF_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    model = WebhookForm(TOPICS, frame.store_choices)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/webhook_form.html", model, here=HERE)


@router.get("/{webhook_id}")
async def one_webhook(request: Request, seen: Seen, who: Who, webhook_id: str) -> Response:
    """One address and what was told to it, the newest first. Needs staff.read."""
    wish = asked(request, names=(), sorts=("created",), path=f"{PATH}/{webhook_id}")
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        hook = await service.one(session, who, webhook_id)
        found, following = await service.deliveries(
            session, who, webhook_id, wish.cursor or None, PAGE
        )
        keeper = await names(session, [hook.kept_by] if hook.kept_by else [])
    here = seen.at(frame.tz)
    may = STAFF_EDIT in who.permissions
    until = hook.old_until
    model = WebhookPage(
        row=_row(here, frame, hook),
        enabled=hook.enabled,
        kinds=tuple(name_of(str(kind)) for kind in hook.kinds),
        kept_by=keeper.get(hook.kept_by, ""),
        made_at=here.local(hook.created_at),
        old_until=here.local(until) if until and until > seen.cloud.clocks.real else None,
        list=Listing(
            path=wish.path,
            caption=_("推送记录"),
            columns=(
                Column(_("事件")),
                Column(_("结果")),
                Column(_("对方的回答")),
                Column(_("时间")),
                Column(""),
            ),
            rows=tuple(_delivery(here, hook, one, may) for one in found),
            cursor=wish.cursor,
            next_cursor=following or "",
            empty=Empty(_("推过的每一条都会记在这里，可以先发一条试试")),
        ),
        going=any(one.state == "waiting" and not one.tries for one in found),
        may_edit=may,
    )
    return console_page(here, who, frame, "console/webhook.html", model, here=HERE)


def _row(here: Visit, frame: Frame, hook: Webhook) -> WebhookRow:
    state, tone, why = _state(here, hook)
    words = [name_of(str(kind)) for kind in hook.kinds]
    kinds = _("、").join(words[:3]) or _("所有事件")
    if len(words) > 3:
        kinds = _("{some} 等 {n} 种").format(some=kinds, n=len(words))
    return WebhookRow(
        id=hook.id,
        href=f"{PATH}/{hook.id}",
        name=hook.name,
        host=hook.host,
        state=state,
        tone=tone,
        why=why,
        kinds=kinds,
        stores=frame.names_of(hook.store_ids),
    )


def _state(here: Visit, hook: Webhook) -> tuple[str, str, str]:
    """Whether it is told, as a chip; and what stands in the way."""
    if not hook.enabled and hook.stopped_why:
        return _("停了"), "is-overtime", _(hook.stopped_why)
    if not hook.enabled:
        return _("暂停"), "is-maintenance", ""
    if hook.failing_since is not None:
        since = day_time(here.local(hook.failing_since))
        return _("没送到"), "is-grace", _("从 {at} 起没有送到，还在再试").format(at=since)
    return _("在推"), "is-free", ""


def _delivery(here: Visit, hook: Webhook, one: WebhookDelivery, may: bool) -> DeliveryRow:
    fresh = one.state == "waiting" and not one.tries
    state, tone = {
        "waiting": (_("正在发"), "is-booked") if fresh else (_("等着再试"), "is-grace"),
        "sent": (_("送到了"), "is-free"),
        "failed": (_("没送到"), "is-overtime"),
    }[one.state]
    said = one.said[:SHOWN].strip()
    if one.status is None:
        said = _(NO_ANSWER.get(one.said, "没有回话")) if one.said else ""
    return DeliveryRow(
        id=one.id,
        kind=one.kind,
        name=name_of(one.kind),
        state=state,
        tone=tone,
        status=None if fresh else one.status,
        took_ms=None if fresh else one.took_ms,
        said="" if fresh or one.state == "sent" else said,
        tries=one.tries,
        at=here.local(one.tried_at or one.created_at),
        may_replay=may and not fresh and (hook.enabled or one.feed_id is None),
    )

"""Alarms for staff: what is wrong now, who sees to it, and what is over."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms import service
from cloud_api.alarms.models import Alarm
from cloud_api.alarms.reasons import reason
from cloud_api.alarms.rules import RULES, SEVERITY_NAMES, STATE_NAMES
from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.notifications import wording
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import ALARM_HANDLE
from cloud_api.web import words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import Asked, asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.notices import AlarmRow, AlarmsPage

router = APIRouter(prefix="/console/alarms", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
HERE = "alarms"
PATH = "/console/alarms"
_TONES = {"critical": "is-overtime", "warning": "is-cleaning", "info": "is-booked"}


@router.get("")
async def all_alarms(request: Request, seen: Seen, who: Who) -> Response:
    """The list; its filters and page are in the URL. Needs alarm.read."""
    wish = asked(request, names=("state", "store", "severity"), sorts=("raised",), path=PATH)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        listing = await _list(session, here, who, frame, wish)
    return console_page(here, who, frame, "console/alarms.html", AlarmsPage(listing), here=HERE)


async def _list(
    session: AsyncSession, seen: Visit, who: Staff, frame: Frame, wish: Asked
) -> Listing[AlarmRow]:
    solved = wish.get("state") == "resolved"
    store = wish.get("store") if wish.get("store") in {s.id for s in frame.stores} else ""
    severity = wish.get("severity") if wish.get("severity") in SEVERITY_NAMES else ""
    found, following = await service.find(
        session,
        who,
        solved=solved,
        store_id=store or None,
        severity=severity or None,
        cursor=wish.cursor or None,
    )
    return Listing(
        path=PATH,
        caption=_("告警"),
        columns=(
            Column(_("告警")),
            Column(_("状态")),
            Column(_("在哪里")),
            Column(_("什么时候")),
            Column(_("多久")),
            Column(""),
        ),
        rows=tuple([await _row(session, seen, who, frame, alarm) for alarm in found]),
        filters=_filters(frame, wish, store, severity),
        query=wish.query,
        sort=wish.sort,
        cursor=wish.cursor,
        next_cursor=following or "",
        empty=Empty(_("没有要处理的。门店断网、设备没反应、开门失败时，会马上出现在这里")),
    )


def _filters(frame: Frame, wish: Asked, store: str, severity: str) -> tuple[Filter, ...]:
    solved = "resolved" if wish.get("state") == "resolved" else ""
    made = [
        Filter(
            "state",
            "chips",
            _("状态"),
            solved,
            (Choice("", _("要处理")), Choice("resolved", _("已解决"))),
        ),
        Filter(
            "severity",
            "select",
            _("紧急程度"),
            severity,
            (
                Choice("", _("全部程度")),
                *(Choice(key, _(name)) for key, name in SEVERITY_NAMES.items()),
            ),
        ),
    ]
    if len(frame.stores) > 1:
        every = (Choice("", _("全部门店")), *(Choice(s.id, s.name) for s in frame.stores))
        made.append(Filter("store", "select", _("门店"), store, every))
    return tuple(made)


async def _row(
    session: AsyncSession, seen: Visit, who: Staff, frame: Frame, alarm: Alarm
) -> AlarmRow:
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    end = alarm.resolved_at or seen.cloud.clocks.real
    facts = await wording.facts_of(
        session, "alarm.raised", alarm.data, alarm.store_id, f"alarm:{alarm.id}", ""
    )
    what = " ".join(
        part for part in (facts.room, str(alarm.data.get("device") or ""), _detail(alarm)) if part
    )
    handles = ALARM_HANDLE in who.permissions
    rule = RULES[alarm.kind]
    return AlarmRow(
        id=alarm.id,
        name=_(rule.name),
        what=what,
        raw=str(alarm.data.get("detail") or "") if reason(alarm.data) else "",
        tone=_TONES[alarm.severity] if alarm.state != "resolved" else "is-free",
        severity=_(SEVERITY_NAMES[alarm.severity]),
        state=_(STATE_NAMES[alarm.state]),
        store_name=facts.store.name if facts.store is not None else frame.merchant.name,
        raised_at=seen.at(frame.tz_of(alarm.store_id or "")).local(alarm.raised_at + ahead),
        lasted=words.hours(max(1, round((end - alarm.since).total_seconds() / 60))),
        times=alarm.times,
        by=_("你在处理") if alarm.acknowledged_by == who.ref else "",
        can_take=handles and alarm.state == "open",
        can_close=handles and alarm.state != "resolved",
    )


def _detail(alarm: Alarm) -> str:
    why = reason(alarm.data)
    if why is not None:
        return _(why)
    detail = str(alarm.data.get("detail") or "")
    return "" if detail in {"untrusted", "online", "offline", "None"} else detail

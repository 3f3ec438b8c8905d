"""The log of acts for staff: found by who, what and day; one with everything it says, in words."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import audit_view
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import AUDIT_EXPORT
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import Asked, asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.safety import Act, ActRow, AuditPage

router = APIRouter(prefix="/console/audit", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH = "/console/audit"


@router.get("")
async def all_acts(request: Request, seen: Seen, who: Who) -> Response:
    """The list. Needs audit.read."""
    return await _acts(request, seen, who)


@router.get("/{entry_id}")
async def one_act(request: Request, seen: Seen, who: Who, entry_id: str) -> Response:
    """The list with an act open beside it. Needs audit.read."""
    return await _acts(request, seen, who, entry_id)


async def _acts(request: Request, seen: Visit, who: Staff, entry_id: str = "") -> Response:
    wish = asked(request, names=("who", "what", "day"), sorts=("seq",), path=PATH)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        opened = await audit_view.one(session, who, entry_id) if entry_id else None
        wanted = audit_view.Wanted(
            by=wish.get("who") or None,
            action=wish.get("what") if wish.get("what") in audit_view.NOUNS else None,
            day=wish.day("day"),
        )
        rows, following = await audit_view.find(
            session, who, wanted, frame.tz, cursor=wish.cursor or None
        )
        names = await audit_view.names_of(session, [*rows, *([opened] if opened else [])])
        people = await _people(session, who)
    listing: Listing[ActRow] = Listing(
        path=PATH,
        caption=_("操作记录"),
        columns=(Column(_("操作")), Column(_("谁")), Column(_("门店")), Column(_("时间"))),
        rows=(),
        filters=_filters(people, wish),
        query=wish.query,
        sort=wish.sort,
        cursor=wish.cursor,
        next_cursor=following or "",
        empty=Empty(_("谁远程开了门、改了价、退了款，都会记在这里，谁也改不了")),
    )
    stores = {store.id: store.name for store in frame.stores}
    listing = replace(
        listing,
        rows=tuple(
            ActRow(
                id=one.id,
                href=f"{PATH}/{one.id}{listing.suffix}",
                what=_(audit_view.action_name(one.action)),
                who=names.get(one.by, one.by),
                store=stores.get(one.store_id or "", ""),
                why=one.why,
                at=here.local(one.at),
            )
            for one in rows
        ),
    )
    model = AuditPage(
        listing,
        None if opened is None else _act(here, opened, names, frame, listing),
        "/api/v1/console/audit/export" if AUDIT_EXPORT in who.permissions else "",
    )
    return console_page(here, who, frame, "console/audit.html", model, here="audit")


async def _people(session: AsyncSession, who: Staff) -> tuple[Choice, ...]:
    members = (await session.exec(scoped(who, StaffMember).order_by(col(StaffMember.id)))).all()
    return tuple(Choice(f"staff:{one.id}", one.name) for one in members)


def _filters(people: tuple[Choice, ...], wish: Asked) -> tuple[Filter, ...]:
    nouns = tuple(Choice(noun, _(name)) for noun, name in audit_view.NOUNS.items())
    return (
        Filter("who", "select", _("谁"), wish.get("who"), (Choice("", _("所有人")), *people)),
        Filter("what", "select", _("什么"), wish.get("what"), (Choice("", _("所有操作")), *nouns)),
        Filter("day", "date", _("哪天"), wish.get("day")),
    )


def _act(
    seen: Visit, entry: AuditEntry, names: dict[str, str], frame: Frame, listing: Listing[ActRow]
) -> Act:
    store = next((one.name for one in frame.stores if one.id == entry.store_id), "")
    noun, _sep, key = entry.subject.partition(":")
    facts = [
        (_("谁"), names.get(entry.by, entry.by)),
        (_("代替"), names.get(entry.via, "") if entry.via else ""),
        (_("门店"), store),
        (_("对象"), f"{_(audit_view.NOUNS.get(noun, noun))} {_whom(entry, names) or key[-8:]}"),
        (_("从哪里"), entry.ip),
        (_("真实时间"), f"{seen.local(entry.wire_at):%Y-%m-%d %H:%M:%S}"),
        (_("序号"), str(entry.seq)),
    ]
    return Act(
        id=entry.id,
        what=_(audit_view.action_name(entry.action)),
        who=names.get(entry.by, entry.by),
        close_href=f"{PATH}{listing.suffix}",
        why=entry.why,
        at=seen.local(entry.at),
        facts=tuple(one for one in facts if one[1]),
        before=_pairs(entry.before, frame),
        after=_pairs(entry.after, frame),
        mark=entry.hash[:16],
    )


def _whom(entry: AuditEntry, names: dict[str, str]) -> str:
    """The name of the member of staff that an act was about."""
    told = names.get(entry.subject, "")
    return "" if told == entry.subject else told


def _pairs(value: dict[str, Any] | None, frame: Frame) -> tuple[tuple[str, str], ...]:
    named = {store.id: store.name for store in frame.stores}
    return tuple(audit_view.in_words(name, one, named) for name, one in (value or {}).items())

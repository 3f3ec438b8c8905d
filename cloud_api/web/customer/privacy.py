"""A customer's own data: take it along, or have it deleted."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Response

from cloud_api.auth.models import Account
from cloud_api.auth.phones import masked
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.members import service
from cloud_api.members.models import DataExport
from cloud_api.web.pages import Visit, go, page, visit
from cloud_api.web.view_models.safety import Copy, PrivacyPage

router = APIRouter(prefix="/me/privacy", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("")
async def privacy(seen: Seen) -> Response:
    """One's copies, and the way to have all deleted."""
    return await _page(seen)


@router.post("/export")
async def export(seen: Seen) -> Response:
    """Ask for a copy."""
    try:
        async with seen.cloud.db.write() as session:
            await service.ask_export(session, seen.customer, seen.cloud.clocks)
    except KaimenError as error:
        return await _page(seen, error)
    return go("/me/privacy")


@router.post("/delete")
async def delete(seen: Seen, confirm: Annotated[str, Form(max_length=8)] = "") -> Response:
    """Delete the account, or say what must be settled first."""
    try:
        async with seen.cloud.db.write() as session:
            await service.delete_account(session, seen.customer, confirm.strip(), seen.cloud.clocks)
    except KaimenError as error:
        return await _page(seen, error)
    return go("/")


async def _page(seen: Visit, error: KaimenError | None = None) -> Response:
    person = seen.customer
    async with seen.cloud.db.read() as session:
        account = await session.get_one(Account, person.account_id)
        copies = await service.exports(session, person)
    reasons = [] if error is None else error.extra.get("reasons", [])
    model = PrivacyPage(
        phone=masked(account.phone_tail),
        copies=tuple(_copy(seen, one) for one in copies),
        waiting=any(one.state == "asked" for one in copies),
        error="" if error is None or reasons else _(error.message),
        reasons=tuple(_(one["message"]) for one in reasons),
    )
    status = 200 if error is None else error.status
    return page(seen, "customer/privacy.html", model, shell=seen.shell(), status=status)


def _copy(seen: Visit, row: DataExport) -> Copy:
    now = seen.cloud.clocks.real
    ready = row.state == "ready" and row.expires_at is not None and row.expires_at > now
    words = {"asked": _("正在整理"), "ready": _("可以下载")}
    return Copy(
        word=words.get(row.state, _("已过期")) if ready or row.state == "asked" else _("已过期"),
        at=seen.local(row.created_at),
        href=f"/api/v1/me/exports/{row.id}" if ready else "",
        until=seen.local(row.expires_at) if ready and row.expires_at else None,
    )

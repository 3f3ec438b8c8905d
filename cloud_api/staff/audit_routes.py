"""/console/audit: who did what, read by who may. The log itself stands below (cloud_api/audit)."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from cloud_api.audit import export
from cloud_api.audit import service as audit
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.staff import audit_view
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import AUDIT_EXPORT, AUDIT_READ

router = APIRouter(prefix="/console/audit", tags=["audit"])
Who = Annotated[Staff, Depends(staff_actor)]


class AuditOut(BaseModel):
    """One act. ``by`` is a reference, ``by_name`` for people; ``at`` business, ``wire_at`` wire time."""

    id: str
    seq: int
    store_id: str | None
    at: datetime
    wire_at: datetime
    by: str
    by_name: str
    via: str
    ip: str
    action: str
    action_name: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    why: str
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry, names: dict[str, str]) -> "AuditOut":
        """From the table."""
        return cls(
            **entry.model_dump(exclude={"merchant_id", "login_id", "prev"}),
            by_name=names.get(entry.by, entry.by),
            action_name=audit_view.action_name(entry.action),
        )


class AuditListOut(BaseModel):
    """A page of acts, newest first."""

    items: list[AuditOut]
    next_cursor: str | None


@router.get("")
async def list_audit(
    request: Request,
    who: Who,
    by: Annotated[str | None, Query(max_length=80)] = None,
    action: Annotated[str | None, Query(max_length=80)] = None,
    subject: Annotated[str | None, Query(max_length=120)] = None,
    day: Day | None = None,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> AuditListOut:
    """Acts of one's stores, newest first. ``action`` may be a noun (``door``). Needs audit.read."""
    who.need(AUDIT_READ)
    cloud = cloud_of(request)
    wanted = audit_view.Wanted(by=by, action=action, subject=subject, day=day)
    async with cloud.db.read() as session:
        rows, following = await audit_view.find(
            session, who, wanted, cloud.settings.timezone, cursor=cursor, limit=limit
        )
        names = await audit_view.names_of(session, rows)
    return AuditListOut(items=[AuditOut.of(one, names) for one in rows], next_cursor=following)


@router.get("/export")
async def export_audit(request: Request, who: Who) -> StreamingResponse:
    """The whole chain with checkpoints and public keys, as JSON lines. Needs audit.export."""
    who.need(AUDIT_EXPORT)
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await audit.record(
            session,
            who,
            "audit.export",
            merchant_id=who.merchant_id,
            subject=f"merchant:{who.merchant_id}",
            clocks=cloud.clocks,
        )
    lines = export.lines(cloud.db, who.merchant_id, cloud.settings.data_dir)

    async def ended() -> Any:
        async for line in lines:
            yield line + "\n"

    return StreamingResponse(
        ended(),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="audit.jsonl"'},
    )

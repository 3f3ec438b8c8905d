"""/console/backups: the runs, what lies in the storage, one more now, look whether one is good."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, StringConstraints

from cloud_api.backups import key, make, service
from cloud_api.backups.models import BackupRun
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import BACKUP_RUN

router = APIRouter(prefix="/console/backups", tags=["backups"])
Who = Annotated[Staff, Depends(staff_actor)]


class RunOut(BaseModel):
    """One try. ``state``: asked, running, good, failed."""

    id: str
    state: str
    stage: str
    done_bytes: int
    by: str
    name: str | None
    place: str
    size_bytes: int
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    verified_at: datetime | None

    @classmethod
    def of(cls, run: BackupRun) -> "RunOut":
        """From the table."""
        return cls(**run.model_dump(include=set(cls.model_fields)))


class RunsOut(BaseModel):
    """The last runs, newest first."""

    items: list[RunOut]


class VerifyIn(BaseModel):
    """Which; else the newest."""

    name: Annotated[str, StringConstraints(max_length=128)] | None = None


class VerifiedOut(BaseModel):
    """A backup that was opened wholly and is good."""

    name: str
    made_at: str
    members: int
    plain_bytes: int


@router.get("")
async def list_runs(request: Request, who: Who) -> RunsOut:
    """The last runs. Needs backup.read, and an installation of one merchant."""
    async with cloud_of(request).db.read() as session:
        return RunsOut(items=[RunOut.of(one) for one in await service.runs(session, who)])


@router.post("", status_code=202)
async def run_now(request: Request, who: Who) -> RunOut:
    """Make one now; 409 ``backup.running`` while one is on its way. Needs backup.run."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return RunOut.of(await service.ask(session, who, cloud))


@router.post("/verify")
async def verify(request: Request, body: VerifyIn, who: Who) -> VerifiedOut:
    """Fetch a backup, open all of it, look into its database. Needs backup.run."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        await service.may(session, who, BACKUP_RUN)
    inner = await service.verify(
        cloud,
        who,
        body.name,
        lambda header: key.for_header(cloud.settings, header, None),
        make.Progress(),
    )
    return VerifiedOut(
        name=inner["name"],
        made_at=inner["made_at"],
        members=len(inner["members"]),
        plain_bytes=sum(one["size"] for one in inner["members"]),
    )

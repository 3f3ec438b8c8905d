"""/console/backups: the runs, what lies in the storage, one more now, look whether one is good."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, StringConstraints

from cloud_api.backups import checks, service
from cloud_api.backups.models import BackupRun
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/backups", tags=["backups"])
Who = Annotated[Staff, Depends(staff_actor)]


class RunOut(BaseModel):
    """One try. ``state``: asked, running, good, failed. ``stage`` of a good one: it is looked at."""

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


@router.post("/verify", status_code=202)
async def verify(request: Request, body: VerifyIn, who: Who) -> RunOut:
    """Have a backup fetched, opened wholly and its database looked into; the list tells the outcome.

    409 ``backup.running`` while one is made or looked at. Needs backup.run.
    """
    cloud = cloud_of(request)
    return RunOut.of(await checks.ask(cloud, who, body.name))

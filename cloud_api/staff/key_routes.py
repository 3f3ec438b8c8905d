"""/console/api-keys: keys for other software."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.staff import api_keys
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.models import ApiKey

router = APIRouter(prefix="/console/api-keys", tags=["console: other software"])
Who = Annotated[Staff, Depends(staff_actor)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ApiKeyIn(BaseModel):
    """``store_ids`` null: every store."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
    permissions: Annotated[list[Text], Field(min_length=1, max_length=100)]
    store_ids: Annotated[list[Text], Field(max_length=200)] | None = None


class ApiKeyOut(BaseModel):
    """A key without its text; ``start`` is how it begins."""

    id: str
    name: str
    start: str
    permissions: list[str]
    store_ids: list[str] | None
    created_at: AwareDatetime
    last_used_at: AwareDatetime | None
    revoked_at: AwareDatetime | None

    @classmethod
    def of(cls, row: ApiKey) -> ApiKeyOut:
        """From the row."""
        return cls.model_validate(row, from_attributes=True)


class NewApiKeyOut(ApiKeyOut):
    """A new key with its text, which is told this once."""

    key: str


class ApiKeysOut(BaseModel):
    """Newest first."""

    items: list[ApiKeyOut]


@router.get("")
async def listed(request: Request, who: Who) -> ApiKeysOut:
    """The merchant's keys. Needs staff.read."""
    async with cloud_of(request).db.read() as session:
        return ApiKeysOut(items=[ApiKeyOut.of(one) for one in await api_keys.listed(session, who)])


@router.post("", response_model=NewApiKeyOut, status_code=201)
async def make(body: ApiKeyIn, request: Request, who: Who) -> Response:
    """A new key; its text is in this answer alone, so a repeated request makes another. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        made, token = await api_keys.make(
            session, who, name=body.name, permissions=body.permissions,
            store_ids=body.store_ids, clocks=cloud.clocks,
        )  # fmt: skip
        told = NewApiKeyOut(**ApiKeyOut.of(made).model_dump(), key=token)
    return JSONResponse(told.model_dump(mode="json"), 201)


@router.post("/{key_id}/revoke")
async def revoke(key_id: str, request: Request, who: Who) -> ApiKeyOut:
    """Stop a key at once; again changes nothing. Needs staff.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return ApiKeyOut.of(await api_keys.revoke(session, who, key_id, cloud.clocks))

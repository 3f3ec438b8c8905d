"""The one door through which providers speak to us."""

from typing import Any

from fastapi import APIRouter, Request

from cloud_api.kit.http import cloud_of
from cloud_api.payments import inbox

router = APIRouter(tags=["payments"])


@router.post("/payments/{provider}/{account}/notify")
async def notify(provider: str, account: str, request: Request) -> dict[str, Any]:
    """A provider's notification: signed by it, of any order and number of times."""
    raw = await request.body()
    return await inbox.receive(cloud_of(request), provider, account, request.headers, raw)

"""The one door through which providers speak to us."""

from fastapi import APIRouter, Request, Response

from cloud_api.kit.http import cloud_of
from cloud_api.payments import inbox

router = APIRouter(tags=["payments"])


@router.post("/payments/{provider}/{account}/notify", response_class=Response)
async def notify(provider: str, account: str, request: Request) -> Response:
    """A provider's notification: signed by it, of any content type, order and number of times.

    It is answered in the provider's own way.
    """
    raw = await request.body()
    reply = await inbox.receive(cloud_of(request), provider, account, request.headers, raw)
    return Response(reply.body, reply.status, media_type=reply.content_type)

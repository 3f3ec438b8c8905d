r"""Sending a text message: one signed HTTPS call to a gateway, which the settings name.

The body is JSON ``{"phone", "text", "ref"}``; ``X-Kaimen-Signature`` is HMAC-SHA256 (hex) under the
shared key over ``{timestamp}\n{body}``, with the timestamp (Unix seconds) in ``X-Kaimen-Timestamp``.
The gateway refuses what is older than five minutes and sends each ``ref`` once. simulators/sms is
such a gateway; an adapter to a provider of one's choice is another.
"""

from __future__ import annotations

import hashlib
import hmac
import json

import httpx
import structlog

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

log = structlog.get_logger(__name__)
TIMEOUT_S = 8.0


class SmsFailed(KaimenError):
    """The message was not sent, as far as we know."""

    def __init__(self) -> None:
        super().__init__("sms.failed", _("短信没有发出去，过一会儿再试"), status=503)


def signature(key: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 (hex) of a message to the gateway."""
    return hmac.new(key.encode(), timestamp.encode() + b"\n" + body, hashlib.sha256).hexdigest()


async def send(cloud: Cloud, phone: str, text: str, ref: str) -> None:
    """Send ``text`` to ``phone`` (E.164). Raises SmsFailed; neither number nor text is ever logged.

    Called outside any transaction.
    """
    settings = cloud.settings
    if settings.sms_url is None or settings.sms_key is None:
        log.error("sms.not_configured", ref=ref)
        raise SmsFailed
    body = json.dumps({"phone": phone, "text": text, "ref": ref}, ensure_ascii=False).encode()
    timestamp = str(int(cloud.clocks.real.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "X-Kaimen-Timestamp": timestamp,
        "X-Kaimen-Signature": signature(settings.sms_key, timestamp, body),
    }
    try:
        answer = await cloud.http.post(
            settings.sms_url, content=body, headers=headers, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        log.warning("sms.unreachable", ref=ref, error=type(error).__name__)
        raise SmsFailed from error
    if not answer.is_success:
        log.warning("sms.refused", ref=ref, status=answer.status_code)
        raise SmsFailed

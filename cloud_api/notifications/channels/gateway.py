"""SMS by the installation's own gateway (protocol: cloud_api/auth/sms.py): free text, one ``ref`` once."""

from __future__ import annotations

from pydantic import Field

from cloud_api.auth import sms
from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome


class GatewayCredentials(base.Credentials):
    """Nothing but who signs the text: the gateway itself is in the installation's settings."""

    sign_name: str = Field("", max_length=40, title="落款")


class GatewaySms:
    """Sends the template's text itself."""

    kind = "sms_gateway"
    name = "自有短信网关"
    addressed: base.Addressed = "phone"
    needs_template = False
    idempotent = True
    credentials = GatewayCredentials

    async def send(self, cloud: Cloud, credentials: GatewayCredentials, letter: Letter) -> Outcome:
        """Post it to the gateway."""
        if cloud.settings.sms_url is None or cloud.settings.sms_key is None:
            return base.failed("not_configured", "KAIMEN_SMS_URL is not set")
        sign = credentials.sign_name or letter.sender
        text = f"【{sign}】{letter.body}" if sign else letter.body
        try:
            await sms.send(cloud, letter.address, text, letter.ref)
        except sms.SmsFailed:
            return base.later("sms.failed")
        return base.sent(letter.ref)

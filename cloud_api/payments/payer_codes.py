"""Who pays, by a code that a client brings with its payment (``wx.login``, or the authorize page)."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import HTTPConnection

from cloud_api.auth.wechat_oauth import by_mini_code, by_page_code
from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.payments import payers, service, ways
from cloud_api.payments.providers.base import Channel, Payer
from cloud_api.stores.models import Store


def payer_of(request: HTTPConnection, who: Customer) -> Payer:
    """Who pays, as far as the request tells: an address, and what this browser's cookie keeps."""
    now = cloud_of(request).clocks.real
    return Payer(ip=client_ip(request), known=payers.known(request.cookies, who.login_id, now))


async def with_code(
    cloud: Cloud, store_id: str, provider: str, channel: str, payer: Payer, code: str | None
) -> Payer:
    """The payer, with who they are at the store's app where there is a code; calls WeChat.

    Raises KaimenError ``payment.payer_code`` where this way to pay asks for none, and what
    ``auth/wechat_oauth.py`` raises.
    """
    if not code:
        return payer
    async with cloud.db.read() as session:
        store = await session.get_one(Store, store_id)
        accounts = await service.accounts_of(session, store, provider)
    found = ways.first_of_each(accounts, cloud.clocks.real)
    app = payers.app_of(found[0], channel) if found else None
    if app is None:
        raise KaimenError(
            "payment.payer_code", "这种付法不用这个码", status=422, field="payer_code"
        )
    ask = by_mini_code if channel == Channel.MINI else by_page_code
    who = await ask(cloud.http, app, code)
    return replace(payer, openid=who.openid)

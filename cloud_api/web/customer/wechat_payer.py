"""Inside WeChat: find out who pays before the ways to pay are shown, without a question or a tap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col

from cloud_api.auth import oauth_tickets
from cloud_api.auth.wechat_oauth import WechatApp, authorize_url, by_page_code
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.payments import payers, ways
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers.base import Channel
from cloud_api.web.customer import mini
from cloud_api.web.customer.paying import Place, place_of
from cloud_api.web.pages import Visit, go, visit

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
BACK: Final = "/oauth/wechat/pay"
PURPOSE: Final = "pay"
TRIED: Final = "wechat"  # ?wechat=no: it did not work, do not go again
_log = structlog.get_logger(__name__)


def knows(seen: Visit, accounts: Sequence[ProviderAccount]) -> bool:
    """Whether WeChat's own sheet can be offered: this browser's payer is known to the store's app."""
    app = _app(seen, accounts)
    return app is not None and app[1].appid in _known(seen)


def lead(seen: Visit, accounts: Sequence[ProviderAccount]) -> Response | None:
    """On to WeChat's authorize page, which leads back here; None where there is no need or no use."""
    where = place_of(seen.request.headers.get("user-agent", ""))
    if where not in {Place.WECHAT, Place.MINI} or seen.request.query_params.get(TRIED) == "no":
        return None
    found = _app(seen, accounts)
    if found is None or found[1].appid in _known(seen):
        return None
    if where is Place.MINI:
        return go(mini.again_href(_here(seen)))
    account, app = found
    settings = seen.cloud.settings
    ticket = oauth_tickets.ticket(
        seen.cloud.clocks.real,
        purpose=PURPOSE,
        provider="wechat",
        app=account.id,
        back=_here(seen),
        login_id=seen.customer.login_id,
    )
    answer = go(authorize_url(app, settings.public_url.rstrip("/") + BACK, ticket.state))
    answer.headers.append("Set-Cookie", ticket.cookie(secure=settings.cookie_secure))
    return answer


@router.get(BACK)
async def back(
    seen: Seen,
    state: Annotated[str, Query(max_length=128)] = "",
    code: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Where WeChat leads back to: the code becomes an openid, and the payment goes on."""
    cloud, cookies = seen.cloud, seen.request.cookies
    secure, login = cloud.settings.cookie_secure, seen.customer.login_id
    now = cloud.clocks.real
    ticket = oauth_tickets.redeem(cookies, state, now, purpose=PURPOSE, login_id=login)
    async with cloud.db.read() as session:
        query = scoped(System(), ProviderAccount).where(col(ProviderAccount.id) == ticket.app)
        account = (await session.exec(query)).one_or_none()
    app = None if account is None else payers.app_of(account, Channel.JSAPI)
    if app is None:
        raise NotFound("account", "门店的收款方式变了，返回再试")
    try:
        who = await by_page_code(cloud.http, app, code)
    except KaimenError as error:
        _log.warning("payer.unknown", code=error.code)
        joint = "&" if "?" in ticket.back else "?"
        answer = go(f"{ticket.back}{joint}{TRIED}=no")
    else:
        answer = go(ticket.back)
        kept = payers.keep(cookies, login, app.appid, who.openid, now, secure=secure)
        answer.headers.append("Set-Cookie", kept)
    answer.headers.append("Set-Cookie", oauth_tickets.used(state, secure=secure))
    return answer


def _here(seen: Visit) -> str:
    url = seen.request.url
    return url.path + (f"?{url.query}" if url.query else "")


def _known(seen: Visit) -> dict[str, str]:
    login = seen.customer.login_id
    return payers.known(seen.request.cookies, login, seen.cloud.clocks.real)


def _app(
    seen: Visit, accounts: Sequence[ProviderAccount]
) -> tuple[ProviderAccount, WechatApp] | None:
    """The account that takes WeChat's money here, if its sheet is on, and the app it asks by."""
    channel = Channel.MINI if seen.in_mini else Channel.JSAPI
    for account in ways.first_of_each(accounts, seen.cloud.clocks.real):
        if account.provider == "wechat" and channel in ways.channels_of(account):
            app = payers.app_of(account, channel)
            return None if app is None else (account, app)
    return None

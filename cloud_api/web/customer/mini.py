"""Inside our WeChat mini-program: its web-view shows these pages, and its own pages do what a web-view may not.

The mini-program (``mini_program/``) asks ``wx.login`` for a code and begins at ``/mini`` with it: that says who
is here, logs in who is linked, and goes on to the page that was meant. Paying and scanning are pages of the
mini-program. Sources: developers.weixin.qq.com, web-view (business domains and their proof, what a page may
call), 小程序登录 (``code2Session``), ``wx.requestPayment``.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Depends, Query, Response
from starlette.responses import PlainTextResponse

from cloud_api.auth import agents, identities, outside, service
from cloud_api.auth.csrf import DEVICE_COOKIE, LOGIN_COOKIE, set_cookie
from cloud_api.auth.wechat_oauth import API_URL, WechatApp, by_mini_code
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.http import client_ip
from cloud_api.payments import payers
from cloud_api.settings import Settings
from cloud_api.web.pages import Visit, go, local_path, page, visit

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Next = Annotated[str, Query(alias="next", max_length=1000)]
ENTRY: Final = "/mini"
AGAIN: Final = "/mini/again"
TRIED: Final = "wechat"  # ?wechat=no: WeChat did not say who is here; do not ask again
_log = structlog.get_logger(__name__)


def app_of(settings: Settings) -> WechatApp | None:
    """The installation's mini-program; None where it has none."""
    if not (settings.wechat_mini_app and settings.wechat_mini_secret):
        return None
    at = dict(
        part.strip().split("=", 1) for part in settings.login_endpoints.split(",") if "=" in part
    )
    there = at.get("wechat_api", API_URL)
    return WechatApp(settings.wechat_mini_app, settings.wechat_mini_secret, api_url=there)


def again_href(back: str) -> str:
    """The page that lets the mini-program begin anew at ``back``, with a fresh code."""
    return f"{AGAIN}?{urlencode({'next': back})}"


def to_bind(seen: Visit, href: str) -> str:
    """Where a login leads whom WeChat has named already: a number once; empty for everybody else."""
    if not seen.in_mini or identities.waiting(seen.request.cookies, seen.cloud.clocks.real) is None:
        return ""
    return f"/login/bind?{urlencode({'next': href})}"


@router.get(ENTRY)
async def enter(
    seen: Seen, code: Annotated[str, Query(max_length=200)] = "", next_: Next = "/"
) -> Response:
    """Where the mini-program begins: who is here, then on to ``next``, which is never this page again.

    Anywhere else than in a mini-program the code is worth nothing: a link with somebody else's code logs
    nobody in as somebody else.
    """
    href = local_path(next_, "/")
    href = "/" if href.startswith(ENTRY) else href
    cloud, cookies = seen.cloud, seen.request.cookies
    app, now, secure = app_of(cloud.settings), cloud.clocks.real, cloud.settings.cookie_secure
    if not seen.in_mini or app is None or not code:
        return go(href)
    ip, device = client_ip(seen.request), cookies.get(DEVICE_COOKIE, "")
    try:
        async with cloud.db.write() as session:
            await service.throttle_login(session, "", ip, device, now)
        who = await by_mini_code(cloud.http, app, code)
    except KaimenError as error:
        _log.warning("mini.unknown", code=error.code)
        return go(f"{href}{'&' if '?' in href else '?'}{TRIED}=no")
    person = outside.Person(outside.WECHAT, app.appid, who.openid)
    answer, login_id = go(href), seen.customer.login_id if seen.account is not None else ""
    if not login_id:
        words = agents.words(seen.request.headers.get("user-agent", ""))
        async with cloud.db.write() as session:
            account = await identities.account_of(session, person, now)
            made = None if account is None else await service.make_login(
                session, account, kind=person.provider, ip=ip, device=words, now=now
            )  # fmt: skip
        if made is None:
            kept = identities.keep(person, cookies, now, secure=secure)
            answer.headers.append("Set-Cookie", kept)
            return answer
        login_id, life = made.login.id, int(service.LOGIN_LIFE.total_seconds())
        cookie = set_cookie(LOGIN_COOKIE, made.token, max_age_s=life, secure=secure)
        answer.headers.append("Set-Cookie", cookie)
    kept = payers.keep(cookies, login_id, app.appid, who.openid, now, secure=secure)
    answer.headers.append("Set-Cookie", kept)
    return answer


@router.get(AGAIN)
async def again(seen: Seen, next_: Next = "/") -> Response:
    """Ask the mini-program to begin anew; outside of one there is nothing to ask."""
    href = local_path(next_, "/")
    if not seen.in_mini:
        return go(href)
    return page(seen, "customer/mini.html", href, shell=seen.shell())


@router.get("/{name}.txt")
async def proof(seen: Seen, name: str) -> Response:
    """What WeChat fetches to see that this address is ours. Raises NotFound."""
    told = dict(
        part.strip().split("=", 1)
        for part in seen.cloud.settings.domain_proofs.split(",")
        if "=" in part
    )
    if f"{name}.txt" not in told:
        raise NotFound("page", "没有找到这一页")
    return PlainTextResponse(told[f"{name}.txt"])

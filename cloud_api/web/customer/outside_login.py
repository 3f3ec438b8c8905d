"""Logging in by WeChat or Alipay from inside their apps, and what one has linked."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import RedirectResponse

from cloud_api.auth import agents, identities, oauth_tickets, outside, service
from cloud_api.auth.csrf import DEVICE_COOKIE, LOGIN_COOKIE, set_cookie
from cloud_api.auth.deps import LoginNeeded
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.http import client_ip
from cloud_api.kit.i18n import gettext as _
from cloud_api.web.customer.paying import Place, place_of
from cloud_api.web.pages import Visit, go, local_path, page, visit
from cloud_api.web.view_models import LoginPage
from cloud_api.web.view_models.visit import LinkedRow, LoginsPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Next = Annotated[str, Query(alias="next", max_length=500)]
Word = Annotated[str, Query(max_length=20)]
LOG_IN: Final = "login"
LINK: Final = "link"
TRIED: Final = "tried"  # /login?tried=wechat: it did not say who it is
MINE: Final = "/me/logins"
_INSIDE: Final = {Place.WECHAT: outside.WECHAT, Place.ALIPAY: outside.ALIPAY}
_log = structlog.get_logger(__name__)


def provider_here(seen: Visit) -> str:
    """The app that this browser is in, if people can log in by it; else ``""``."""
    found = _INSIDE.get(place_of(seen.request.headers.get("user-agent", "")), "")
    return found if found and outside.has(seen.cloud.settings, found) else ""


def name_of(provider: str) -> str:
    """What people call it."""
    return {outside.WECHAT: _("微信"), outside.ALIPAY: _("支付宝")}.get(provider, "")


def start_href(provider: str, back: str) -> str:
    """Where the tap leads that logs in, or links where somebody is logged in."""
    return f"/oauth/{provider}/start?{urlencode({'next': back})}"


@router.get("/oauth/{provider}/start")
async def start(seen: Seen, provider: str, next_: Next = "/") -> Response:
    """On to the provider's authorize page, by a ticket that is this browser's alone."""
    cloud = seen.cloud
    link = seen.account is not None
    ticket = oauth_tickets.ticket(
        cloud.clocks.real,
        purpose=LINK if link else LOG_IN,
        provider=provider,
        app="",
        back=MINE if link else local_path(next_, "/"),
        login_id=seen.customer.login_id if link else "",
    )
    there = cloud.settings.public_url.rstrip("/") + f"/oauth/{provider}/login"
    _app, href = outside.authorize_url(cloud, provider, there, ticket.state)
    answer = go(href)
    answer.headers.append("Set-Cookie", ticket.cookie(secure=cloud.settings.cookie_secure))
    return answer


@router.get("/oauth/{provider}/login")
async def back(
    seen: Seen,
    provider: str,
    state: Annotated[str, Query(max_length=128)] = "",
    code: Annotated[str, Query(max_length=200)] = "",
    auth_code: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Where the provider leads back to: log in, link, or go on to prove a number.

    Raises KaimenError ``oauth.state`` for an answer that was made for another browser or login.
    """
    cloud, cookies = seen.cloud, seen.request.cookies
    now, secure = cloud.clocks.real, cloud.settings.cookie_secure
    login_id = seen.customer.login_id if seen.account is not None else ""
    purpose = LINK if login_id else LOG_IN
    ticket = oauth_tickets.redeem(cookies, state, now, purpose=purpose, login_id=login_id)
    if ticket.provider != provider:
        raise NotFound("login", "这里不能这样登录，用手机号")
    try:
        async with cloud.db.write() as session:
            ip, device = client_ip(seen.request), cookies.get(DEVICE_COOKIE, "")
            await service.throttle_login(session, "", ip, device, now)
        person = await outside.person_of(cloud, provider, code or auth_code)
    except KaimenError as error:
        _log.warning("login.outside", provider=provider, code=error.code)
        more = {"next": ticket.back, TRIED: provider}
        answer = go(f"{MINE}?{TRIED}={provider}" if login_id else f"/login?{urlencode(more)}")
    else:
        done = _link if login_id else _log_in
        answer = await done(seen, person, ticket.back)
    answer.headers.append("Set-Cookie", oauth_tickets.used(state, secure=secure))
    return answer


async def _log_in(seen: Visit, person: outside.Person, href: str) -> RedirectResponse:
    cloud = seen.cloud
    now, secure = cloud.clocks.real, cloud.settings.cookie_secure
    made: service.NewLogin | None = None
    async with cloud.db.write() as session:
        account = await identities.account_of(session, person, now)
        if account is not None:
            made = await service.make_login(
                session,
                account,
                kind=person.provider,
                ip=client_ip(seen.request),
                device=agents.words(seen.request.headers.get("user-agent", "")),
                now=now,
            )
    if made is None:
        answer = go(f"/login/bind?{urlencode({'next': href})}")
        kept = identities.keep(person, seen.request.cookies, now, secure=secure)
        answer.headers.append("Set-Cookie", kept)
        return answer
    answer = go(href)
    life = int(service.LOGIN_LIFE.total_seconds())
    cookie = set_cookie(LOGIN_COOKIE, made.token, max_age_s=life, secure=secure)
    answer.headers.append("Set-Cookie", cookie)
    return answer


async def _link(seen: Visit, person: outside.Person, href: str) -> RedirectResponse:
    async with seen.cloud.db.write() as session:
        linked = await identities.link(
            session, seen.customer.account_id, person, seen.cloud.clocks.real
        )
    return go(f"{href}?linked={linked}")


@router.get("/login/bind")
async def bind(request: Request, seen: Seen, next_: Next = "/") -> Response:
    """Who came by WeChat for the first time proves a number; from then on WeChat is enough."""
    href = local_path(next_, "/")
    person = identities.waiting(request.cookies, seen.cloud.clocks.real)
    if seen.account is not None or person is None:
        return go(href if seen.account is not None else f"/login?{urlencode({'next': href})}")
    model = LoginPage(
        next_href=href,
        reason=_("第一次用{name}登录，验证一次手机号").format(name=name_of(person.provider)),
        line=_("以后在{name}里点一下就登录").format(name=name_of(person.provider)),
        login_url="/api/v1/auth/bind",
    )
    return page(seen, "customer/login.html", model, shell=seen.shell())


@router.get(MINE)
async def mine(seen: Seen, linked: Word = "", tried: Word = "") -> Response:
    """The ways in: the number, and what is linked to it."""
    if seen.account is None:
        raise LoginNeeded
    async with seen.cloud.db.read() as session:
        rows = await identities.of(session, seen.customer.account_id)
    here = provider_here(seen)
    name = name_of(here) or _("微信")
    said = {
        "yes": _("连上了，以后在{name}里点一下就登录"),
        "taken": _("这个{name}已经连着另一个手机号，没有改动。先用那个号码登录，解开再来"),
        "other": _("这个手机号已经连着另一个{name}，没有改动。要换，先解开下面那个"),
    }.get(linked, _("{name}没有说你是谁，过一会儿再试") if tried else "")
    model = LoginsPage(
        phone=seen.shell().person,
        rows=tuple(
            LinkedRow(one.id, name_of(one.provider), seen.local(one.created_at)) for one in rows
        ),
        said=said.format(name=name),
        good=linked == "yes",
        here=name_of(here) if here and all(one.provider != here for one in rows) else "",
        href=start_href(here, MINE) if here else "",
        places=tuple(
            name_of(one)
            for one in (outside.WECHAT, outside.ALIPAY)
            if one != here
            and outside.has(seen.cloud.settings, one)
            and all(row.provider != one for row in rows)
        ),
    )
    return page(seen, "customer/logins.html", model, shell=seen.shell())

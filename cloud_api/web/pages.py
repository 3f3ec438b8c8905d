"""What every page needs of a request: who looks, in which language, at what time; and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cloud_api.auth import phones
from cloud_api.auth.csrf import token_of
from cloud_api.auth.deps import LoginNeeded, account_of
from cloud_api.auth.models import Account
from cloud_api.auth.wechat_share import SCRIPT, SCRIPT_HOST
from cloud_api.branding.looks import Look, Looks, looks_now, looks_of
from cloud_api.kit.actor import Actor, Anyone, Customer
from cloud_api.kit.asgi import CSP
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import language
from cloud_api.web.rendering import render
from cloud_api.web.view_models import Shell

THEME_COOKIE = "kaimen_theme"
THEMES = ("light", "dark")
HOME_ZONE = "Asia/Shanghai"  # of pages that belong to no store
CUSTOMER_EVENTS = "/api/v1/events"


class Place(Protocol):
    """A store, as its page knows it."""

    @property
    def tz(self) -> str:
        """Its zone (IANA)."""
        ...

    @property
    def merchant_id(self) -> str:
        """Whose it is."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a page. ``zone`` is the store's, once it is known; instants are shown in it."""

    request: Request
    cloud: Cloud
    account: Account | None
    who: Actor
    lang: str
    theme: str
    zone: ZoneInfo
    looks: Looks = field(default_factory=Looks)
    merchant_id: str = ""  # whose page it is, once that is known

    @property
    def customer(self) -> Customer:
        """The logged-in customer. Raises LoginNeeded, which sends a browser to the login."""
        if not isinstance(self.who, Customer):
            raise LoginNeeded
        return self.who

    def need_login(self) -> None:
        """Raises LoginNeeded when nobody is logged in."""
        _ = self.customer

    @property
    def now(self) -> datetime:
        """Business time in the page's zone."""
        return self.cloud.clocks.now.astimezone(self.zone)

    def at(self, tz: str) -> Visit:
        """The same visit, to a store in ``tz``."""
        return replace(self, zone=ZoneInfo(tz))

    def at_store(self, place: Place) -> Visit:
        """The same visit, to a store: in its zone, in its merchant's look."""
        return replace(self, zone=ZoneInfo(place.tz), merchant_id=place.merchant_id)

    def of(self, merchant_id: str) -> Visit:
        """The same visit, to a merchant's page."""
        return replace(self, merchant_id=merchant_id)

    @property
    def in_mini(self) -> bool:
        """Whether the web-view of a WeChat mini-program shows it (its own words, since WeChat 7.0)."""
        agent = self.request.headers.get("user-agent", "").lower()
        return "micromessenger" in agent and "miniprogram" in agent

    @property
    def look(self) -> Look:
        """How the page looks: its merchant's way, or the installation's."""
        return self.looks.of(self.merchant_id)

    def local(self, instant: datetime) -> datetime:
        """An instant in the page's zone."""
        return instant.astimezone(self.zone)

    def shell(self, *, person: str = "", events: str = "", stay_href: str = "") -> Shell:
        """The page's frame. ``events`` is the live feed's address."""
        if not person and self.account is not None:
            person = phones.masked(self.account.phone_tail)
        return Shell(
            now=self.now,
            csrf=token_of(self.request),
            lang=self.lang,
            theme=self.theme,
            person=person,
            events_href=events,
            stay_href=stay_href,
            look=self.look,
            own_app=self.look != self.looks.home,
            mini_script=SCRIPT if self.in_mini else "",
        )


async def visit(request: Request) -> Visit:
    """The visit that ``request`` is; also a FastAPI dependency. A stale login counts as none."""
    await looks_of(cloud_of(request))
    return visit_of(request, await account_of(request))


def visit_of(request: Request, account: Account | None) -> Visit:
    """The visit of ``account``; the database is not asked, which may be what failed."""
    ip = client_ip(request)
    who: Actor = Anyone(ip=ip)
    if account is not None:
        who = Customer(account_id=account.id, login_id=request.state.login_id, ip=ip)
    theme = request.cookies.get(THEME_COOKIE, "")
    return Visit(
        request=request,
        cloud=cloud_of(request),
        account=account,
        who=who,
        lang=language().replace("_", "-"),
        theme=theme if theme in THEMES else "",
        zone=ZoneInfo(HOME_ZONE),
        looks=looks_now(cloud_of(request)),
    )


def answer(html: str, status: int = 200) -> HTMLResponse:
    """HTML that no cache keeps: every page may hold what is one person's alone."""
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store"})


def page(
    seen: Visit, template: str, model: object, *, shell: Shell, status: int = 200, **more: object
) -> HTMLResponse:
    """A rendered template; ``model`` is its ``page``."""
    context = {"shell": shell, "page": model, **more}
    made = answer(render(template, context, seen.lang), status)
    if (
        shell.mini_script
    ):  # only there is WeChat's script let in: the way to the mini-program's own pages
        made.headers["Content-Security-Policy"] = CSP.replace(
            "script-src 'self'", f"script-src 'self' {SCRIPT_HOST}"
        )
    return made


def go(href: str) -> RedirectResponse:
    """On to another page of this site."""
    return RedirectResponse(href, 303, headers={"Cache-Control": "no-store"})


def login_href(request: Request) -> str:
    """The login that leads back to this page."""
    path = request.url.path
    here = path + (f"?{request.url.query}" if request.url.query else "")
    login = "/console/login" if path.startswith("/console") else "/login"
    return f"{login}?next={quote(here, safe='')}"


def local_path(path: str, otherwise: str) -> str:
    """``path`` if it is one of this site, else ``otherwise``: a login never leads to a foreign host."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if good and "\\" not in path else otherwise


def svg(body: str) -> Response:
    """A drawing that no cache keeps."""
    return Response(body, media_type="image/svg+xml", headers={"Cache-Control": "no-store"})

"""The app: every router, what stands around every request, and the worker beside it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_api import events, health
from cloud_api.access import routes as access
from cloud_api.alarms import routes as alarms
from cloud_api.auth import routes as auth
from cloud_api.auth import security_routes as security
from cloud_api.auth.csrf import CsrfGuard, DeviceCookie
from cloud_api.backups import routes as backups
from cloud_api.branding import routes as branding
from cloud_api.bulk import routes as bulk
from cloud_api.claims import find_routes, live_routes, mode_routes, rule_routes
from cloud_api.claims import routes as claims
from cloud_api.cleaning import routes as cleaning
from cloud_api.coupons import quote_routes
from cloud_api.coupons import routes as coupons
from cloud_api.devices import remote_routes, running_routes, wiring_routes
from cloud_api.devices import routes as devices
from cloud_api.groupbuy import console_routes as groupbuy_console
from cloud_api.groupbuy import media_routes as campaign_media
from cloud_api.groupbuy import platform_routes
from cloud_api.groupbuy import routes as groupbuy
from cloud_api.invoices import routes as invoices
from cloud_api.kit import problems
from cloud_api.kit.asgi import BodyLimit, Requests, SecurityHeaders
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.process import make_cloud
from cloud_api.kit.repeat import Repeat
from cloud_api.kit.routing import Nearest
from cloud_api.kit.static_files import StaticForLong
from cloud_api.ledger import routes as ledger
from cloud_api.media import routes as media
from cloud_api.members import routes as members
from cloud_api.notifications import routes as notifications
from cloud_api.orders import (
    change_routes,
    coupon_routes,
    desk_routes,
    export_routes,
    guest_routes,
    money_routes,
    overtime_routes,
    refund_routes,
    series_routes,
    share_routes,
    waitlist_routes,
)
from cloud_api.orders import console_routes as orders_console
from cloud_api.orders import routes as orders
from cloud_api.payments import account_routes as payment_accounts
from cloud_api.payments import bill_routes as payment_bills
from cloud_api.payments import own_routes as payments_own
from cloud_api.payments import refund_routes as payment_refunds
from cloud_api.payments import routes as payments
from cloud_api.platform_vouchers import routes as platform_accounts
from cloud_api.pricing import manage_routes as prices_manage
from cloud_api.pricing import routes as pricing
from cloud_api.reports import routes as reports
from cloud_api.retention import routes as retention
from cloud_api.settings import Settings
from cloud_api.staff import audit_routes as audit
from cloud_api.staff import invitation_routes as invitations
from cloud_api.staff import key_routes as api_keys
from cloud_api.staff import platform_routes as platform
from cloud_api.staff import role_routes as roles
from cloud_api.staff import routes as staff
from cloud_api.store_channel import routes as edge
from cloud_api.stored_value import routes as stored_value
from cloud_api.stores import manage_routes as stores_manage
from cloud_api.stores import media_routes
from cloud_api.stores import routes as stores
from cloud_api.support import routes as support
from cloud_api.webhooks import routes as webhooks
from cloud_api.worker import register_jobs, work

API = "/api/v1"
_ROUTERS: tuple[APIRouter, ...] = (
    # A request is held against those that begin like it (kit/routing.py), one after the other.
    access.router,
    quote_routes.router,
    orders.router,
    auth.router,
    security.router,
    invitations.router,  # before staff: its paths are longer
    staff.router,
    roles.router,
    platform.router,
    find_routes.router,
    stores.router,
    stores_manage.router,
    media_routes.router,
    devices.router,
    remote_routes.router,
    running_routes.router,
    wiring_routes.router,
    pricing.router,
    prices_manage.router,
    coupons.router,
    coupon_routes.router,
    claims.router,
    live_routes.router,
    mode_routes.router,
    rule_routes.router,
    payments.router,
    ledger.router,
    payment_accounts.router,
    payment_bills.router,
    payment_refunds.router,
    payments_own.router,
    stored_value.router,
    change_routes.router,
    change_routes.console,
    series_routes.router,
    desk_routes.router,
    share_routes.router,
    waitlist_routes.router,
    series_routes.console,
    desk_routes.console,
    export_routes.console,
    orders_console.router,
    overtime_routes.router,
    refund_routes.router,
    money_routes.router,
    money_routes.console,
    guest_routes.console,
    groupbuy.router,
    campaign_media.router,
    groupbuy_console.router,
    platform_routes.router,
    platform_routes.console,
    platform_accounts.router,
    cleaning.router,
    support.router,
    invoices.router,
    support.console,
    invoices.console,
    alarms.router,
    notifications.router,
    members.router,
    reports.router,
    api_keys.router,
    webhooks.router,
    retention.router,
    branding.router,
    bulk.router,
    audit.router,
    backups.router,
    events.router,
)
_PACKAGE = Path(__file__).parent
_STOP_S = 8.0


def create_app(
    settings: Settings,
    *,
    clocks: Clocks | None = None,
    cloud: Cloud | None = None,
    pages: bool = True,
) -> FastAPI:
    """The app of one process; the API alone without ``pages``.

    With ``cloud`` the caller keeps and closes what it gave.
    """
    register_jobs()
    own = cloud is None
    app = FastAPI(
        title="Kaimen 开门",
        version="1",
        description="Rooms booked, paid, unlocked and powered with nobody there.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(own),
    )
    app.state.cloud = cloud or make_cloud(settings, clocks)
    app.state.metrics = health.Metrics()
    app.state.pages = _pages() if pages else None
    app.router.routes.extend(_routes(app.state.pages))
    bundles = {} if app.state.pages is None else app.state.pages.BUNDLES
    static = StaticForLong(_PACKAGE / "web" / "static", bundles)
    app.mount("/static", static, name="static")
    app.router.middleware_stack = Nearest(app.router)
    refused = (
        KaimenError,
        RequestValidationError,
        HTTPException,
        SQLAlchemyError,
        UnicodeEncodeError,
    )
    for kind in refused:
        app.add_exception_handler(kind, _refuse)
    # The last one added stands outermost.
    app.add_middleware(Repeat)
    if app.state.pages is not None:
        app.add_middleware(CrashPage)
    app.add_middleware(DeviceCookie, secure=settings.cookie_secure)
    app.add_middleware(CsrfGuard, public_url=settings.public_url)
    app.add_middleware(BodyLimit, wide=media_routes.upload_limit(settings))
    app.add_middleware(Requests, observe=app.state.metrics.observe)
    app.add_middleware(SecurityHeaders, https=settings.cookie_secure)
    return app


@cache
def _routes(pages: ModuleType | None) -> tuple[BaseRoute, ...]:
    """Every route, once per process: FastAPI works them out at the first request, for 0.2 s and more."""
    whole = APIRouter()
    for router in _ROUTERS:
        whole.include_router(router, prefix=API)
    for router in (edge.router, health.router, media.router, branding.files):
        whole.include_router(router)
    if pages is not None:
        whole.routes.extend(pages.router.routes)  # page by page, so that each is found by its path
    return tuple(whole.routes)


def _lifespan(own: bool) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        cloud: Cloud = app.state.cloud
        stop = asyncio.Event()
        task = asyncio.create_task(work(cloud, stop, all_parts=cloud.settings.run_worker))
        try:
            yield
        finally:
            stop.set()
            _, late = await asyncio.wait({task}, timeout=_STOP_S)
            for one in late:
                one.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if own:
                await cloud.http.aclose()
                await cloud.db.close()

    return lifespan


async def _refuse(request: Request, error: Exception) -> Response:
    refusal = problems.as_error(request, error)
    pages = request.app.state.pages
    if pages is not None and wants_page(request):
        page = await pages.error_page(request, refusal)
        assert isinstance(page, Response)
        return page
    return problems.problem(refusal)


class CrashPage:
    """What nobody expected, as a page where a person looks at it; the API's form of it is Requests'."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http" or begun or not wants_page(Request(scope)):
                raise
            request = Request(scope, receive)
            page = await request.app.state.pages.error_page(request, problems.crash(request, error))
            await page(scope, receive, send)


def _pages() -> ModuleType | None:
    """The pages, where this installation has them: the API works without."""
    if importlib.util.find_spec("cloud_api.web.routes") is None:
        return None
    return importlib.import_module("cloud_api.web.routes")


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer in a browser."""
    path = request.url.path
    if path.startswith(
        ("/api/", "/edge/", "/static/", "/media/", "/healthz", "/readyz", "/metrics")
    ):
        return False
    return "text/html" in request.headers.get("accept", "")

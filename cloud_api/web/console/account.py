"""One's own way in: first login, second factor, password, logins; an invitation; the platform."""

from typing import Annotated

import pyotp
from fastapi import APIRouter, Depends, Query, Request, Response

from cloud_api.auth import factors, phones, service
from cloud_api.auth.csrf import ACTING_COOKIE, set_cookie
from cloud_api.auth.deps import own_login
from cloud_api.auth.models import Account, Login, Password, Totp
from cloud_api.kit.actor import Platform
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import client_ip
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import platform
from cloud_api.staff.deps import acting, platform_actor
from cloud_api.web import qr
from cloud_api.web.pages import Visit, go, local_path, page, svg, visit
from cloud_api.web.view_models.people import (
    FactorPage,
    LoginRow,
    MerchantRow,
    PlatformPage,
    SecurityPage,
)

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Own = Annotated[tuple[Login, Account], Depends(own_login)]
Next = Annotated[str, Query(alias="next", max_length=500)]
KINDS = {
    "sms": "短信登录",
    "password": "密码登录",
    "wechat": "微信登录",
    "alipay": "支付宝登录",
    "link": "设置码登录",
    "platform": "平台代看",
}


@router.get("/console/setup")
async def set_up(seen: Seen) -> Response:
    """The first owner's way in; the code stands after the # or is typed."""
    return page(seen, "console/setup.html", FactorPage("/console"), shell=seen.shell())


@router.get("/console/second-factor")
async def second_factor(seen: Seen, own: Own, next_: Next = "/console") -> Response:
    """Prove the second factor on this login; leads on to ``next``."""
    model = FactorPage(local_path(next_, "/console"))
    return page(seen, "console/second_factor.html", model, shell=seen.shell())


@router.get("/console/security")
async def security(
    request: Request, seen: Seen, own: Own, next_: Next = "/console", first: bool = False
) -> Response:
    """Password, second factor, recovery codes, logins; with ``first`` as a guide."""
    login, account = own
    now = seen.cloud.clocks.real
    async with seen.cloud.db.read() as session:
        password = await session.get(Password, account.id)
        left = await factors.recovery_left(session, account.id)
        logins = await service.logins_of(session, account.id, now)
    young = login.kind in ("sms", "link") and now - login.created_at < factors.FRESH
    model = SecurityPage(
        phone=phones.masked(account.phone_tail),
        has_password=password is not None,
        needs_old=password is not None and not young,
        second_factor=account.second_factor_at is not None,
        recovery_left=left,
        logins=tuple(
            LoginRow(
                id=one.id,
                device=one.device or _("不知道的设备"),
                kind=_(KINDS.get(one.kind, one.kind)),
                address=one.address or "",
                seen_at=seen.local(one.last_seen_at or one.created_at),
                current=one.id == login.id,
                platform=one.kind == "platform",
            )
            for one in logins
        ),
        guided=first,
        next_href=local_path(next_, "/console"),
    )
    return page(seen, "console/security.html", model, shell=seen.shell())


@router.get("/console/security/qr.svg")
async def totp_code(seen: Seen, own: Own) -> Response:
    """The QR code of the generator that is being set up; none once it counts."""
    _login, account = own
    async with seen.cloud.db.read() as session:
        totp = await session.get(Totp, account.id)
    if totp is None or totp.confirmed_at is not None:
        raise NotFound("totp")
    name = phones.masked(account.phone_tail)
    uri = pyotp.TOTP(totp.secret).provisioning_uri(name=name, issuer_name=factors.ISSUER)
    return svg(qr.svg(uri))


@router.post("/console/acting/end")
async def end_acting(request: Request, seen: Seen) -> Response:
    """Stop acting for a merchant; back to the list of them. Fine where it is over already."""
    found = await acting(request)
    if found is not None:
        async with seen.cloud.db.write() as session:
            await platform.leave(session, found[0], client_ip(request), seen.cloud.clocks)
    answer = go("/platform")
    secure = seen.cloud.settings.cookie_secure
    answer.headers.append("Set-Cookie", set_cookie(ACTING_COOKIE, "", max_age_s=0, secure=secure))
    return answer


@router.get("/invite")
async def invite(seen: Seen) -> Response:
    """What a link invites to; its token stands after the #."""
    return page(seen, "console/invite.html", FactorPage("/console"), shell=seen.shell())


@router.get("/platform")
async def merchants(seen: Seen, who: Annotated[Platform, Depends(platform_actor)]) -> Response:
    """Every merchant, for administrators of the installation."""
    async with seen.cloud.db.read() as session:
        found = await platform.list_merchants(session)
    model = PlatformPage(
        who.name,
        tuple(
            MerchantRow(
                id=one.merchant.id,
                name=one.merchant.name,
                owners=_("、").join(one.owners) or _("还没有店主"),
                staff=one.staff,
                since=seen.local(one.merchant.created_at),
                suspended_why=one.merchant.suspended_why if one.merchant.suspended_at else None,
            )
            for one in found
        ),
    )
    return page(seen, "console/platform.html", model, shell=seen.shell(person=who.name))

"""Which member of staff, or which administrator of the installation, makes a request; see matrix.py."""

from dataclasses import replace

from fastapi import Request

from cloud_api.auth import factors
from cloud_api.auth.csrf import ACTING_COOKIE
from cloud_api.auth.deps import (
    BORROWED,
    LoginNeeded,
    account_of,
    bearer_of,
    good_login,
    login_of,
    note_use,
    shown_token,
)
from cloud_api.auth.models import Account, Login
from cloud_api.kit.actor import Platform, Staff
from cloud_api.kit.asgi import route_of
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import api_keys, matrix, platform, rights, service
from cloud_api.staff.models import Impersonation
from cloud_api.staff.permissions import OWN_ACTS
from cloud_api.staff.service import Workplace

HEADER = "X-Kaimen-Merchant"
COOKIE = "kaimen_merchant"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def staff_actor(request: Request) -> Staff:
    """The staff actor of this login, if the role matrix lets it use this route.

    Who works for several merchants chooses with the header ``X-Kaimen-Merchant`` or a cookie; else
    it is the oldest. Raises LoginNeeded (401), FactorNeeded and KaimenError (403): ``staff.none``,
    ``merchant.suspended``, ``second_factor.needed``, ``second_factor.enrol_needed``,
    ``impersonation.read_only``, ``forbidden``.
    """
    who = await whoever(request)
    enforce(request, who)
    return who


async def whoever(request: Request) -> Staff:
    """The staff actor of this login or key, whatever the route; for ``staff_actor`` and open streams."""
    bearer = bearer_of(request)
    if bearer is not None and bearer.startswith(api_keys.PREFIX):
        return await _by_key(request, bearer)
    places = getattr(request.state, "places", None) or await _read_at_once(request)
    borrowed = await _borrowed(request)
    if borrowed is not None:
        return borrowed
    found = await login_of(request)
    if found is None or await account_of(request) is None:
        raise LoginNeeded
    login, account = found
    cloud = cloud_of(request)
    if places is None:
        async with cloud.db.read() as session:
            places = await service.places_of(session, account.id)
    place = _chosen(request, places)
    if place.merchant.suspended_at is not None:
        raise KaimenError(
            "merchant.suspended", "商家已暂停使用，请联系平台。已订的房照常能用", status=403
        )
    _need_factor(place, login, account)
    return service.actor_of(
        place.member,
        place.role,
        login_id=login.id,
        ip=client_ip(request),
        fresh=factors.fresh(account, login, cloud.clocks.real),
    )


async def _read_at_once(request: Request) -> list[Workplace] | None:
    """Read the login of a request with where its account works; None where the login is known already.

    What ``login_of`` says afterwards is what it would have said: nothing found is asked for again.
    """
    token = shown_token(request)
    if hasattr(request.state, "login") or not token:
        return None
    cloud = cloud_of(request)
    now = cloud.clocks.real
    found = await service.login_and_places(cloud.db, token, now)
    if found is None:
        return None
    login, account, places = found
    await note_use(request, login, now)
    request.state.login = login, account
    return places


async def _by_key(request: Request, token: str) -> Staff:
    """Other software, by its key. Raises LoginNeeded ``api_key.bad``, KaimenError ``merchant.suspended``."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await api_keys.holder(session, token)
    if found is None or not route_of(request.scope).startswith("/api/v1/console/"):
        raise LoginNeeded("api_key.bad", _("密钥不对，或已停用"))
    key, merchant, may = found
    if merchant.suspended_at is not None:
        raise KaimenError("merchant.suspended", _("商家已暂停使用，请联系平台"), status=403)
    if api_keys.stale(key, cloud.clocks.real):
        async with cloud.db.write() as session:
            await api_keys.used(session, key.id, cloud.clocks.real)
    return api_keys.actor_of(key, may, client_ip(request))


def enforce(request: Request, who: Staff) -> None:
    """Raise unless the matrix lets ``who`` use the route of ``request``."""
    path = route_of(request.scope)
    row = matrix.row_of(request.method, path)
    if row is None or row.who != "staff":
        raise KaimenError("matrix.no_row", matrix.missing(request.method, path), status=500)
    for permission in sorted(row.needs):
        who.need(permission)
    if row.needs & OWN_ACTS and request.method not in _SAFE:
        who.need_own()
    if row.fresh:
        who.need_fresh()


async def platform_actor(request: Request) -> Platform:
    """The administrator of the installation of this login.

    Raises LoginNeeded (401), KaimenError (403): ``platform.none``, ``second_factor.enrol_needed``
    (an administrator always needs one), ``second_factor.needed``.
    """
    found = await login_of(request)
    if found is None or await account_of(request) is None:
        raise LoginNeeded
    login, account = found
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        admin = await platform.admin_of(session, account.id)
    if admin is None:
        raise KaimenError("platform.none", "这里只给平台管理员", status=403)
    if account.second_factor_at is None:
        raise _enrol(_("平台管理员要先设置动态码"))
    if login.strong_at is None:
        raise _prove()
    path = route_of(request.scope)
    row = matrix.row_of(request.method, path)
    if row is None or row.who != "platform":
        raise KaimenError("matrix.no_row", matrix.missing(request.method, path), status=500)
    return Platform(
        admin_id=admin.id,
        account_id=account.id,
        login_id=login.id,
        ip=client_ip(request),
        name=admin.name,
        fresh=factors.fresh(account, login, cloud.clocks.real),
    )


async def acting(request: Request) -> tuple[Impersonation, Login, Account] | None:
    """The impersonation of this request, if it is one: by its own token, or beside one's login."""
    found: tuple[Login, Account] | None = None
    admin_account = ""
    token = request.cookies.get(ACTING_COOKIE)
    if bearer_of(request) is not None:
        found = await login_of(request)
    elif token:
        own = await account_of(request)
        admin_account = own.id if own is not None else "nobody"
        found = await good_login(request, token)
    if found is None or found[0].kind != BORROWED:
        return None
    login, account = found
    async with cloud_of(request).db.read() as session:
        known = await platform.find_impersonation(session, login.id)
        if known is None:
            return None
        if admin_account:
            admin = await platform.admin_of(session, admin_account)
            if admin is None or admin.id != known.admin_id:
                return None
    return known, login, account


async def _borrowed(request: Request) -> Staff | None:
    found = await acting(request)
    if found is None:
        return None
    known, login, account = found
    if known.read_only and request.method not in _SAFE:
        raise KaimenError(
            "impersonation.read_only", "你在只看不改地帮商家查看，不能操作", status=403
        )
    async with cloud_of(request).db.read() as session:
        places = await service.places_of(session, account.id)
    place = next((one for one in places if one.member.id == known.staff_id), None)
    if place is None or not rights.is_owner(place.member):
        return None
    staff = service.actor_of(place.member, place.role, login_id=login.id, ip=client_ip(request))
    return replace(staff, platform_admin=known.admin_id, name=login.device)


def _chosen(request: Request, places: list[Workplace]) -> Workplace:
    asked, kept = request.headers.get(HEADER), request.cookies.get(COOKIE)
    chosen = [one for one in places if one.merchant.id == (asked or kept)]
    if not chosen and asked is None:
        chosen = places
    if not chosen:
        raise KaimenError("staff.none", "这个手机号不是店员，请让店主把你加进来", status=403)
    return chosen[0]


def _need_factor(place: Workplace, login: Login, account: Account) -> None:
    """Raise unless the second factor was proved on this login, where one is set up or demanded."""
    wanted = place.merchant.second_factor
    demanded = (
        wanted == "all"
        or (wanted == "owner" and place.member.role == "owner")
        or (place.role is not None and place.role.second_factor)
    )
    if account.second_factor_at is None:
        if demanded:
            raise _enrol(_("店里要求用动态码登录，先设置一个"))
    elif login.strong_at is None:
        raise _prove()


def _enrol(message: str) -> KaimenError:
    return KaimenError("second_factor.enrol_needed", message, status=403)


def _prove() -> KaimenError:
    return KaimenError("second_factor.needed", "再输一次动态码就能进控制台", status=403)

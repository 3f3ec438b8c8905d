"""Who makes a request: the FastAPI dependencies that turn a cookie or a Bearer token into an actor."""

from datetime import datetime, timedelta

from fastapi import Request

from cloud_api.auth import factors, service
from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.auth.models import Account, Login
from cloud_api.kit.actor import Actor, Anyone, Customer, FactorNeeded
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import COOKIE, chosen, negotiate, use_language

BORROWED = "platform"  # the kind of a login with which the installation acts for an account
_NOTE_EVERY = timedelta(minutes=10)


class LoginNeeded(KaimenError):
    """401: nobody is logged in, or the token is no longer good."""

    def __init__(self, code: str = "auth.login_needed", message: str = "请先登录") -> None:
        super().__init__(code, message, status=401)


async def login_of(request: Request) -> tuple[Login, Account] | None:
    """The login and its account. A stale cookie counts as none; raises LoginNeeded for a bad Bearer."""
    if hasattr(request.state, "login"):
        known: tuple[Login, Account] | None = request.state.login
        return known
    token = shown_token(request)
    found = await good_login(request, token) if token else None
    if found is None and bearer_of(request):
        raise LoginNeeded("auth.token_invalid", "登录已失效，请重新登录")
    request.state.login = found
    return found


async def good_login(request: Request, token: str) -> tuple[Login, Account] | None:
    """The login of a token that is good now; notes every ten minutes that it is in use."""
    cloud = cloud_of(request)
    now = cloud.clocks.real
    async with cloud.db.read() as session:
        found = await service.find_login(session, token, now)
    if found is not None:
        await note_use(request, found[0], now)
    return found


async def note_use(request: Request, login: Login, now: datetime) -> None:
    """Note that a login is in use, unless that was noted less than ten minutes ago; ``now`` is wire time."""
    if now - (login.last_seen_at or login.created_at) >= _NOTE_EVERY:
        async with cloud_of(request).db.write() as session:
            await service.seen(session, login.id, now)


def shown_token(request: Request) -> str | None:
    """What a request shows of its login: the Bearer token, else the cookie."""
    bearer = bearer_of(request)
    return bearer if bearer is not None else request.cookies.get(LOGIN_COOKIE)


def bearer_of(request: Request) -> str | None:
    """The Bearer token of a request; None where it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def account_of(request: Request) -> Account | None:
    """The account that is logged in itself: nobody's, where the installation acts for it."""
    if hasattr(request.state, "account"):
        known: Account | None = request.state.account
        return known
    found = await login_of(request)
    account: Account | None = None
    if found is not None and found[0].kind != BORROWED:
        login, account = found
        request.state.login_id = login.id
        if chosen(request.cookies.get(COOKIE)) is None:
            use_language(negotiate("", account.locale))
    request.state.account = account
    return account


async def own_login(request: Request) -> tuple[Login, Account]:
    """The login and account of a person in their own right; raises LoginNeeded."""
    found = await login_of(request)
    if found is None or await account_of(request) is None:
        raise LoginNeeded
    return found


async def fresh_login(request: Request) -> tuple[Login, Account]:
    """``own_login`` that proved the second factor, where there is one, in the last ten minutes.

    Without a second factor the login itself must be that young. Raises FactorNeeded (403), or
    KaimenError ``auth.login_again`` (403).
    """
    login, account = await own_login(request)
    now = cloud_of(request).clocks.real
    if not factors.fresh(account, login, now):
        raise FactorNeeded
    if account.second_factor_at is None and now - login.created_at >= factors.FRESH:
        raise KaimenError("auth.login_again", "为了安全，请先重新登录一次", status=403)
    return login, account


async def actor(request: Request) -> Actor:
    """Customer when logged in, else Anyone."""
    account = await account_of(request)
    ip = client_ip(request)
    if account is None:
        return Anyone(ip=ip)
    return Customer(account_id=account.id, login_id=request.state.login_id, ip=ip)


async def customer(request: Request) -> Customer:
    """The logged-in customer; raises LoginNeeded."""
    found = await actor(request)
    if not isinstance(found, Customer):
        raise LoginNeeded
    return found

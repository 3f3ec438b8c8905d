"""Who makes a request: the FastAPI dependencies that turn a cookie or a Bearer token into an actor."""

from fastapi import Request

from cloud_api.auth import service
from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Actor, Anyone, Customer
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import negotiate, use_language


class LoginNeeded(KaimenError):
    """401: nobody is logged in, or the token is no longer good."""

    def __init__(self, code: str = "auth.login_needed", message: str = "请先登录") -> None:
        super().__init__(code, message, status=401)


async def account_of(request: Request) -> Account | None:
    """The logged-in account. A stale cookie counts as none; raises LoginNeeded for a bad Bearer."""
    if hasattr(request.state, "account"):
        known: Account | None = request.state.account
        return known
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else request.cookies.get(LOGIN_COOKIE)
    account: Account | None = None
    if token:
        cloud = cloud_of(request)
        async with cloud.db.read() as session:
            found = await service.find_login(session, token, cloud.clocks.real)
        if found is not None:
            login, account = found
            request.state.login_id = login.id
            use_language(negotiate("", account.locale))
        elif bearer:
            raise LoginNeeded("auth.token_invalid", "登录已失效，请重新登录")
    request.state.account = account
    return account


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

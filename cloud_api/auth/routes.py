"""/auth: a code by SMS, login, logout, who am I."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from cloud_api.auth import agents, identities, passwords, phones, service, sms
from cloud_api.auth.csrf import DEVICE_COOKIE, LOGIN_COOKIE, set_cookie, token_for, token_of
from cloud_api.auth.deps import LoginNeeded, account_of, login_of
from cloud_api.auth.models import Account
from cloud_api.auth.schemas import (
    AccountOut,
    BindOut,
    CodeIn,
    CodeOut,
    LoginIn,
    LoginOut,
    MeOut,
    PasswordLoginIn,
    SetupIn,
)
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.http import client_ip, cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import language

router = APIRouter(tags=["auth"])


@router.post("/auth/code", status_code=202)
async def ask_code(request: Request, body: CodeIn) -> CodeOut:
    """Send a six-digit code to a phone. The answer does not tell whether the number is known."""
    cloud = cloud_of(request)
    phone = phones.normal(body.phone)
    ip, device = client_ip(request), request.cookies.get(DEVICE_COOKIE, "")
    async with cloud.db.write() as session:
        await service.throttle_code(session, phone, ip, device, cloud.clocks.real)
    async with cloud.db.write() as session:
        code_id, digits = await service.new_code(session, phone, ip, cloud.clocks)
    text = _("【开门】验证码 {code}，5 分钟内有效。不要告诉别人。").format(code=digits)
    await sms.send(cloud, phone, text, code_id)
    return CodeOut(expires_in_s=int(service.CODE_LIFE.total_seconds()), retry_after_s=60)


@router.post("/auth/login")
async def log_in(request: Request, response: Response, body: LoginIn) -> LoginOut:
    """Phone and code → a token, also set as an HttpOnly cookie. The first login makes the account."""
    return _logged_in(request, response, await _by_code(request, body))


async def _by_code(request: Request, body: LoginIn) -> service.NewLogin:
    cloud = cloud_of(request)
    phone = phones.normal(body.phone)
    ip, device = client_ip(request), request.cookies.get(DEVICE_COOKIE, "")
    async with cloud.db.write() as session:
        await service.throttle_login(session, phone, ip, device, cloud.clocks.real)
    made: service.NewLogin | None = None
    async with cloud.db.write() as session:
        if await service.use_code(session, phone, body.code, cloud.clocks):
            name = _device(request, body.device)
            made = await service.log_in(session, phone, ip, name, language(), cloud.clocks)
    if made is None:
        raise service.BadCode
    return made


@router.post("/auth/bind")
async def bind(request: Request, response: Response, body: LoginIn) -> BindOut:
    """As /auth/login, for who came by WeChat or Alipay and has no account yet: links the two.

    409 ``identity.gone`` where this browser came by neither, or too long ago.
    """
    cloud = cloud_of(request)
    now, secure = cloud.clocks.real, cloud.settings.cookie_secure
    person = identities.waiting(request.cookies, now)
    if person is None:
        raise Conflict("identity.gone", "等得太久了，回到登录页再点一次")
    made = await _by_code(request, body)
    async with cloud.db.write() as session:
        linked = await identities.link(session, made.account.id, person, now)
    out = _logged_in(request, response, made)
    response.headers.append("Set-Cookie", identities.forgotten(secure=secure))
    return BindOut(**out.model_dump(), linked=linked)


@router.post("/auth/identities/{identity_id}/unlink", status_code=204)
async def unlink(request: Request, identity_id: str) -> None:
    """Log in no longer by one of one's own identities; what was logged in by it ends, but this login."""
    cloud = cloud_of(request)
    found = await login_of(request)
    if found is None or await account_of(request) is None:  # a borrowed login is nobody's own
        raise LoginNeeded
    login, account = found
    async with cloud.db.write() as session:
        await identities.unlink(session, account.id, identity_id, cloud.clocks.real, but=login.id)


@router.post("/auth/password-login")
async def password_login(request: Request, response: Response, body: PasswordLoginIn) -> LoginOut:
    """Phone and password → a token, as /auth/login. A number nobody has is answered the same."""
    cloud = cloud_of(request)
    phone, ip = phones.normal(body.phone), client_ip(request)
    async with cloud.db.write() as session:
        await service.throttle_password(session, phone, ip, cloud.clocks.real)
    async with cloud.db.read() as session:
        account, stored = await passwords.known(session, phone)
    right = await passwords.verify(body.password, stored)
    if not right or account is None:
        raise passwords.BadPassword
    async with cloud.db.write() as session:
        made = await service.make_login(
            session,
            account,
            kind="password",
            ip=ip,
            device=_device(request, body.device),
            now=cloud.clocks.real,
        )
    return _logged_in(request, response, made)


@router.post("/auth/setup")
async def set_up(request: Request, response: Response, body: SetupIn) -> LoginOut:
    """The first owner's way in: the code that ``kaimen-cloud init`` printed, good once, for a day."""
    cloud = cloud_of(request)
    now, ip = cloud.clocks.real, client_ip(request)
    async with cloud.db.write() as session:
        await service.throttle_setup(session, ip, now)
    made: service.NewLogin | None = None
    async with cloud.db.write() as session:
        account = await service.use_setup_code(session, body.code, now)
        if account is not None:
            device = _device(request, "")
            made = await service.make_login(
                session, account, kind="link", ip=ip, device=device, now=now
            )
    if made is None:
        raise KaimenError(
            "auth.bad_setup_code",
            "设置码不对、用过或过期了。在服务器上重新运行 kaimen-cloud init 会给一个新的",
            status=422,
            field="code",
        )
    return _logged_in(request, response, made)


@router.post("/auth/logout", status_code=204)
async def log_out(request: Request, response: Response) -> None:
    """End this login at once; fine without one."""
    cloud = cloud_of(request)
    found = await login_of(request)
    if found is not None:
        async with cloud.db.write() as session:
            await service.revoke(session, found[0].id, cloud.clocks.real)
    _set_login_cookie(request, response, "", timedelta())


@router.get("/auth/me")
async def me(request: Request) -> MeOut:
    """The account of this login."""
    account = await account_of(request)
    if account is None:
        raise LoginNeeded
    return MeOut(account=_account(account), csrf=token_of(request))


def _logged_in(request: Request, response: Response, made: service.NewLogin) -> LoginOut:
    _set_login_cookie(request, response, made.token, service.LOGIN_LIFE)
    return LoginOut(
        token=made.token,
        csrf=token_for(made.token),
        expires_at=made.login.expires_at,
        account=_account(made.account),
        second_factor=made.account.second_factor_at is not None,
    )


def _device(request: Request, given: str) -> str:
    """What the person called the device, else what its browser says."""
    return given.strip() or agents.words(request.headers.get("user-agent", ""))


def _set_login_cookie(request: Request, response: Response, token: str, life: timedelta) -> None:
    response.headers.append(
        "Set-Cookie",
        set_cookie(
            LOGIN_COOKIE,
            token,
            max_age_s=int(life.total_seconds()),
            secure=cloud_of(request).settings.cookie_secure,
        ),
    )
    response.headers["Cache-Control"] = "no-store"


def _account(account: Account) -> AccountOut:
    return AccountOut(id=account.id, phone_tail=account.phone_tail, locale=account.locale)

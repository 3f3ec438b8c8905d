"""/auth: password, second factor, recovery codes, one's own logins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import changes, factors, passwords, service
from cloud_api.auth.deps import fresh_login, own_login
from cloud_api.auth.models import Account, Login, Password
from cloud_api.auth.schemas import (
    EndedOut,
    FactorIn,
    FactorOut,
    OwnLoginOut,
    OwnLoginsOut,
    PasswordIn,
    PasswordOut,
    RecoveryOut,
    SecurityOut,
    TotpOut,
)
from cloud_api.kit.actor import Customer, FactorNeeded
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.http import client_ip, cloud_of

router = APIRouter(prefix="/auth", tags=["auth"])
Own = Annotated[tuple[Login, Account], Depends(own_login)]
Fresh = Annotated[tuple[Login, Account], Depends(fresh_login)]


@router.get("/security")
async def security(request: Request, own: Own) -> SecurityOut:
    """Password, second factor, recovery codes: what there is."""
    login, account = own
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        password = await session.get(Password, account.id)
        left = await factors.recovery_left(session, account.id)
    until = None
    if login.strong_at is not None and factors.fresh(account, login, cloud.clocks.real):
        until = login.strong_at + factors.FRESH
    return SecurityOut(
        has_password=password is not None,
        second_factor=account.second_factor_at is not None,
        recovery_left=left,
        fresh_until=until,
    )


@router.post("/password")
async def set_password(request: Request, body: PasswordIn, own: Own) -> PasswordOut:
    """Set or change the password; every other login ends.

    Where there is one, ``old`` proves who asks; who forgot it logs in by SMS and sets it within ten
    minutes. The second factor, where there is one, must be fresh.
    """
    login, account = own
    cloud = cloud_of(request)
    now = cloud.clocks.real
    passwords.check(body.password, account.phone)
    if not factors.fresh(account, login, now):
        raise FactorNeeded
    async with cloud.db.write() as session:
        await service.throttle_password(session, account.phone, client_ip(request), now)
    async with cloud.db.read() as session:
        known = await session.get(Password, account.id)
    young = login.kind in ("sms", "link") and now - login.created_at < factors.FRESH
    if known is not None and not young and not await passwords.verify(body.old, known.hash):
        raise KaimenError(
            "auth.bad_old_password",
            "原来的密码不对。忘了就用短信重新登录，10 分钟内可以直接设新的",
            status=403,
            field="old",
        )
    made = await passwords.hashed(body.password)
    async with cloud.db.write() as session:
        row = await session.get(Password, account.id) or Password(
            account_id=account.id, hash="", changed_at=now
        )
        row.hash, row.changed_at = made, now
        session.add(row)
        ended = await service.revoke_all(session, account.id, now, but=login.id)
        await _tell(request, session, own, "password.set")
    return PasswordOut(ended=ended)


@router.post("/second-factor")
async def prove(request: Request, body: FactorIn, own: Own) -> FactorOut:
    """Prove the second factor on this login: for the console, and for dangerous acts (ten minutes)."""
    login, account = own
    cloud = cloud_of(request)
    now = cloud.clocks.real
    if account.second_factor_at is None:
        raise KaimenError("second_factor.none", "还没有设置动态码", status=409)
    async with cloud.db.write() as session:
        await factors.throttle_factor(session, account.id, client_ip(request), now)
    async with cloud.db.write() as session:
        right = await factors.use_factor(session, account.id, body.code, now)
        if right:
            await service.prove(session, login.id, now)
            if not body.code.isdigit():
                await _tell(request, session, own, "recovery_code.use")
        left = await factors.recovery_left(session, account.id)
    if not right:
        raise factors.BadFactor
    return FactorOut(fresh_until=now + factors.FRESH, recovery_left=left)


@router.post("/totp")
async def begin_totp(request: Request, own: Fresh) -> TotpOut:
    """A new generator; it counts once it is confirmed with a code. Needs a young login."""
    _, account = own
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        mine = await session.get_one(Account, account.id)
        secret, uri = await factors.begin_totp(session, mine, cloud.clocks.real)
    return TotpOut(secret=secret, uri=uri)


@router.post("/totp/confirm")
async def confirm_totp(request: Request, body: FactorIn, own: Own) -> RecoveryOut:
    """Make the generator count: answers the recovery codes, this one time."""
    login, account = own
    cloud = cloud_of(request)
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        await factors.throttle_factor(session, account.id, client_ip(request), now)
    async with cloud.db.write() as session:
        codes = await factors.confirm_totp(session, account, body.code, now)
        if codes is not None:
            await service.prove(session, login.id, now)
            await _tell(request, session, own, "second_factor.set")
            service.rights_changed(session, account.id)
    if codes is None:
        raise factors.BadFactor
    return RecoveryOut(codes=codes)


@router.post("/totp/disable", status_code=204)
async def disable_totp(request: Request, own: Fresh) -> None:
    """No second factor any more. Needs a fresh one; fine without any."""
    _, account = own
    async with cloud_of(request).db.write() as session:
        await factors.drop(session, account.id)
        if account.second_factor_at is not None:
            await _tell(request, session, own, "second_factor.drop")


@router.post("/recovery-codes")
async def recovery_codes(request: Request, own: Fresh) -> RecoveryOut:
    """Ten new recovery codes; the old ones end."""
    _, account = own
    if account.second_factor_at is None:
        raise KaimenError("second_factor.none", "还没有设置动态码", status=409)
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        codes = await factors.new_recovery_codes(session, account.id, cloud.clocks.real)
        await _tell(request, session, own, "recovery_code.renew")
    return RecoveryOut(codes=codes)


@router.get("/logins")
async def logins(request: Request, own: Own) -> OwnLoginsOut:
    """The devices that are logged in as oneself, and the platform where it acts for one."""
    login, account = own
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await service.logins_of(session, account.id, cloud.clocks.real)
    return OwnLoginsOut(items=[OwnLoginOut.of(one, login.id) for one in found])


@router.post("/logins/revoke-others")
async def revoke_others(request: Request, own: Own) -> EndedOut:
    """End every other login at once."""
    login, account = own
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        ended = await service.revoke_all(session, account.id, cloud.clocks.real, but=login.id)
        if ended:
            await _tell(request, session, own, "login.revoke_others")
    return EndedOut(ended=ended)


@router.post("/logins/{login_id}/revoke", status_code=204)
async def revoke_login(request: Request, login_id: str, own: Own) -> None:
    """End one login at once."""
    _, account = own
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        ended = await service.revoke(session, login_id, cloud.clocks.real, account_id=account.id)
        if not ended:
            raise NotFound("login", "这个登录已经结束了")
        await _tell(request, session, own, "login.revoke")


async def _tell(
    request: Request, session: AsyncSession, own: tuple[Login, Account], action: str
) -> None:
    login, account = own
    who = Customer(account_id=account.id, login_id=login.id, ip=client_ip(request))
    await changes.changed(session, who, action, {}, cloud_of(request).clocks)

"""Codes by SMS, logins, accounts. Instants are wire time: a code ages in real minutes."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account, Login, LoginCode
from cloud_api.kit import throttle
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_digits, new_id, new_token

CODE_LIFE = timedelta(minutes=5)
CODE_ATTEMPTS = 5
LOGIN_LIFE = timedelta(days=90)

# (what, limit, window in seconds)
CODE_BY_PHONE = ((3, 300), (20, 86400))
CODE_BY_IP = ((60, 3600),)
CODE_BY_DEVICE = ((10, 600),)
LOGIN_BY_PHONE = ((15, 900),)
LOGIN_BY_IP = ((120, 900),)
LOGIN_BY_DEVICE = ((30, 900),)


class BadCode(KaimenError):
    """Wrong, used, too old or tried too often: one answer for all, so that nothing can be learned."""

    def __init__(self) -> None:
        super().__init__(
            "auth.bad_code", "验证码不对或已过期，请重新获取", status=401, field="code"
        )


@dataclass(frozen=True, slots=True)
class NewLogin:
    """A login just made. ``token`` exists only here and with the person."""

    token: str
    login: Login
    account: Account


async def throttle_code(
    session: AsyncSession, phone: str, ip: str, device: str, now: datetime
) -> None:
    """Count a request for a code; raises TooOften. The limits do not depend on who is known."""
    await _count(session, "code-phone", phone, CODE_BY_PHONE, now)
    await _count(session, "code-ip", ip, CODE_BY_IP, now)
    await _count(session, "code-device", device, CODE_BY_DEVICE, now)


async def throttle_login(
    session: AsyncSession, phone: str, ip: str, device: str, now: datetime
) -> None:
    """Count an attempt to log in; raises TooOften."""
    await _count(session, "login-phone", phone, LOGIN_BY_PHONE, now)
    await _count(session, "login-ip", ip, LOGIN_BY_IP, now)
    await _count(session, "login-device", device, LOGIN_BY_DEVICE, now)


async def _count(
    session: AsyncSession, what: str, who: str, limits: tuple[tuple[int, int], ...], now: datetime
) -> None:
    if not who:
        return
    for limit, window_s in limits:
        await throttle.hit(session, f"{what}-{window_s}:{who}", limit, window_s, now)


async def new_code(session: AsyncSession, phone: str, ip: str, clocks: Clocks) -> tuple[str, str]:
    """A fresh code for ``phone`` (E.164): its id and its digits. Earlier codes of it end."""
    index = vault().index(phone)
    await session.exec(
        update(LoginCode)
        .where(col(LoginCode.phone_index) == index, col(LoginCode.used_at).is_(None))
        .values(used_at=clocks.real)
    )
    code_id, digits = new_id(), new_digits(6)
    session.add(
        LoginCode(
            id=code_id,
            phone_index=index,
            code_hash=_code_hash(code_id, digits),
            ip=vault().index(ip)[:16] if ip else "",
            created_at=clocks.real,
            expires_at=clocks.real + CODE_LIFE,
        )
    )
    return code_id, digits


async def use_code(session: AsyncSession, phone: str, digits: str, clocks: Clocks) -> bool:
    """Whether ``digits`` is the live code of ``phone``; uses it up, or one of its five attempts.

    Does the same work for a phone without a code. The caller commits before it answers, so that a
    wrong attempt counts; attempts that run side by side count each.
    """
    code = (
        await session.exec(
            select(LoginCode)
            .where(col(LoginCode.phone_index) == vault().index(phone))
            .order_by(col(LoginCode.id).desc())
            .limit(1)
        )
    ).one_or_none()
    code_id = code.id if code else "none"
    counted = (
        await session.exec(
            update(LoginCode)
            .where(
                col(LoginCode.id) == code_id,
                col(LoginCode.used_at).is_(None),
                col(LoginCode.attempts) < CODE_ATTEMPTS,
                col(LoginCode.expires_at) > clocks.real,
            )
            .values(attempts=col(LoginCode.attempts) + 1)
            .returning(col(LoginCode.id))
        )
    ).scalar_one_or_none()
    expected = code.code_hash if code else _code_hash("none", "")
    right = hmac.compare_digest(_code_hash(code_id, digits), expected)
    if counted is None or not right:
        return False
    used = (
        await session.exec(
            update(LoginCode)
            .where(col(LoginCode.id) == code_id, col(LoginCode.used_at).is_(None))
            .values(used_at=clocks.real)
            .returning(col(LoginCode.id))
        )
    ).scalar_one_or_none()
    return used is not None


async def log_in(
    session: AsyncSession, phone: str, ip: str, device: str, locale: str, clocks: Clocks
) -> NewLogin:
    """A login for the account of ``phone``, which is made if this is its first. The code was right."""
    account = await account_of_phone(session, phone)
    if account is None:
        account = await make_account(session, phone, locale, clocks.real)
    token = new_token()
    login = Login(
        account_id=account.id,
        token_hash=vault().hash_token(token),
        device=device,
        ip=vault().index(ip)[:16] if ip else "",
        created_at=clocks.real,
        expires_at=clocks.real + LOGIN_LIFE,
    )
    session.add(login)
    await session.flush()
    return NewLogin(token, login, account)


async def account_of_phone(session: AsyncSession, phone: str) -> Account | None:
    """The account of a number (E.164), if there is one."""
    query = select(Account).where(col(Account.phone_index) == vault().index(phone))
    return (await session.exec(query)).one_or_none()


async def make_account(session: AsyncSession, phone: str, locale: str, now: datetime) -> Account:
    """A new account. ``phone`` is E.164 and has none yet."""
    account = Account(
        phone=phone,
        phone_index=vault().index(phone),
        phone_tail=phone[-4:],
        locale=locale,
        created_at=now,
    )
    session.add(account)
    await session.flush()
    return account


async def find_login(
    session: AsyncSession, token: str, now: datetime
) -> tuple[Login, Account] | None:
    """Login and account of a token that is neither revoked nor over; ``now`` is wire time."""
    query = (
        select(Login, Account)
        .join(Account, col(Account.id) == col(Login.account_id))
        .where(
            col(Login.token_hash) == vault().hash_token(token),
            col(Login.revoked_at).is_(None),
            col(Login.expires_at) > now,
        )
    )
    found = (await session.exec(query)).one_or_none()
    return None if found is None else (found[0], found[1])


async def revoke(session: AsyncSession, login_id: str, now: datetime) -> None:
    """End a login at once."""
    await session.exec(
        update(Login)
        .where(col(Login.id) == login_id, col(Login.revoked_at).is_(None))
        .values(revoked_at=now)
    )


async def revoke_all(session: AsyncSession, account_id: str, now: datetime) -> None:
    """End every login of an account, for instance of staff who left."""
    await session.exec(
        update(Login)
        .where(col(Login.account_id) == account_id, col(Login.revoked_at).is_(None))
        .values(revoked_at=now)
    )


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete codes a day after they ended, logins a month after; ``now`` is wire time."""
    await session.exec(delete(LoginCode).where(col(LoginCode.expires_at) < now - timedelta(days=1)))
    await session.exec(delete(Login).where(col(Login.expires_at) < now - timedelta(days=30)))


def _code_hash(code_id: str, digits: str) -> str:
    return vault().hash_token(f"code\n{code_id}\n{digits}")

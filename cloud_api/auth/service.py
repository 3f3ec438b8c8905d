"""Codes by SMS, logins, accounts. Instants are wire time: a code ages in real minutes."""

from __future__ import annotations

import base64
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import Select

from cloud_api.auth.models import Account, Login, LoginCode, SetupCode
from cloud_api.kit import throttle
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import vault
from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_digits, new_id, new_token
from cloud_api.kit.statements import built

CODE_LIFE = timedelta(minutes=5)
CODE_ATTEMPTS = 5
LOGIN_LIFE = timedelta(days=90)
LOGGED_IN = "login.made"  # ref: login id. A job: whoever works here hears of a new device
SETUP_LIFE = timedelta(days=1)
RIGHTS = "rights"  # announced when a login, an account's or a merchant's rights change

# (what, limit, window in seconds)
CODE_BY_PHONE = ((3, 300), (20, 86400))
CODE_BY_IP = ((60, 3600),)
CODE_BY_DEVICE = ((10, 600),)
LOGIN_BY_PHONE = ((15, 900),)
LOGIN_BY_IP = ((120, 900),)
LOGIN_BY_DEVICE = ((30, 900),)
PASSWORD_BY_PHONE = ((10, 900), (50, 86400))
PASSWORD_BY_IP = ((60, 900),)
SETUP_BY_IP = ((20, 900),)


class BadCode(KaimenError):
    """Wrong, used, too old or tried too often: one answer for all, so that nothing can be learned."""

    def __init__(self) -> None:
        super().__init__(
            "auth.bad_code", _("验证码不对或已过期，请重新获取"), status=401, field="code"
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


async def throttle_password(session: AsyncSession, phone: str, ip: str, now: datetime) -> None:
    """Count an attempt with a password; raises TooOften."""
    await _count(session, "password-phone", phone, PASSWORD_BY_PHONE, now)
    await _count(session, "password-ip", ip, PASSWORD_BY_IP, now)


async def throttle_setup(session: AsyncSession, ip: str, now: datetime) -> None:
    """Count an attempt with a set-up code or an invitation; raises TooOften."""
    await _count(session, "setup-ip", ip or "unknown", SETUP_BY_IP, now)


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
    return await make_login(session, account, kind="sms", ip=ip, device=device, now=clocks.real)


async def make_login(
    session: AsyncSession,
    account: Account,
    *,
    kind: str,
    ip: str,
    device: str,
    now: datetime,
    life: timedelta = LOGIN_LIFE,
    strong: bool = False,
) -> NewLogin:
    """A login of ``account``; see Login for ``kind``. ``strong``: the second factor was proved."""
    token = new_token()
    login = Login(
        account_id=account.id,
        token_hash=vault().hash_token(token),
        device=device[:80],
        ip=vault().index(ip)[:16] if ip else "",
        created_at=now,
        expires_at=now + life,
        kind=kind,
        address=ip or None,
        last_seen_at=now,
        strong_at=now if strong else None,
    )
    session.add(login)
    await session.flush()
    await schedule(session, merchant_id="", kind=LOGGED_IN, ref=login.id, run_at=now, clock="wire")
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


async def set_locale(session: AsyncSession, account_id: str, locale: str) -> None:
    """The language an account reads, on every device that chose none itself; its notices too."""
    await session.exec(update(Account).where(col(Account.id) == account_id).values(locale=locale))


async def find_login(
    session: AsyncSession, token: str, now: datetime
) -> tuple[Login, Account] | None:
    """Login and account of a token that is neither revoked nor over; ``now`` is wire time."""
    values = {"token_hash": vault().hash_token(token), "now": now}
    found = (await session.exec(_good_login(), params=values)).one_or_none()
    return None if found is None else (found[0], found[1])


def good_login() -> Select[Login, Account]:
    """The login of ``token_hash`` that is good at ``now``, with its account; for statements that join more."""
    return (
        select(Login, Account)
        .join(Account, col(Account.id) == col(Login.account_id))
        .where(
            col(Login.token_hash) == bindparam("token_hash"),
            col(Login.revoked_at).is_(None),
            col(Login.expires_at) > bindparam("now"),
        )
    )


_good_login = built(good_login)


async def is_good(session: AsyncSession, login_id: str, now: datetime) -> bool:
    """Whether a login is neither revoked nor over; ``now`` is wire time."""
    query = select(Login.id).where(
        col(Login.id) == login_id, col(Login.revoked_at).is_(None), col(Login.expires_at) > now
    )
    return (await session.exec(query)).one_or_none() is not None


async def seen(session: AsyncSession, login_id: str, now: datetime) -> None:
    """Note that a login is in use."""
    await session.exec(update(Login).where(col(Login.id) == login_id).values(last_seen_at=now))


async def prove(session: AsyncSession, login_id: str, now: datetime) -> None:
    """Note that the second factor was proved on a login just now."""
    await session.exec(update(Login).where(col(Login.id) == login_id).values(strong_at=now))


async def logins_of(session: AsyncSession, account_id: str, now: datetime) -> list[Login]:
    """The logins of an account that are good now, the one used last first."""
    query = select(Login).where(
        col(Login.account_id) == account_id,
        col(Login.revoked_at).is_(None),
        col(Login.expires_at) > now,
    )
    found = (await session.exec(query)).all()
    return sorted(found, key=lambda one: one.last_seen_at or one.created_at, reverse=True)


async def revoke(
    session: AsyncSession, login_id: str, now: datetime, *, account_id: str | None = None
) -> bool:
    """End a login at once, also what it listens to; only one of ``account_id`` where that is given.

    False where there is none that is still good.
    """
    query = update(Login).where(col(Login.id) == login_id, col(Login.revoked_at).is_(None))
    if account_id is not None:
        query = query.where(col(Login.account_id) == account_id)
    ended = await session.exec(query.values(revoked_at=now).returning(col(Login.id)))
    if ended.scalar_one_or_none() is None:
        return False
    rights_changed(session, login_id)
    return True


async def revoke_all(
    session: AsyncSession, account_id: str, now: datetime, *, but: str = ""
) -> int:
    """End every login of an account ``but`` one, for instance of staff who left: how many."""
    ended = await session.exec(
        update(Login)
        .where(
            col(Login.account_id) == account_id,
            col(Login.revoked_at).is_(None),
            col(Login.id) != but,
        )
        .values(revoked_at=now)
        .returning(col(Login.id))
    )
    gone = list(ended.scalars())
    for login_id in gone:
        rights_changed(session, login_id)
    return len(gone)


def rights_changed(session: AsyncSession, key: str) -> None:
    """Tell what is open (live events) to look at its rights again, after the commit.

    ``key`` is the id of a login, an account or a merchant.
    """
    announce_after_commit(session, RIGHTS, key)


async def new_setup_code(session: AsyncSession, account_id: str, now: datetime) -> str:
    """A code that logs the first owner in, once, within a day; earlier ones end."""
    await session.exec(
        update(SetupCode)
        .where(col(SetupCode.account_id) == account_id, col(SetupCode.used_at).is_(None))
        .values(used_at=now)
    )
    raw = base64.b32encode(secrets.token_bytes(10)).decode()  # 16 letters, 80 bits
    code = "-".join(raw[at : at + 4] for at in range(0, 16, 4))
    session.add(
        SetupCode(
            account_id=account_id,
            code_hash=_setup_hash(code),
            created_at=now,
            expires_at=now + SETUP_LIFE,
        )
    )
    await session.flush()
    return code


async def use_setup_code(session: AsyncSession, code: str, now: datetime) -> Account | None:
    """The account of a set-up code, which is used up; None for a wrong, used or old one."""
    used = await session.exec(
        update(SetupCode)
        .where(
            col(SetupCode.code_hash) == _setup_hash(code),
            col(SetupCode.used_at).is_(None),
            col(SetupCode.expires_at) > now,
        )
        .values(used_at=now)
        .returning(col(SetupCode.account_id))
    )
    account_id = used.scalar_one_or_none()
    return None if account_id is None else await session.get(Account, account_id)


def _setup_hash(code: str) -> str:
    plain = "".join(one for one in code.upper() if one.isalnum())
    return vault().hash_token(f"setup\n{plain}")


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete codes a day after they ended, logins a month after; ``now`` is wire time."""
    await session.exec(delete(LoginCode).where(col(LoginCode.expires_at) < now - timedelta(days=1)))
    await session.exec(delete(Login).where(col(Login.expires_at) < now - timedelta(days=30)))
    await session.exec(delete(SetupCode).where(col(SetupCode.expires_at) < now - timedelta(days=1)))


def _code_hash(code_id: str, digits: str) -> str:
    return vault().hash_token(f"code\n{code_id}\n{digits}")

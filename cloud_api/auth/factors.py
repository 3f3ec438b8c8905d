"""The second factor: six digits from a generator (RFC 6238), or a recovery code. Each is good once.

Instants are wire time. Codes of the neighbouring half minutes count too: phones' clocks are not ours.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

import pyotp
from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account, Login, RecoveryCode, Totp
from cloud_api.kit import throttle
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id

STEP_S = 30
FRESH = timedelta(minutes=10)
RECOVERY_CODES = 10
ISSUER = "Kaimen"
BY_ACCOUNT = ((10, 900), (50, 86400))
BY_IP = ((60, 900),)
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # nothing that is read for something else


class BadFactor(KaimenError):
    """Wrong, too old or used before: one answer for all."""

    def __init__(self) -> None:
        super().__init__(
            "second_factor.bad_code",
            _("动态码不对或已经用过，等下一个再输"),
            status=422,  # 401 would send a logged-in page to the login
            field="code",
        )


def fresh(account: Account, login: Login, now: datetime) -> bool:
    """Whether the login proved the second factor just now, or the account has none."""
    if account.second_factor_at is None:
        return True
    return login.strong_at is not None and now - login.strong_at < FRESH


async def throttle_factor(session: AsyncSession, account_id: str, ip: str, now: datetime) -> None:
    """Count an attempt; raises TooOften. Six digits are few."""
    for limit, window_s in BY_ACCOUNT:
        await throttle.hit(session, f"factor-{window_s}:{account_id}", limit, window_s, now)
    if ip:
        for limit, window_s in BY_IP:
            await throttle.hit(session, f"factor-ip-{window_s}:{ip}", limit, window_s, now)


async def begin_totp(session: AsyncSession, account: Account, now: datetime) -> tuple[str, str]:
    """A new generator, not yet counting: its secret (base32) and its ``otpauth://`` address.

    Raises KaimenError ``second_factor.exists`` where one counts already.
    """
    known = await session.get(Totp, account.id)
    if known is not None and known.confirmed_at is not None:
        raise Conflict("second_factor.exists", "已经有动态码了，要换手机先停用再重新设置")
    made = known or Totp(account_id=account.id, secret="", created_at=now)
    made.secret, made.created_at, made.last_step = pyotp.random_base32(), now, 0
    session.add(made)
    await session.flush()
    name = _("尾号 {phone_tail}").format(phone_tail=account.phone_tail)
    return made.secret, pyotp.TOTP(made.secret).provisioning_uri(name=name, issuer_name=ISSUER)


async def confirm_totp(
    session: AsyncSession, account: Account, code: str, now: datetime
) -> list[str] | None:
    """Make the generator count, if ``code`` shows that the person has it: the recovery codes.

    None for a wrong code.
    """
    if not await _use_totp(session, account.id, code, now, confirmed=False):
        return None
    await session.exec(
        update(Totp).where(col(Totp.account_id) == account.id).values(confirmed_at=now)
    )
    await session.exec(
        update(Account).where(col(Account.id) == account.id).values(second_factor_at=now)
    )
    return await new_recovery_codes(session, account.id, now)


async def use_factor(session: AsyncSession, account_id: str, code: str, now: datetime) -> bool:
    """Whether ``code`` is the generator's now, or an unused recovery code; uses it up."""
    if code.isdigit():
        return await _use_totp(session, account_id, code, now, confirmed=True)
    used = await session.exec(
        update(RecoveryCode)
        .where(
            col(RecoveryCode.account_id) == account_id,
            col(RecoveryCode.code_hash) == _recovery_hash(account_id, code),
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=now)
        .returning(col(RecoveryCode.id))
    )
    return used.scalar_one_or_none() is not None


async def drop(session: AsyncSession, account_id: str) -> None:
    """No second factor any more."""
    await session.exec(delete(Totp).where(col(Totp.account_id) == account_id))
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    await session.exec(
        update(Account).where(col(Account.id) == account_id).values(second_factor_at=None)
    )


async def new_recovery_codes(session: AsyncSession, account_id: str, now: datetime) -> list[str]:
    """Ten codes for the day the phone is gone; those from before end. They exist only here."""
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.account_id) == account_id))
    codes = [f"{_letters(5)}-{_letters(5)}" for _ in range(RECOVERY_CODES)]
    for code in codes:
        digest = _recovery_hash(account_id, code)
        session.add(
            RecoveryCode(id=new_id(), account_id=account_id, code_hash=digest, created_at=now)
        )
    await session.flush()
    return codes


async def recovery_left(session: AsyncSession, account_id: str) -> int:
    """How many recovery codes were not used."""
    unused = select(func.count()).where(
        col(RecoveryCode.account_id) == account_id, col(RecoveryCode.used_at).is_(None)
    )
    return (await session.exec(unused)).one()


async def _use_totp(
    session: AsyncSession, account_id: str, code: str, now: datetime, *, confirmed: bool
) -> bool:
    totp = await session.get(Totp, account_id)
    if totp is None or (totp.confirmed_at is not None) is not confirmed:
        return False
    here = int(now.timestamp()) // STEP_S
    generator = pyotp.TOTP(totp.secret)
    for step in (here, here - 1, here + 1):
        if not hmac.compare_digest(generator.generate_otp(step), code):
            continue
        used = await session.exec(
            update(Totp)
            .where(col(Totp.account_id) == account_id, col(Totp.last_step) < step)
            .values(last_step=step)
            .returning(col(Totp.account_id))
        )
        return used.scalar_one_or_none() is not None
    return False


def _letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


def _recovery_hash(account_id: str, code: str) -> str:
    plain = "".join(one for one in code.lower() if one.isalnum())
    return vault().hash_token(f"recovery\n{account_id}\n{plain}")

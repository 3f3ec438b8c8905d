"""Passwords: what is good enough, and argon2id, which takes long and so runs beside the event loop."""

from __future__ import annotations

import asyncio
from functools import cache

from pwdlib import PasswordHash
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.models import Account, Password
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

MIN, MAX = 10, 128
_KINDS = 5  # fewer different characters than this are a pattern


class BadPassword(KaimenError):
    """Wrong, or nobody has this number, or there is no password: one answer for all."""

    def __init__(self) -> None:
        super().__init__(
            "auth.bad_password",
            _("手机号或密码不对。也可以用短信验证码登录"),
            status=401,
            field="password",
        )


def check(password: str, phone: str) -> None:
    """Raise KaimenError ``auth.weak_password`` (422) for one that is guessed in no time."""
    digits = phone.lstrip("+")
    why = ""
    if len(password) < MIN:
        why = _("密码至少 {min} 位").format(min=MIN)
    elif len(set(password)) < _KINDS:
        why = _("密码里重复太多，换一个")
    elif digits[-8:] in password or password in digits:
        why = _("密码里不要有手机号")
    elif password.isdigit():
        why = _("密码不能只有数字")
    if why:
        raise KaimenError("auth.weak_password", why, status=422, field="password")


async def hashed(password: str) -> str:
    """What is stored. Never called inside a transaction."""
    return await asyncio.to_thread(_hasher().hash, password)


async def known(session: AsyncSession, phone: str) -> tuple[Account | None, str | None]:
    """The account of ``phone`` (E.164) and its stored password; the same statement for everybody."""
    query = (
        select(Account, Password)
        .join(Password, col(Password.account_id) == col(Account.id), isouter=True)
        .where(col(Account.phone_index) == vault().index(phone))
    )
    found = (await session.exec(query)).one_or_none()
    if found is None:
        return None, None
    account, stored = found
    return account, stored.hash if stored is not None else None


async def verify(password: str, stored: str | None) -> bool:
    """Whether it is the one. Without a stored one a made-up one is compared: the same work."""
    right = await asyncio.to_thread(_hasher().verify, password, stored or _nobody())
    return right and stored is not None


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    """The hash of no password anybody can type."""
    return _hasher().hash("\x00" * MAX)

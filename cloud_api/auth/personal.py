"""What logging in keeps of a person: the number, devices, the ways to prove who they are."""

from __future__ import annotations

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import identities
from cloud_api.auth.models import (
    Account,
    Identity,
    Login,
    LoginCode,
    Password,
    RecoveryCode,
    SetupCode,
    Totp,
)
from cloud_api.auth.outside import NAMES
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.models import FeedEntry, IdempotencyKey
from cloud_api.kit.personal import Blocker, Section, register

GONE = "deleted:"  # what stands in place of the index: unique, and no number gives it


class _Auth:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        account = await session.get(Account, account_id)
        logins = (
            await session.exec(
                select(Login).where(col(Login.account_id) == account_id).order_by(col(Login.id))
            )
        ).all()
        return [
            Section(
                "account",
                "账号",
                []
                if account is None
                else [
                    {
                        "手机号": account.phone,
                        "语言": account.locale,
                        "注册时间": account.created_at,
                    }
                ],
            ),
            Section(
                "logins",
                "登录过的设备",
                [
                    {
                        "设备": one.device,
                        "地址": one.address,
                        "登录时间": one.created_at,
                        "最近使用": one.last_seen_at,
                        "退出时间": one.revoked_at,
                    }
                    for one in logins
                ],
            ),
            Section(
                "identities",
                "连着的登录方式",
                [
                    {
                        "从哪里": NAMES.get(one.provider, one.provider),
                        "那边的编号": one.subject,
                        "连上的时间": one.created_at,
                        "最近使用": one.used_at,
                    }
                    for one in await identities.of(session, account_id)
                ],
            ),
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        account = await session.get(Account, account_id, with_for_update=True)
        if account is None or account.phone_index.startswith(GONE):
            return
        codes = delete(LoginCode).where(col(LoginCode.phone_index) == account.phone_index)
        await session.exec(codes)
        for model in (Identity, Login, Password, Totp, RecoveryCode, SetupCode):
            await session.exec(delete(model).where(col(model.account_id) == account_id))
        await session.exec(
            delete(IdempotencyKey).where(col(IdempotencyKey.actor) == f"customer:{account_id}")
        )
        await session.exec(
            update(FeedEntry).where(col(FeedEntry.account_id) == account_id).values(account_id=None)
        )
        account.phone, account.phone_tail = "", ""
        account.phone_index = f"{GONE}{account_id}"
        account.second_factor_at = None
        session.add(account)
        del clocks


register("auth", _Auth())

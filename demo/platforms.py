"""What the demonstration's store takes of other platforms: Douyin and Meituan, and Kuaishou confirmed by hand."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.platform_vouchers.models import PlatformAccount, PlatformDeal
from cloud_api.stores.models import Store

POI: Final = "6601136930455291912"  # the store, as Douyin's simulator knows it
NAMES: Final = {"douyin": "抖音来客", "meituan": "美团", "manual": "快手（手工确认）"}
DEALS: Final = {
    "douyin": (
        ("1234500001", "四人棋牌三小时", 180, 127),
        ("1234500002", "工作日下午四小时", 240, 31),
    ),
    "meituan": (
        ("993507001", "四人棋牌三小时", 180, 127),
        ("993507002", "通宵八小时", 480, 127),
    ),
    "manual": (("1", "快手四人三小时", 180, 127),),
}


async def offer(
    session: AsyncSession, store_id: str, now: datetime, credentials: dict[str, dict[str, str]]
) -> None:
    """Make the accesses if they are not there; the platform may stand at another port in this run."""
    store = await session.get_one(Store, store_id)
    query = select(PlatformAccount).where(col(PlatformAccount.merchant_id) == store.merchant_id)
    known = {one.kind: one for one in (await session.exec(query)).all()}
    told: dict[str, dict[str, Any]] = {**credentials, "manual": {"label": "快手"}}
    for kind, fields in told.items():
        account = known.get(kind)
        if account is not None:
            account.credentials = json.dumps(fields)
            account.token = account.token_until = None
            session.add(account)
            continue
        made = PlatformAccount(
            merchant_id=store.merchant_id,
            store_id=store.id,
            kind=kind,
            name=NAMES[kind],
            credentials=json.dumps(fields),
            places={store.id: POI if kind == "douyin" else ""},
            created_at=now,
        )
        session.add(made)
        await session.flush()
        session.add_all(
            PlatformDeal(
                merchant_id=store.merchant_id,
                platform_account_id=made.id,
                deal=deal,
                name=name,
                minutes=minutes,
                worth_fen=5900,
                weekdays=weekdays,
                created_at=now,
            )
            for deal, name, minutes, weekdays in DEALS[kind]
        )

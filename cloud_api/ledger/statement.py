"""Statements: what each account of a store came to over some days, and the entries behind it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import case, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, Staff, scoped
from cloud_api.kit.database import Database
from cloud_api.kit.i18n import gettext as _
from cloud_api.ledger.accounts import NAMES, REVENUES, Account, shown
from cloud_api.ledger.models import LedgerDay, LedgerEntry, LedgerTxn
from cloud_api.ledger.schemas import AccountLine, DayOut, StatementOut
from cloud_api.payments.models import ProviderAccount
from cloud_api.staff.permissions import REPORT_READ
from cloud_api.stores.service import get_store

_PAGE: Final = 500
KINDS: Final = {
    "payment": "收款",
    "refund": "退款到账",
    "refund_by_hand": "线下退款",
    "refund_came_back": "退款被退回",
    "order": "订单结转",
    "fee": "手续费",
    "payout": "渠道打款",
    "cash_count": "点钞差额",
    "cash_to_bank": "现金存银行",
    "balance": "储值变动",
    "platform": "平台券",
}


async def statement(
    session: AsyncSession, actor: Actor, store_id: str, first: date, last: date
) -> StatementOut:
    """Every account of a store: before, in and out, after. Staff need ``report.read``."""
    if isinstance(actor, Staff):
        actor.need(REPORT_READ)
    store = await get_store(session, actor, store_id)
    mine = (col(LedgerEntry.store_id) == store.id,)
    keys = (col(LedgerEntry.account), col(LedgerEntry.detail))
    before = select(*keys, func.sum(col(LedgerEntry.amount_fen))).where(
        *mine, col(LedgerEntry.day) < first
    )
    amount = col(LedgerEntry.amount_fen)
    during = select(
        *keys,
        func.sum(case((amount > 0, amount), else_=0)),
        func.sum(case((amount < 0, amount), else_=0)),
    ).where(*mine, col(LedgerEntry.day) >= first, col(LedgerEntry.day) <= last)
    was: dict[tuple[str, str], int] = defaultdict(int)
    debit: dict[tuple[str, str], int] = defaultdict(int)
    credit: dict[tuple[str, str], int] = defaultdict(int)
    for account, detail, total in (await session.exec(before.group_by(*keys))).all():
        was[account, detail] = int(total)
    for account, detail, debits, down in (await session.exec(during.group_by(*keys))).all():
        debit[account, detail], credit[account, detail] = int(debits), int(down)
    names = await _names(session, {d for a, d in {*was, *debit, *credit} if d})
    lines = []
    for account in Account:
        for slot in sorted({s for s in {*was, *debit, *credit} if s[0] == account.value}):
            up, down = debit[slot], -credit[slot]
            opening, moved = was[slot], debit[slot] + credit[slot]
            grew, shrank = (up, down) if shown(account, 1) > 0 else (down, up)
            lines.append(
                AccountLine(
                    account=account.value,
                    detail=slot[1],
                    name=_name(account, slot[1], names),
                    opening_fen=shown(account, opening),
                    up_fen=grew,
                    down_fen=shrank,
                    closing_fen=shown(account, opening + moved),
                )
            )
    days = (
        await session.exec(
            scoped(actor, LedgerDay)
            .where(
                col(LedgerDay.store_id) == store.id,
                col(LedgerDay.day) >= first,
                col(LedgerDay.day) <= last,
            )
            .order_by(col(LedgerDay.day).desc())
        )
    ).all()
    return StatementOut(
        store_id=store.id,
        first=first,
        last=last,
        lines=lines,
        revenue_fen=-sum(
            debit[s] + credit[s] for s in {*debit, *credit} if s[0] == Account.REVENUE.value
        ),
        days=[DayOut.of(day, store.tz) for day in days],
    )


async def csv_lines(
    db: Database, actor: Actor, store_id: str, first: date, last: date
) -> AsyncIterator[str]:
    """The entries of some days as CSV, with a mark that spreadsheets read it as UTF-8."""
    async with db.read() as session:
        if isinstance(actor, Staff):
            actor.need(REPORT_READ)
        store = await get_store(session, actor, store_id)
        refs = select(col(LedgerEntry.detail)).where(col(LedgerEntry.store_id) == store.id)
        names = await _names(session, set((await session.exec(refs.distinct())).all()))
    yield "\ufeff" + _row(
        [
            _("营业日"),
            _("时间"),
            _("类型"),
            _("科目"),
            _("明细"),
            _("借方_元"),
            _("贷方_元"),
            _("对象"),
            _("说明"),
            _("经手"),
            _("流水"),
        ]
    )
    after = ""
    while True:
        async with db.read() as session:
            query = (
                select(LedgerEntry, LedgerTxn)
                .join(LedgerTxn, col(LedgerTxn.id) == col(LedgerEntry.txn_id))
                .where(
                    col(LedgerEntry.store_id) == store_id,
                    col(LedgerEntry.day) >= first,
                    col(LedgerEntry.day) <= last,
                    col(LedgerEntry.id) > after,
                )
                .order_by(col(LedgerEntry.id))
                .limit(_PAGE)
            )
            rows = (await session.exec(query)).all()
        for entry, txn in rows:
            account = Account(entry.account)
            yield _row(
                [
                    entry.day.isoformat(),
                    f"{txn.at.astimezone(ZoneInfo(store.tz)):%Y-%m-%d %H:%M:%S}",
                    KINDS.get(txn.kind, txn.kind),
                    NAMES[account],
                    _detail(account, entry.detail, names),
                    _yuan(max(entry.amount_fen, 0)),
                    _yuan(max(-entry.amount_fen, 0)),
                    entry.subject,
                    _safe(txn.text),
                    txn.by,
                    txn.id,
                ]
            )
        if len(rows) < _PAGE:
            return
        after = rows[-1][0].id


def _row(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _safe(text: str) -> str:
    """What a person wrote is no formula of a spreadsheet."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}" if fen else ""


def _detail(account: Account, detail: str, names: dict[str, str]) -> str:
    if account is Account.REVENUE:
        return REVENUES.get(detail, detail)
    return names.get(detail, detail)


def _name(account: Account, detail: str, names: dict[str, str]) -> str:
    told = _detail(account, detail, names)
    return f"{NAMES[account]} · {told}" if told else NAMES[account]


async def _names(session: AsyncSession, ids: set[str]) -> dict[str, str]:
    query = select(col(ProviderAccount.id), col(ProviderAccount.name)).where(
        col(ProviderAccount.id).in_(list(ids))
    )
    return dict((await session.exec(query)).all())

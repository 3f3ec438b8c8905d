"""Payments as Alipay shows them: yuan, Beijing time, and states that say two things at once."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from simulators.alipay.house import AlipayDesk
from simulators.counter.book import Row

ZONE: Final = ZoneInfo("Asia/Shanghai")


def yuan(fen: int) -> str:
    """12.30"""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def local(seconds: float) -> str:
    """2026-11-23 12:00:00"""
    return f"{datetime.fromtimestamp(seconds, ZONE):%Y-%m-%d %H:%M:%S}"


def status(desk: AlipayDesk, row: Row) -> str:
    """TRADE_CLOSED is closed unpaid, and given back in full as well."""
    if row["state"] == "paid":
        full = desk.book.given_back(row["number"], only_done=True) >= row["amount_fen"]
        return "TRADE_CLOSED" if full else "TRADE_SUCCESS"
    return "TRADE_CLOSED" if row["state"] == "closed" else "WAIT_BUYER_PAY"


def trade_no(row: Row) -> str:
    """Alipay's own number; a payment has one from the moment it is seen."""
    return str(row["txn"] or f"20{row['number']}0000")

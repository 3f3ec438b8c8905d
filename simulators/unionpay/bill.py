"""The daily bill as UnionPay makes it: a ZIP with a ZM file of fixed columns, deflated, in Base64."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from datetime import datetime

from simulators.unionpay.book import BEIJING, PAID, Row
from simulators.unionpay.faults import Knobs

# 全渠道平台接入接口规范 第3部分 文件接口, 6.1: the lengths of a ZM line's 42 columns
_LENGTHS = [
    3,
    11,
    11,
    6,
    10,
    19,
    12,
    4,
    2,
    21,
    2,
    32,
    2,
    6,
    10,
    13,
    13,
    4,
    15,
    2,
    2,
    6,
    2,
    4,
    32,
    1,
]
_LENGTHS += [21, 15, 1, 15, 32, 13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98]
FEE_PER_MILLE = 6


def content(
    merchant: str, month_day: str, rows: list[Row], originals: dict[str, Row], knobs: Knobs
) -> str:
    """``fileContent`` of a day; the knobs leave lines out, change them, and add some."""
    lines = []
    for row in rows:
        faults = knobs.of(row["order_id"])
        if faults.bill_missing:
            continue
        original = originals.get(row["original"] or "")
        lines.append(_line(merchant, row, original, faults.bill_amount_off_fen))
    lines += [_stranger(merchant, month_day, n) for n in range(max(0, knobs.all.bill_extra))]
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"INN26{month_day}88ZM_{merchant}", b"".join(lines))
        archive.writestr(f"INN26{month_day}88ZME_{merchant}", b"")
    return base64.b64encode(zlib.compress(raw.getvalue())).decode()


def _line(merchant: str, row: Row, original: Row | None, off: int) -> bytes:
    paid = row["kind"] == PAID
    amount = row["amount_fen"] + off
    fee = amount * FEE_PER_MILLE // 1000
    net = amount - fee
    columns = [""] * len(_LENGTHS)
    columns[0] = "S22" if paid else "S30"
    columns[1] = columns[2] = "00049992"
    columns[3] = f"{row['id'] % 10**6:06d}"
    columns[4] = f"{datetime.fromtimestamp(row['done_at'], BEIJING):%m%d%H%M%S}"
    columns[5] = "621626****0018"
    columns[6] = f"{amount:012d}"
    columns[7], columns[8] = "7993", "07"
    columns[9] = row["query_id"]
    columns[11] = row["order_id"]
    columns[12] = "01"
    columns[15] = f"{'D' if paid else 'C'}{fee:012d}"
    columns[16] = f"{'C' if paid else 'D'}{net:012d}"
    columns[19] = row["kind"]
    columns[21] = "000201"
    columns[27] = merchant
    if original is not None:
        columns[26] = original["query_id"]
        columns[40] = original["order_id"]
    return _fixed(columns)


def _stranger(merchant: str, month_day: str, n: int) -> bytes:
    columns = [""] * len(_LENGTHS)
    columns[0], columns[4], columns[6] = "S22", f"{month_day}120000", f"{1000 + n:012d}"
    columns[9], columns[11] = f"20260101120000{n:07d}", f"NOBODYS{n:08d}"
    columns[15], columns[16] = "D000000000006", f"C{994 + n:012d}"
    columns[27] = merchant
    return _fixed(columns)


def _fixed(columns: list[str]) -> bytes:
    cut = zip(columns, _LENGTHS, strict=True)
    return b" ".join(text.encode("gbk").ljust(length)[:length] for text, length in cut) + b"\r\n"

"""The daily trade bill (交易账单, ALL): a text with amounts in yuan, each field behind a backtick.

https://pay.weixin.qq.com/docs/merchant/apis/jsapi-payment/get-trade-bill.html
"""

from __future__ import annotations

import csv
import hashlib
import io
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from cloud_api.payments.providers.base import BillLine, BillState, BillView
from cloud_api.payments.providers.wechatpay.client import Client

_ZONE: Final = ZoneInfo("Asia/Shanghai")
_REFUND_STATES: Final = {"SUCCESS": "succeeded", "PROCESSING": "submitted"}
_HASHES: Final = {"SHA1": hashlib.sha1, "SHA256": hashlib.sha256}


async def fetch(client: Client, day: date) -> BillView:
    """Ask where the bill is, load it, and check that it is what was announced."""
    answer = await client.call("GET", f"/v3/bill/tradebill?bill_date={day:%Y-%m-%d}&bill_type=ALL")
    if isinstance(answer, str):
        return BillView(BillState.UNKNOWN, detail=answer)
    status, body = answer
    code = str(body.get("code", status))
    if code in {"NO_STATEMENT_EXIST", "NOSTATEMENTEXIST"}:  # nothing moved that day
        return BillView(BillState.READY, digest="none")
    if code in {"STATEMENT_CREATING", "STATEMENTCREATING"}:
        return BillView(BillState.NOT_YET, detail=code)
    if status != 200:
        return BillView(BillState.UNKNOWN, detail=code)
    raw = await client.download(str(body.get("download_url", "")))
    if isinstance(raw, str):
        return BillView(BillState.UNKNOWN, detail=raw)
    make = _HASHES.get(str(body.get("hash_type", "SHA1")).upper())
    if make is None or make(raw).hexdigest() != str(body.get("hash_value", "")).lower():
        return BillView(BillState.UNKNOWN, detail="the file is not the one that was announced")
    try:
        return BillView(BillState.READY, read(raw.decode("utf-8-sig")), make(raw).hexdigest())
    except (UnicodeDecodeError, ValueError, KeyError, InvalidOperation) as error:
        return BillView(BillState.UNKNOWN, detail=f"unreadable: {error!r}")


def read(text: str) -> tuple[BillLine, ...]:
    """The movements of a bill. Raises ValueError where lines and their sum at the end differ."""
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    header = [name.strip() for name in rows[0]]
    end = next((i for i, row in enumerate(rows) if row[0].strip() == "总交易单数"), len(rows))
    lines = tuple(_line(dict(zip(header, map(_bare, row), strict=True))) for row in rows[1:end])
    if end == len(rows):
        raise ValueError("the sum at the end is missing: the bill is cut off")
    if int(_bare(rows[end + 1][0])) != len(lines):
        raise ValueError("the bill says another number of lines than it has")
    return lines


def _line(row: dict[str, str]) -> BillLine:
    at = datetime.strptime(row["交易时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE)
    fee = abs(fen(row["手续费"]))
    if row["交易状态"] == "SUCCESS":
        return BillLine(
            "payment",
            row["商户订单号"],
            row["商户订单号"],
            fen(row["订单金额"]),
            at,
            row["微信订单号"],
            fee,
        )
    return BillLine(
        "refund",
        row["商户退款单号"],
        row["商户订单号"],
        fen(row["申请退款金额"]),
        at,
        row["微信退款单号"],
        fee,
        _REFUND_STATES.get(row["退款状态"], "failed"),
    )


def _bare(value: str) -> str:
    return value.strip().removeprefix("`").strip()


def fen(yuan: str) -> int:
    """Yuan with two digits as fen; 0 where nothing is written. Raises ValueError, InvalidOperation."""
    amount = Decimal(yuan or "0") * 100
    if amount != int(amount):
        raise ValueError(f"{yuan} is no amount")
    return int(amount)

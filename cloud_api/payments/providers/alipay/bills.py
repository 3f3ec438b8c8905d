"""The daily trade bill (业务明细): a zip with CSV files in GBK, the lines between two marks.

https://opendocs.alipay.com/open/204/106262
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from datetime import date
from typing import Final

from cloud_api.payments.providers.alipay import reading
from cloud_api.payments.providers.alipay.client import Client
from cloud_api.payments.providers.base import BillLine, BillState, BillView

_METHOD: Final = "alipay.data.dataservice.bill.downloadurl.query"
_MOST_BYTES: Final = 200_000_000
_NONE: Final = frozenset({"isp.bill_not_exist", "isv.bill_not_exist", "BILL_NOT_EXIST"})


async def fetch(client: Client, day: date) -> BillView:
    """Ask where the bill is and load it within its thirty seconds."""
    answer = await client.call(_METHOD, {"bill_type": "trade", "bill_date": f"{day:%Y-%m-%d}"})
    if isinstance(answer, str):
        return BillView(BillState.UNKNOWN, detail=answer)
    code = reading.code_of(answer)
    if (
        code in _NONE
    ):  # nothing moved that day (or it is not there yet: whoever has money asks again)
        return BillView(BillState.READY, digest="none")
    if code != reading.OK:
        return BillView(BillState.UNKNOWN, detail=code)
    raw = await client.download(str(answer.get("bill_download_url", "")))
    if isinstance(raw, str):
        return BillView(BillState.UNKNOWN, detail=raw)
    try:
        lines = read(raw)
    except (zipfile.BadZipFile, UnicodeDecodeError, ValueError, KeyError) as error:
        return BillView(BillState.UNKNOWN, detail=f"unreadable: {error!r}")
    return BillView(BillState.READY, lines, hashlib.sha256(raw).hexdigest())


def read(raw: bytes) -> tuple[BillLine, ...]:
    """The movements of a bill. Raises ValueError where the end is missing or lines are not as announced."""
    with zipfile.ZipFile(io.BytesIO(raw)) as folder:
        for info in folder.infolist():
            if info.file_size > _MOST_BYTES:
                raise ValueError("a file of the bill is too large")
            text = folder.read(info).decode("gbk")
            if "业务明细列表" in text:
                return _lines(text)
    raise ValueError("there is no list of movements in the bill")


def _lines(text: str) -> tuple[BillLine, ...]:
    rows = text.splitlines()
    start = next(i for i, row in enumerate(rows) if row.startswith("#") and "业务明细列表" in row)
    ends = [i for i, row in enumerate(rows) if row.startswith("#") and "业务明细列表结束" in row]
    if not ends:
        raise ValueError("the end is missing: the bill is cut off")
    table = list(csv.reader(rows[start + 1 : ends[0]]))
    header = [name.strip() for name in table[0]]
    return tuple(
        _line(dict(zip(header, (one.strip() for one in row), strict=True)))
        for row in table[1:]
        if row
    )


def _line(row: dict[str, str]) -> BillLine:
    paid = row["业务类型"] == "交易"
    number = reading.ours(row["商户订单号"])
    amount = reading.fen(row["订单金额（元）"])
    if amount is None:
        raise ValueError(f"{row['订单金额（元）']} is no amount")
    return BillLine(
        "payment" if paid else "refund",
        number if paid else reading.ours(row["退款批次号/请求号"]),
        number,
        abs(amount),
        reading.instant(row["完成时间"]),
        row["支付宝交易号"],
        abs(reading.fen(row["服务费（元）"]) or 0),
    )

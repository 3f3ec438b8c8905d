"""The day's trade bill: a zip with two CSV files in GBK, made from the books; and rows that are wrong."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, timedelta
from typing import Final

from simulators.alipay import shown
from simulators.alipay.house import SELLER_ID, AlipayDesk
from simulators.counter.book import Row

_HEAD: Final = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,"
    "订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,"
    "券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
FEE_PER_MILLE: Final = 6
READY_H: Final = 9


def rows(desk: AlipayDesk, day: date) -> list[str]:
    """What moved that day; nothing before nine the next day."""
    ready = datetime.combine(day + timedelta(days=1), datetime.min.time(), shown.ZONE)
    if desk.business.now() < ready + timedelta(hours=READY_H):
        return []
    found: list[str] = []
    for row in reversed(desk.book.payments()):
        faults = desk.knobs.of(row["number"])
        if row["paid_at"] is None or _day(row["paid_at"]) != day or faults.bill_missing:
            continue
        found.append(_row(row, row["amount_fen"] + faults.bill_off_fen))
        if faults.bill_extra:
            found.append(_row({**row, "number": f"X{row['number']}"}, row["amount_fen"]))
    for row in reversed(desk.book.refunds()):
        if row["done_at"] is None or _day(row["done_at"]) != day:
            continue
        paid = desk.book.payment(row["payment_number"])
        if paid is not None and not desk.knobs.of(paid["number"]).bill_missing:
            found.append(_row(paid, -row["amount_fen"], row))
    return found


def make(desk: AlipayDesk, day: date) -> bytes:
    """The file."""
    found = rows(desk, day)
    name = f"{SELLER_ID}0156_{day:%Y%m%d}"
    line = "-" * 40
    lines = [
        "#支付宝业务明细查询",
        f"#账号：[{SELLER_ID}0156]",
        f"#起始日期：[{day:%Y年%m月%d日} 00:00:00]   终止日期：[{day:%Y年%m月%d日} 24:00:00]",
        f"#{line}业务明细列表{line}",
        _HEAD,
        *found,
        f"#{line}业务明细列表结束{line}",
        f"#导出时间：[{shown.local(desk.book.now)}]",
    ]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as folder:
        folder.writestr(f"{name}_summary.csv", "#支付宝业务汇总查询\r\n".encode("gbk"))
        folder.writestr(f"{name}_detail.csv", ("\r\n".join(lines) + "\r\n").encode("gbk"))
    return made.getvalue()


def _row(paid: Row, fen: int, refund: Row | None = None) -> str:
    fee = -round(fen * FEE_PER_MILLE / 1000)
    done = paid["paid_at"] if refund is None else refund["done_at"]
    fields = [
        shown.trade_no(paid) + "\t", paid["number"] + "\t", "交易" if refund is None else "退款",
        paid["subject"].replace(",", " "), shown.local(paid["created_at"]), shown.local(done),
        "", "", "", "", "*明(138****0000)", shown.yuan(fen), shown.yuan(fen), "0.00", "0.00", "0.00",
        "0.00", "0.00", "", "0.00", "0.00", "" if refund is None else refund["number"] + "\t",
        shown.yuan(fee), "0.00", "",
    ]  # fmt: skip
    return ",".join(fields)


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, shown.ZONE).date()

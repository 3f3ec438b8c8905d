"""Orders as a sheet: which columns people want, as CSV or XLSX. Words in the asker's language."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from cloud_api.kit.i18n import gettext as _

FORMS: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
COLUMNS: Final = (
    "订单号",
    "门店",
    "包间",
    "状态",
    "手机尾号",
    "来源",
    "下单时间",
    "开始",
    "结束",
    "时长（分钟）",
    "进门",
    "离开",
    "用了（分钟）",
    "应付（元）",
    "实付（元）",
    "已退（元）",
    "退款中（元）",
    "取消费（元）",
    "超时（分钟）",
    "超时费（元）",
    "超时费状态",
    "支付方式",
    "取消原因",
    "备注",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | int | float | datetime | None


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before what begins like one.

    OWASP, CSV Injection: cells that begin with ``= + - @``, a tab or a line's end are carried out. Blanks
    before it do not help against programs that trim.
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def write(
    form: str,
    rows: Iterable[tuple[Cell, ...]],
    columns: Sequence[str] = COLUMNS,
    title: str = "订单",
    house: str = "",
) -> bytes:
    """The file: ``csv`` (UTF-8 with a mark, so that Excel reads it) or ``xlsx``. Texts are made safe.

    ``house`` is whose it is; an ``xlsx`` says so in its properties.
    """
    heads = [_(name) for name in columns]
    return _csv(rows, heads) if form == "csv" else _xlsx(rows, heads, _(title), house)


def _csv(rows: Iterable[tuple[Cell, ...]], columns: Sequence[str]) -> bytes:
    target = io.StringIO(newline="")
    out = csv.writer(target)
    out.writerow(columns)
    for row in rows:
        out.writerow([_as_text(cell) for cell in row])
    return b"\xef\xbb\xbf" + target.getvalue().encode()


def _xlsx(
    rows: Iterable[tuple[Cell, ...]], columns: Sequence[str], title: str, house: str
) -> bytes:
    from openpyxl import Workbook  # loaded by who makes a sheet: no start pays for it

    book = Workbook(write_only=True)
    book.properties.creator, book.properties.title = house or "Kaimen", title
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    sheet.append(list(columns))
    for row in rows:
        sheet.append([_as_cell(cell) for cell in row])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _as_text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M}"
    return f"{cell:.2f}" if isinstance(cell, float) else safe(str(cell))


def _as_cell(cell: Cell) -> Cell:
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)  # a sheet knows no zones: local to the store
    if isinstance(cell, str):
        # What a sheet cannot hold (control characters) would break the whole file.
        return safe("".join(c for c in cell if c >= " " or c in "\t\n"))
    return cell

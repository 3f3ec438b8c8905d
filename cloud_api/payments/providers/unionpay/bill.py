"""The daily bill of UnionPay's gateway: a ZIP, deflated, in Base64; in it a ZM file of fixed columns.

Each line is one movement, its columns separated by one blank, counted in bytes of GBK. Source:
全渠道平台接入接口规范 第3部分 文件接口, 6.1 ZM 文件 (42 columns).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import zipfile
import zlib
from datetime import date, datetime, timedelta
from itertools import accumulate
from typing import Final
from zoneinfo import ZoneInfo

from cloud_api.payments.providers.base import BillLine

WIDTHS: Final = (
    3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15,
    1, 15, 32, 13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98,
)  # fmt: skip
CODE: Final = 0
SENT_AT: Final = 4  # MMDDhhmmss, Beijing
AMOUNT: Final = 6  # fen
QUERY_ID: Final = 9
ORDER_ID: Final = 11
FEE: Final = 15  # C or D (the merchant gets or gives), then twelve digits of fen
MERCHANT: Final = 27
ORIGINAL_ORDER: Final = 40
BEIJING: Final = ZoneInfo("Asia/Shanghai")
PAID: Final = "S22"
GIVEN_BACK: Final = "S30"
_KINDS: Final = {PAID: "payment", GIVEN_BACK: "refund"}
_MOST: Final = 64 * 1024 * 1024
_STARTS: Final = tuple(accumulate((width + 1 for width in WIDTHS[:-1]), initial=0))


class Unreadable(ValueError):
    """The file is not what the specification says."""


def unpack(content: str) -> dict[str, bytes]:
    """The files of ``fileContent`` by name. Raises Unreadable."""
    try:
        packed = zlib.decompressobj()
        raw = packed.decompress(base64.b64decode(content, validate=True), _MOST)
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(one.file_size for one in archive.infolist()) > _MOST:
                raise Unreadable("too large")
            return {one.filename: archive.read(one) for one in archive.infolist()}
    except (binascii.Error, ValueError, zlib.error, zipfile.BadZipFile) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error


def lines_of(files: dict[str, bytes], day: date, merchant: str) -> list[BillLine]:
    """Payments and refunds of the ZM file, in the file's order. Raises Unreadable."""
    mine = [raw for name, raw in files.items() if "ZM_" in name]
    if not mine:
        raise Unreadable("there is no ZM file in it")
    return [
        line
        for raw in mine
        for number, row in enumerate(raw.splitlines(), 1)
        if row.strip() and (line := _line(columns(row, number), day, merchant)) is not None
    ]


def columns(row: bytes, number: int = 1) -> list[str]:
    """A line's columns, without the blanks around them. Raises Unreadable."""
    if len(row) < _STARTS[-1]:
        raise Unreadable(f"line {number} is too short")
    cut = [row[start : start + width] for start, width in zip(_STARTS, WIDTHS, strict=True)]
    try:
        return [part.decode("gbk").strip() for part in cut]
    except UnicodeDecodeError as error:
        raise Unreadable(f"line {number} is not GBK") from error


def digest(files: dict[str, bytes]) -> str:
    """Names the content, so that the same file again is known."""
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(name.encode() + b"\0" + files[name])
    return whole.hexdigest()


def _line(parts: list[str], day: date, merchant: str) -> BillLine | None:
    kind = _KINDS.get(parts[CODE])
    if kind is None or parts[MERCHANT] not in {"", merchant}:
        return None
    try:
        fee = int(parts[FEE][1:] or 0) * (-1 if parts[FEE].startswith("C") else 1)
        return BillLine(
            kind=kind,
            number=number_of(parts[ORDER_ID]),
            payment_number=number_of(parts[ORDER_ID if kind == "payment" else ORIGINAL_ORDER]),
            amount_fen=int(parts[AMOUNT]),
            at=_moment(parts[SENT_AT], day),
            provider_no=parts[QUERY_ID],
            fee_fen=fee,
        )
    except ValueError as error:
        raise Unreadable(f"a column of {parts[ORDER_ID]!r} is no number: {error}") from error


def _moment(stamp: str, day: date) -> datetime:
    """The year is not in the file: the one that brings it near the bill's day."""
    middle = datetime(day.year, day.month, day.day, 12, tzinfo=BEIJING)
    for year in (day.year, day.year - 1, day.year + 1):
        try:
            told = datetime.strptime(f"{year}{stamp}", "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        except ValueError:  # the 29th of February of another year
            continue
        if abs(told - middle) < timedelta(days=180):
            return told
    raise ValueError(f"no such time: {stamp!r}")


def order_id(number: str) -> str:
    """Our number as UnionPay takes it: letters and digits, 8 to 40. Raises ValueError."""
    made = number.replace("-", "z")
    if not made.isascii() or not made.isalnum() or not 8 <= len(made) <= 40 or "z" in number:
        raise ValueError(f"no order number for UnionPay: {number!r}")
    return made


def number_of(order: str) -> str:
    """Our number again."""
    return order.replace("z", "-")

"""Meituan and Dianping: group-buy receipts through either of their gates (gates.py).

A receipt is prepared (looked at), consumed under a request number of ours, and may be taken back for ten
minutes by whoever consumed it. Whether a consumption is ours is told by the account that we name with
it: the number of the use. Codes have had ten, twelve and thirteen digits over the years.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, Final

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.platform_vouchers.platforms.base import (
    Answer,
    Around,
    Ask,
    Back,
    BackView,
    Coupon,
    Kind,
    Prepared,
    Record,
    Silent,
    View,
    bad_code,
    fen_of_yuan,
    local_instant,
    locked_out,
    no_voucher,
    silent,
)
from cloud_api.platform_vouchers.platforms.gates import (
    Gate,
    PolarisAccess,
    PolarisGate,
    TechnicalAccess,
    TechnicalGate,
    Told,
)

LABEL: Final = "美团"
LENGTHS: Final = (10, 16)
_DIGITS: Final = re.compile(r"[0-9]{10,16}")
_SKEW: Final = timedelta(minutes=5)
_PAGE: Final = 50
_PAGES: Final = 200


class Meituan:
    """See ``Platform``."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def prepare(self, text: str, place: str) -> Prepared:
        """By code; a QR is read by the gate where it can, else the code is looked for in it."""
        given = re.sub(r"[\s\-]", "", text)
        method, params = "prepare", {"receipt_code": given}
        if not _DIGITS.fullmatch(given):
            inside = _DIGITS.search(given)
            if self._gate.scans and len(given) > LENGTHS[1]:
                method, params = "scanprepare", {"qr_code": text.strip()}
            elif inside is not None and len(given) > LENGTHS[1]:
                params = {"receipt_code": inside[0]}
            else:
                raise bad_code(LABEL, LENGTHS)
        try:
            told = await self._gate.call(method, params, place)
        except Silent as error:
            raise silent(LABEL) from error
        if told.locked:
            raise locked_out(LABEL)
        found = tuple(_coupon(row) for row in told.rows if row.get("receipt_code"))
        if not told.good or not found:
            raise no_voucher(LABEL, told.detail)
        return Prepared(found)

    async def verify(self, ask: Ask) -> View:
        """The same request number again is the same consumption."""
        params = {
            "request_id": ask.number,
            "receipt_code": ask.code,
            "count": "1",
            "app_shop_account": ask.number,
            "app_shop_account_name": "Kaimen",
        }
        try:
            told = await self._gate.call("consume", params, ask.place)
        except Silent as error:
            return View(Answer.UNKNOWN, detail=str(error))
        if told.good and any(str(row.get("receipt_code")) == ask.code for row in told.rows):
            return _verified(told.rows[0])
        if told.good:
            return View(Answer.UNKNOWN, detail="not told of this receipt")
        return View(Answer.REFUSED, detail=told.detail or told.code)

    async def query(self, ask: Ask) -> View:
        """What was consumed is asked first; what was not must be there to prepare, or nobody knows."""
        try:
            told = await self._consumed(ask)
            if told.good and told.rows:
                row = told.rows[0]
                at = local_instant(row.get("verify_time"))
                by = str(row.get("verify_account") or row.get("verify_acct") or "")
                old = at is not None and ask.sent_at is not None and at < ask.sent_at - _SKEW
                if (by and by != ask.number) or old:
                    return View(Answer.REFUSED, detail=later("券在别处用过了"))
                return _verified(row)
            if told.locked:
                return View(Answer.UNKNOWN, detail=told.detail)
            whole = await self._gate.call("prepare", {"receipt_code": ask.code}, ask.place)
        except Silent as error:
            return View(Answer.UNKNOWN, detail=str(error))
        if whole.good and whole.rows:
            return View(Answer.UNUSED)
        return View(Answer.UNKNOWN, detail=whole.detail or told.detail)

    async def cancel(self, ask: Ask) -> BackView:
        """Within ten minutes. A receipt that can be prepared again counts as taken back."""
        params = {
            "receipt_code": ask.code,
            "deal_id": ask.deal,
            "app_shop_account": ask.number,
            "app_shop_account_name": "Kaimen",
        }
        try:
            told = await self._gate.call("reverseconsume", params, ask.place)
            if told.good:
                return BackView(Back.DONE)
            whole = await self._gate.call("prepare", {"receipt_code": ask.code}, ask.place)
        except Silent as error:
            return BackView(Back.UNKNOWN, str(error))
        if whole.good and whole.rows:
            return BackView(Back.DONE)
        return BackView(Back.REFUSED, told.detail or told.code)

    async def records(self, day: date, place: str) -> tuple[Record, ...] | None:
        """A day's consumed receipts. Raises Silent."""
        found: list[Record] = []
        for page in range(_PAGES):
            params = {
                "date": day.isoformat(),
                "offset": str(page * _PAGE),
                "limit": str(_PAGE),
            }
            told = await self._gate.call("querylistbydate", params, place)
            if not told.good:
                raise Silent(told.detail or told.code)
            found += [_record(row, place) for row in told.rows if row.get("receipt_code")]
            if len(told.rows) < _PAGE:
                return tuple(found)
        raise Silent("too many pages")

    async def check(self) -> str:
        """A receipt that nobody has: whoever is let in hears that, and not a refusal of the signature."""
        try:
            told = await self._gate.call("getconsumed", {"receipt_code": "0000000000"}, "")
        except Silent as error:
            return _("美团没有回话（{why}）").format(why=error)
        if not told.locked:
            return ""
        return _("美团不认这个授权（{why}）").format(why=told.detail or told.code)

    async def _consumed(self, ask: Ask) -> Told:
        return await self._gate.call("getconsumed", {"receipt_code": ask.code}, ask.place)


def _coupon(row: dict[str, Any]) -> Coupon:
    code = str(row.get("receipt_code") or "")
    return Coupon(
        key=code,
        deal=str(row.get("deal_id") or row.get("product_item_id") or ""),
        title=str(row.get("deal_title") or ""),
        paid_fen=fen_of_yuan(row.get("deal_price")),
        face_fen=fen_of_yuan(row.get("deal_market_price") or row.get("deal_marketprice")),
        until=local_instant(row.get("receipt_end_date")),
        code=code,
    )


def _verified(row: dict[str, Any]) -> View:
    return View(
        Answer.VERIFIED,
        receipt=str(row.get("receipt_code") or ""),
        certificate=str(row.get("order_id") or ""),
        paid_fen=fen_of_yuan(row.get("deal_price")),
    )


def _record(row: dict[str, Any], place: str) -> Record:
    return Record(
        receipt=str(row.get("receipt_code") or ""),
        deal=str(row.get("deal_id") or ""),
        title=str(row.get("deal_title") or ""),
        paid_fen=fen_of_yuan(row.get("deal_price")),
        at=local_instant(row.get("verify_time")),
        place=place,
    )


def _technical(access: TechnicalAccess, around: Around) -> Meituan:
    return Meituan(TechnicalGate(access, around))


def _polaris(access: PolarisAccess, around: Around) -> Meituan:
    return Meituan(PolarisGate(access, around))


TECHNICAL: Final = Kind(
    name="美团 / 点评（直连）",
    family="meituan",
    label=LABEL,
    credentials=TechnicalAccess,
    make=_technical,
    guide="美团技术服务合作中心的「到店综合」授权，一家门店一个 appAuthToken。美团要求接入方过等保二级，没有的话用下面的转接或手工确认。",
    secret=frozenset({"sign_key", "app_auth_token"}),
    hosts=frozenset({"api-open-cater.meituan.com"}),
    lengths=LENGTHS,
    window_s=600,
)
POLARIS: Final = Kind(
    name="点评北极星（老接口）",
    family="meituan",
    label=LABEL,
    credentials=PolarisAccess,
    make=_polaris,
    guide="还有北极星授权的老商户填这里。门店编号是 open_shop_uuid。",
    secret=frozenset({"app_secret", "session"}),
    hosts=frozenset({"openapi.dianping.com"}),
    place="open_shop_uuid",
    lengths=LENGTHS,
    window_s=600,
)

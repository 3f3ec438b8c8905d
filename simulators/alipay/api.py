"""The gateway: one address for servers (POST) and payers' browsers (GET), each request's signature checked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from simulators.alipay import bills, oauth, shown
from simulators.alipay.house import APP_ID, AlipayDesk
from simulators.counter import pages
from simulators.counter.book import Asked, Refused, Row
from simulators.counter.faults import Endpoint

router = APIRouter()
_CODES: Final = {"paid": "ACQ.TRADE_HAS_SUCCESS", "closed": "ACQ.TRADE_HAS_CLOSE"}


class Fault(Exception):
    """40004 with a code of the business."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@router.get("/gateway.do")
@router.post("/gateway.do")
async def gateway(request: Request) -> Response:
    """A merchant's server calls a method (form, or address as some SDKs do), or a payer's browser comes
    with a signed address.
    """
    desk: AlipayDesk = request.app.state.desk
    raw = await request.body()
    params = dict(parse_qsl(raw.decode(), keep_blank_values=True))
    params |= dict(parse_qsl(request.scope["query_string"].decode(), keep_blank_values=True))
    if params.get("method") in {"alipay.trade.wap.pay", "alipay.trade.page.pay"}:
        return _visit(desk, params)
    return await _call(desk, params)


def _visit(desk: AlipayDesk, params: Mapping[str, str]) -> Response:
    """Wap and page payments begin when the payer comes."""
    if params.get("app_id") != APP_ID or not desk.is_merchants(params):
        return pages.gone(desk)
    content = json.loads(params["biz_content"])
    known = desk.book.payment(content["out_trade_no"])
    if known is None or known["state"] == "waiting":
        try:
            known = desk.book.open_payment(_asked(params, content, params["method"].split(".")[2]))
        except Refused:
            return pages.gone(desk)
    return pages.page(desk, known)


async def _call(desk: AlipayDesk, params: Mapping[str, str]) -> Response:
    method = params.get("method", "")
    if params.get("app_id") != APP_ID or not desk.is_merchants(params):
        wrong = {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-signature"}
        return _answer(desk, method, wrong)
    if method == oauth.METHOD:
        name, node = oauth.token(desk, params)
        return _answer(desk, name, node)
    if method not in METHODS:
        wrong = {"code": "40002", "msg": "Invalid Arguments", "sub_code": "isv.invalid-method"}
        return _answer(desk, method, wrong)
    endpoint, act = METHODS[method]
    content = json.loads(params.get("biz_content", "{}"))
    number = str(content.get("out_request_no") or content.get("out_trade_no") or "")
    if desk.knobs.take_call(number, "fail", endpoint):
        return Response("simulated failure", status_code=502)
    try:
        told = {"code": "10000", "msg": "Success", **act(desk, params, content)}
    except Fault as fault:
        told = {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": fault.code,
            "sub_msg": fault.code,
        }
    except Refused as refused:
        code = _CODES.get(refused.code, "ACQ.CONTEXT_INCONSISTENT")
        told = {
            "code": "40004",
            "msg": "Business Failed",
            "sub_code": code,
            "sub_msg": refused.code,
        }
    if desk.knobs.take_call(number, "lose", endpoint):
        return Response("simulated loss", status_code=502)
    if desk.knobs.take_call(number, "hang", endpoint):
        await asyncio.sleep(desk.knobs.of(number).hang_s)
    return _answer(
        desk, method, told, wrong=desk.knobs.take_call(number, "answer_bad_signature", endpoint)
    )


@router.get("/bill/{day}")
async def bill_file(request: Request, day: date) -> Response:
    """The bill of a day, at an address that a signed answer gave."""
    return Response(bills.make(request.app.state.desk, day), media_type="application/zip")


def _answer(desk: AlipayDesk, method: str, told: Row, *, wrong: bool = False) -> Response:
    node = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    text = (
        f'{{"{method.replace(".", "_")}_response":{node},"sign":"{desk.sign(node, wrong=wrong)}"}}'
    )
    return Response(text.encode(), media_type="text/html;charset=utf-8")


# ----------------------------------------------------------------------------------------- methods


def _asked(params: Mapping[str, str], content: Mapping[str, Any], channel: str) -> Asked:
    expires = 4e9
    if "time_expire" in content:
        expires = datetime.fromisoformat(content["time_expire"] + "+08:00").timestamp()
    name, _, subject = str(content["subject"]).partition(" ")
    return Asked(
        number=content["out_trade_no"], amount_fen=_fen(content["total_amount"]),
        subject=subject or name, merchant_name=name, app=APP_ID, channel=channel, payer="",
        expires_at=expires,
        notify_url=params.get("notify_url", ""), return_url=params.get("return_url", ""),
        seen=channel != "precreate",
    )  # fmt: skip


def _precreate(desk: AlipayDesk, params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    if any(not (c.isalnum() or c == "_") for c in content["out_trade_no"]):
        raise Fault("ACQ.INVALID_PARAMETER")
    row = desk.book.open_payment(_asked(params, content, "precreate"))
    url = f"{desk.public_url}/pay/{row['token']}"
    return {"out_trade_no": row["number"], "qr_code": url}


def _seen(desk: AlipayDesk, content: Mapping[str, Any]) -> Row:
    row = desk.book.payment(content.get("out_trade_no", ""))
    if row is None or not row["seen"]:  # nobody has scanned the code yet
        raise Fault("ACQ.TRADE_NOT_EXIST")
    return row


def _query(desk: AlipayDesk, _params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    row = _seen(desk, content)
    off = desk.knobs.of(row["number"]).query_amount_off_fen
    told = {
        "out_trade_no": row["number"],
        "trade_no": shown.trade_no(row),
        "trade_status": shown.status(desk, row),
        "total_amount": shown.yuan(row["amount_fen"] + off),
        "buyer_logon_id": "138****0000",
    }
    if row["paid_at"]:
        told["send_pay_date"] = shown.local(row["paid_at"])
    return told


def _close(desk: AlipayDesk, _params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    row = _seen(desk, content)
    if desk.knobs.take(row["number"], "paid_during_close"):
        desk.book.pay(row["number"], late=True)
    desk.book.close_payment(row["number"])
    row = desk.book.payment(row["number"]) or row
    if row["state"] == "paid":
        raise Fault("ACQ.TRADE_STATUS_ERROR")
    return {"out_trade_no": row["number"], "trade_no": shown.trade_no(row)}


def _refund(desk: AlipayDesk, _params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    paid = _seen(desk, content)
    number = content.get("out_request_no", content["out_trade_no"])
    faults = desk.knobs.of(number)
    known = desk.book.refund(number, paid["number"]) is not None
    if not known and faults.refund_end == "closed":
        raise Fault("ACQ.TRADE_HAS_FINISHED")
    if not known and faults.refund_end == "abnormal":
        raise Fault("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    try:
        made = desk.book.open_refund(
            number, paid["number"], _fen(content["refund_amount"]),
            content.get("refund_reason", ""), paid["notify_url"], delay_s=faults.refund_delay_s,
        )  # fmt: skip
    except Refused as refused:
        code = {"not_paid": "ACQ.TRADE_STATUS_ERROR", "too_much": "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"}
        raise Fault(code.get(refused.code, "ACQ.DISCORDANT_REPEAT_REQUEST")) from refused
    changed = not known and desk.book.end_refund(number, "success")
    return {
        "out_trade_no": paid["number"],
        "trade_no": shown.trade_no(paid),
        "fund_change": "Y" if changed else "N",
        "refund_fee": shown.yuan(desk.book.given_back(paid["number"])),
        "gmt_refund_pay": shown.local(made["done_at"] or desk.book.now),
    }


def _query_refund(desk: AlipayDesk, _params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    paid = _seen(desk, content)
    row = desk.book.refund(content["out_request_no"], paid["number"])
    if row is None or row["state"] != "success":
        return {}  # a success without words: there is no such refund
    return {
        "out_trade_no": paid["number"],
        "out_request_no": row["number"],
        "trade_no": shown.trade_no(paid),
        "total_amount": shown.yuan(paid["amount_fen"]),
        "refund_amount": shown.yuan(row["amount_fen"]),
        "refund_status": "REFUND_SUCCESS",
        "gmt_refund_pay": shown.local(row["done_at"]),
    }


def _bill(desk: AlipayDesk, _params: Mapping[str, str], content: Mapping[str, Any]) -> Row:
    day = date.fromisoformat(content["bill_date"])
    if not bills.rows(desk, day):
        raise Fault("isp.bill_not_exist")
    return {"bill_download_url": f"{desk.public_url}/bill/{day}"}


def _fen(yuan: Any) -> int:
    return int(Decimal(str(yuan)) * 100)


Method = Callable[[AlipayDesk, Mapping[str, str], Mapping[str, Any]], Row]
METHODS: Final[dict[str, tuple[Endpoint, Method]]] = {
    "alipay.trade.precreate": ("create", _precreate),
    "alipay.trade.query": ("query", _query),
    "alipay.trade.close": ("close", _close),
    "alipay.trade.refund": ("refund", _refund),
    "alipay.trade.fastpay.refund.query": ("query_refund", _query_refund),
    "alipay.data.dataservice.bill.downloadurl.query": ("bill", _bill),
}

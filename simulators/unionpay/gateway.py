"""What merchants' servers and payers' browsers call: /gateway/api/*.do and the file server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from simulators.unionpay import bill, signing
from simulators.unionpay.book import BEIJING, Refused
from simulators.unionpay.desk import Desk
from simulators.unionpay.faults import Endpoint
from simulators.unionpay.pages import gone
from simulators.unionpay.signing import Fields

router = APIRouter()
_NEEDED: Final = ("version", "encoding", "certId", "signMethod", "txnType", "txnSubType", "bizType")
_NEEDED_MORE: Final = ("accessType", "merId", "signature")
_STAMP: Final = "%Y%m%d%H%M%S"


@router.post("/gateway/api/frontTransReq.do")
async def front(request: Request) -> Response:
    """A browser brings a signed form: the card page, or a page that says what is wrong with it."""
    desk: Desk = request.app.state.desk
    fields = await _form(request)
    try:
        _checked(
            desk, fields, ("orderId", "txnTime", "txnAmt", "frontUrl", "backUrl", "payTimeout")
        )
        if fields["txnType"] != "01":
            raise Refused("10", "报文格式错误")
        if desk.knobs.take_call(fields["orderId"], "fail", "front"):
            return Response("simulated failure", 500)
        row = desk.book.open_payment(fields)
    except Refused as refused:
        return gone(f"{refused.message} [{refused.code}]")
    return RedirectResponse(f"/card/{row['token']}", 303)


@router.post("/gateway/api/queryTrans.do")
async def query(request: Request) -> Response:
    """Where a trade stands."""

    def act(desk: Desk, f: Fields) -> Fields:
        order = f["orderId"]
        desk.book.finish_refunds()
        row = desk.book.trade(f["merId"], order, f["txnTime"])
        if row is None:
            raise Refused("34", "查无此交易[3100034]")
        if desk.knobs.take(order, "unclear"):
            return {"origRespCode": "05", "origRespMsg": "交易已受理，请稍后查询交易结果"}
        if row["kind"] == "01" and row["code"] in {"05", "64"}:
            # A card page that is only open is no trade yet: nobody has answered for it.
            shown = {"origRespCode": row["code"], "origRespMsg": "余额不足"}
            if row["code"] == "05":
                shown = {"origRespCode": "70", "origRespMsg": "交易已跳转，等待持卡人输入"}
            if desk.book.over(row) and row["code"] == "05":
                shown = {"origRespCode": "69", "origRespMsg": "输入超时，交易失败"}
            if desk.knobs.take(order, "paid_after_query"):
                desk.book.pay(row["token"], late=True)
            return shown
        off = desk.knobs.of(order).query_amount_off_fen
        return {
            "origRespCode": row["code"],
            "origRespMsg": "成功" if row["code"] == "00" else "交易处理中或失败",
            "queryId": row["query_id"] or "",
            "txnAmt": str(row["amount_fen"] + off),
            "currencyCode": "156",
        }

    return await _answer(request, "query", act, ("orderId", "txnTime"))


@router.post("/gateway/api/backTransReq.do")
async def back(request: Request) -> Response:
    """Refunds (txnType 04)."""

    def act(desk: Desk, f: Fields) -> Fields:
        if f["txnType"] != "04":
            raise Refused("10", "报文格式错误")
        faults = desk.knobs.of(f["orderId"])
        row = desk.book.open_refund(f, state=faults.refund_state, delay_s=faults.refund_delay_s)
        return {"queryId": row["query_id"], "origQryId": f["origQryId"], "txnAmt": f["txnAmt"]}

    needed = ("orderId", "txnTime", "txnAmt", "origQryId", "backUrl")
    return await _answer(request, "refund", act, needed)


@router.post("/")
async def file(request: Request) -> Response:
    """The bill of a settlement day (MMDD); 98 for one that is not over."""

    def act(desk: Desk, f: Fields) -> Fields:
        now = datetime.fromtimestamp(desk.book.now(), BEIJING)
        wanted = datetime.strptime(f"{now.year}{f['settleDate']}", "%Y%m%d").replace(tzinfo=BEIJING)
        if wanted.date() >= now.date():
            raise Refused("98", "文件不存在")
        rows = desk.book.settled(f["merId"], f["settleDate"])
        by_order = {row["order_id"]: row for row in desk.book.trades()}
        return {
            "settleDate": f["settleDate"],
            "fileName": f"{f['merId']}_{f['settleDate']}.zip",
            "fileContent": bill.content(f["merId"], f["settleDate"], rows, by_order, desk.knobs),
        }

    return await _answer(request, "file", act, ("settleDate", "fileType"))


async def _form(request: Request) -> Fields:
    raw = (await request.body()).decode("utf-8", errors="replace")
    return dict(parse_qsl(raw, keep_blank_values=True))


def _checked(desk: Desk, fields: Fields, needed: tuple[str, ...]) -> None:
    """Refused unless everything is there and the merchant signed it."""
    missing = [name for name in (*_NEEDED, *_NEEDED_MORE, *needed) if not fields.get(name)]
    if missing:
        raise Refused("13", f"报文交易要素缺失:{missing[0]}")
    if fields["version"] != "5.1.0" or fields["signMethod"] != "01":
        raise Refused("10", "报文格式错误")
    merchant = desk.book.merchant(fields["merId"])
    if merchant is None:
        raise Refused("31", "商户状态不正确")
    if not signing.good(fields, merchant["pem"]):
        raise Refused("11", "验证签名失败")
    order = fields.get("orderId")
    if order is not None and (not order.isalnum() or not 8 <= len(order) <= 40):
        raise Refused("10", "报文格式错误:orderId")
    for name in ("txnTime", "payTimeout"):
        if name in fields:
            try:
                datetime.strptime(fields[name], _STAMP).replace(tzinfo=BEIJING)
            except ValueError:
                raise Refused("10", f"报文格式错误:{name}") from None
    if "txnAmt" in fields and (not fields["txnAmt"].isdigit() or int(fields["txnAmt"]) <= 0):
        raise Refused("10", "报文格式错误:txnAmt")


async def _answer(
    request: Request,
    endpoint: Endpoint,
    act: Callable[[Desk, Fields], Fields],
    needed: tuple[str, ...],
) -> Response:
    """Verify, do, sign; and go wrong where a knob says so."""
    desk: Desk = request.app.state.desk
    fields = await _form(request)
    order = fields.get("orderId", "")
    if desk.knobs.take_call(order, "fail", endpoint):
        return Response("simulated failure", 500)
    kept = ("txnType", "txnSubType", "bizType", "accessType", "merId", "orderId", "txnTime")
    told = {"version": "5.1.0", "encoding": "UTF-8", "signMethod": "01"}
    told |= {name: fields[name] for name in kept if fields.get(name)}
    try:
        _checked(desk, fields, needed)
        told |= act(desk, fields) | {"respCode": "00", "respMsg": "成功[0000000]"}
    except Refused as refused:
        told |= {"respCode": refused.code, "respMsg": refused.message}
    if desk.knobs.take_call(order, "lose", endpoint):
        return Response("simulated loss", 500)
    if desk.knobs.take_call(order, "hang", endpoint):
        await asyncio.sleep(desk.knobs.of(order).hang_s)
    signed = signing.sign(told, desk.own)
    if desk.knobs.take_call(order, "answer_bad_signature", endpoint):
        signed["signature"] = signing.sign({**told, "respCode": "99"}, desk.own)["signature"]
    return PlainTextResponse(signing.body(signed))

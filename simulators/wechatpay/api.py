"""API v3 as merchants' servers call it: every request's signature checked, every answer signed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from fastapi import APIRouter, Request, Response

from simulators.counter.book import Asked, Refused, Row
from simulators.counter.faults import Endpoint
from simulators.wechatpay import bills, shown
from simulators.wechatpay.house import APPID, MCHID, MINI_APPID, WechatDesk

router = APIRouter()
Act = Callable[[WechatDesk, dict[str, Any]], Row | None]


class Fault(Exception):
    """An answer that is a refusal: HTTP status and code, as in the documents."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message or code


@router.post("/v3/pay/transactions/{kind}")
async def create(request: Request, kind: str) -> Response:
    """Native, H5 and JSAPI orders."""

    def act(desk: WechatDesk, body: dict[str, Any]) -> Row:
        if kind not in shown.TRADE_TYPES:
            raise Fault(404, "RESOURCE_NOT_EXISTS")
        _check(body, kind)
        payer = body.get("payer", {}).get("openid", "")
        if request.app.state.apps.known.get(payer, body["appid"]) != body["appid"]:
            raise Fault(400, "PARAM_ERROR", "appid和openid不匹配")
        expires = datetime.fromisoformat(body["time_expire"]).timestamp()
        if expires < desk.book.real + 30:
            raise Fault(400, "PARAM_ERROR", "time_expire 最短失效时间间隔需大于 1 分钟")
        name, _, subject = body["description"].partition(" ")
        asked = Asked(
            number=body["out_trade_no"], amount_fen=body["amount"]["total"], subject=subject or name,
            merchant_name=name, app=body["appid"], channel=kind,
            payer=payer, expires_at=expires,
            notify_url=body["notify_url"], return_url="",
        )  # fmt: skip
        try:
            row = desk.book.open_payment(asked)
        except Refused as refused:
            code = {"paid": "ORDERPAID", "closed": "ORDER_CLOSED"}.get(refused.code)
            raise Fault(400, code or "OUT_TRADE_NO_USED") from refused
        url = f"{desk.public_url}/pay/{row['token']}"
        return {
            "native": {"code_url": url},
            "h5": {"h5_url": f"{url}?package=h5"},
            "jsapi": {"prepay_id": row["token"]},
        }[kind]

    return await _call(request, "create", act)


@router.get("/v3/pay/transactions/out-trade-no/{number}")
async def query(request: Request, number: str) -> Response:
    """Where a payment stands."""

    def act(desk: WechatDesk, _body: dict[str, Any]) -> Row:
        if request.query_params.get("mchid") != MCHID:
            raise Fault(400, "PARAM_ERROR")
        row = desk.book.payment(number)
        if row is None:
            raise Fault(404, "ORDER_NOT_EXIST")
        return shown.payment(desk, row, off_fen=desk.knobs.of(number).query_amount_off_fen)

    return await _call(request, "query", act, number)


@router.post("/v3/pay/transactions/out-trade-no/{number}/close")
async def close(request: Request, number: str) -> Response:
    """204, or ORDERPAID."""

    def act(desk: WechatDesk, body: dict[str, Any]) -> None:
        if body.get("mchid") != MCHID:
            raise Fault(400, "PARAM_ERROR")
        if desk.book.payment(number) is None:
            raise Fault(404, "ORDER_NOT_EXIST")
        if desk.knobs.take(number, "paid_during_close"):
            desk.book.pay(number, late=True)
        desk.book.close_payment(number)
        row = desk.book.payment(number)
        if row is not None and row["state"] == "paid":
            raise Fault(400, "ORDERPAID")

    return await _call(request, "close", act, number)


@router.post("/v3/refund/domestic/refunds")
async def refund(request: Request) -> Response:
    """Give money back; asynchronous."""

    def act(desk: WechatDesk, body: dict[str, Any]) -> Row:
        number, paid = body["out_refund_no"], body["out_trade_no"]
        known = desk.book.payment(paid)
        if known is not None and body["amount"]["total"] != known["amount_fen"]:
            raise Fault(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致")
        try:
            made = desk.book.open_refund(
                number, paid, body["amount"]["refund"], body.get("reason", ""),
                body.get("notify_url", ""), delay_s=desk.knobs.of(number).refund_delay_s,
            )  # fmt: skip
        except Refused as refused:
            if refused.code == "absent":
                raise Fault(404, "RESOURCE_NOT_EXISTS", "订单不存在") from refused
            raise Fault(400, "INVALID_REQUEST", refused.code) from refused
        return shown.refund(desk, made)

    return await _call(request, "refund", act)


@router.get("/v3/refund/domestic/refunds/{number}")
async def query_refund(request: Request, number: str) -> Response:
    """Where a refund stands."""

    def act(desk: WechatDesk, _body: dict[str, Any]) -> Row:
        request.app.state.messenger.finish_refunds()
        row = desk.book.refund(number)
        if row is None:
            raise Fault(404, "RESOURCE_NOT_EXISTS")
        return shown.refund(desk, row)

    return await _call(request, "query_refund", act, number)


@router.get("/v3/certificates")
async def certificates(request: Request) -> Response:
    """The platform certificates, sealed."""

    def act(desk: WechatDesk, _body: dict[str, Any]) -> Row:
        if desk.mode == "public_key":
            raise Fault(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书")
        return {"data": [_certificate(desk, one) for _, one in desk.platform]}

    return await _call(request, "keys", act)


@router.get("/v3/bill/tradebill")
async def tradebill(request: Request) -> Response:
    """Where a day's bill is to be had."""

    def act(desk: WechatDesk, _body: dict[str, Any]) -> Row:
        day = date.fromisoformat(request.query_params["bill_date"])
        state = bills.state(desk, day)
        if state != "ready":
            raise Fault(400, "STATEMENT_CREATING" if state == "creating" else "NO_STATEMENT_EXIST")
        return {
            "hash_type": "SHA1",
            "hash_value": hashlib.sha1(bills.make(desk, day)).hexdigest(),  # noqa: S324  their choice
            "download_url": f"{desk.public_url}/v3/billdownload/file?token={day}",
        }

    return await _call(request, "bill", act)


@router.get("/v3/billdownload/file")
async def bill_file(request: Request, token: str) -> Response:
    """The bill; this answer is not signed."""
    desk: WechatDesk = request.app.state.desk
    if wrong := _unsigned(desk, request, b""):
        return _signed(desk, 401, {"code": "SIGN_ERROR", "message": wrong})
    return Response(bills.make(desk, date.fromisoformat(token)), media_type="text/plain")


def _certificate(desk: WechatDesk, one: Certificate) -> dict[str, Any]:
    pem = one.public_bytes(Encoding.PEM).decode()
    return {
        "serial_no": f"{one.serial_number:X}",
        "effective_time": one.not_valid_before_utc.isoformat(),
        "expire_time": one.not_valid_after_utc.isoformat(),
        "encrypt_certificate": desk.seal(pem, "certificate"),
    }


def _check(body: dict[str, Any], kind: str) -> None:
    if body.get("mchid") != MCHID or body.get("appid") not in {APPID, MINI_APPID}:
        raise Fault(400, "APPID_MCHID_NOT_MATCH")
    number = str(body.get("out_trade_no", ""))
    if not 6 <= len(number) <= 32 or not all(c.isalnum() or c in "_-|*" for c in number):
        raise Fault(400, "PARAM_ERROR", "out_trade_no")
    total = body.get("amount", {}).get("total")
    if not isinstance(total, int) or total <= 0 or len(body.get("description", "")) > 127:
        raise Fault(400, "PARAM_ERROR", "amount.total")
    if kind == "jsapi" and not body.get("payer", {}).get("openid"):
        raise Fault(400, "PARAM_ERROR", "payer.openid")
    if kind == "h5" and not body.get("scene_info", {}).get("payer_client_ip"):
        raise Fault(400, "PARAM_ERROR", "scene_info.payer_client_ip")


def _unsigned(desk: WechatDesk, request: Request, raw: bytes) -> str:
    path = request.scope["raw_path"].decode()
    if query := request.scope["query_string"].decode():
        path = f"{path}?{query}"
    return desk.verify(request.headers.get("Authorization", ""), request.method, path, raw)


async def _call(request: Request, endpoint: Endpoint, act: Act, number: str = "") -> Response:
    """Verify, do ``act``, sign; and go wrong where a knob says so."""
    desk: WechatDesk = request.app.state.desk
    raw = await request.body()
    if wrong := _unsigned(desk, request, raw):
        return _signed(desk, 401, {"code": "SIGN_ERROR", "message": wrong})
    body = json.loads(raw) if raw else {}
    number = number or str(body.get("out_refund_no") or body.get("out_trade_no") or "")
    if desk.knobs.take_call(number, "fail", endpoint):
        return Response('{"code":"SYSTEM_ERROR","message":"系统异常"}', status_code=500)
    status = 200
    try:
        answer = act(desk, body)
    except Fault as fault:
        status, answer = fault.status, {"code": fault.code, "message": fault.message}
    except (KeyError, ValueError, TypeError) as error:
        status, answer = 400, {"code": "PARAM_ERROR", "message": repr(error)}
    if desk.knobs.take_call(number, "lose", endpoint):
        return Response('{"code":"SYSTEM_ERROR","message":"系统异常"}', status_code=500)
    if desk.knobs.take_call(number, "hang", endpoint):
        await asyncio.sleep(desk.knobs.of(number).hang_s)
    wrong = "signature" if desk.knobs.take_call(number, "answer_bad_signature", endpoint) else ""
    return _signed(desk, status, answer, wrong=wrong)


def _signed(desk: WechatDesk, status: int, body: Row | None, *, wrong: str = "") -> Response:
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    headers = desk.headers(raw, wrong=wrong)
    return Response(
        raw, 204 if body is None else status, headers, "application/json" if raw else None
    )

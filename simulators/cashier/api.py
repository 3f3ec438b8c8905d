"""The signed API that merchants' servers call."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, ValidationError

from simulators.cashier import signing
from simulators.cashier.book import Refused, Row, shown_payment, shown_refund
from simulators.cashier.desk import Desk
from simulators.cashier.faults import Endpoint

router = APIRouter()
Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{6,64}$")]
Fen = Annotated[int, Field(gt=0, le=10_000_000)]
Url = Annotated[str, Field(pattern=r"^https?://", max_length=500)]


class PaymentIn(BaseModel):
    """A payment to be made. ``expires_at``: seconds since the epoch, the last moment to pay."""

    number: Number
    amount_fen: Fen
    subject: Annotated[str, Field(max_length=120)]
    merchant_name: Annotated[str, Field(max_length=80)]
    expires_at: int
    notify_url: Url
    return_url: Url


class RefundIn(BaseModel):
    """Money to be given back."""

    number: Number
    payment_number: Number
    amount_fen: Fen
    reason: Annotated[str, Field(max_length=120)] = ""
    notify_url: Url


@router.post("/v1/payments")
async def create(request: Request) -> Response:
    """Open a payment; the same number again gives the same payment."""

    def act(desk: Desk, merchant: str, raw: bytes) -> Row:
        ask = PaymentIn.model_validate_json(raw).model_dump()
        return _payment(desk, desk.book.open_payment(merchant, ask))

    return await _call(request, "create", act)


@router.get("/v1/payments/{number}")
async def query(request: Request, number: str) -> Response:
    """Where a payment stands."""

    def act(desk: Desk, merchant: str, _raw: bytes) -> Row:
        row = desk.book.payment(merchant, number)
        if row is None:
            raise Refused(404, "no_such_payment")
        shown = _payment(desk, row)
        shown["amount_fen"] += desk.knobs.of(number).query_amount_off_fen
        return shown

    return await _call(request, "query", act, number)


@router.post("/v1/payments/{number}/close")
async def close(request: Request, number: str) -> Response:
    """waiting → closed. A paid payment stays paid, and the answer says so."""

    def act(desk: Desk, merchant: str, _raw: bytes) -> Row:
        if desk.book.payment(merchant, number) is None:
            raise Refused(404, "no_such_payment")
        if desk.knobs.take(number, "paid_during_close"):
            desk.book.pay(merchant, number, late=True)
        desk.book.close_payment(merchant, number)
        row = desk.book.payment(merchant, number)
        assert row is not None
        return _payment(desk, row)

    return await _call(request, "close", act, number)


@router.post("/v1/refunds")
async def refund(request: Request) -> Response:
    """Give money back; the same number again gives the same refund."""

    def act(desk: Desk, merchant: str, raw: bytes) -> Row:
        ask = RefundIn.model_validate_json(raw).model_dump()
        faults = desk.knobs.of(ask["number"])
        made = desk.book.open_refund(
            merchant, ask, state=faults.refund_state, delay_s=faults.refund_delay_s
        )
        return shown_refund(made)

    return await _call(request, "refund", act)


@router.get("/v1/refunds/{number}")
async def query_refund(request: Request, number: str) -> Response:
    """Where a refund stands."""

    def act(desk: Desk, merchant: str, _raw: bytes) -> Row:
        desk.book.finish_refunds()
        row = desk.book.refund(merchant, number)
        if row is None:
            raise Refused(404, "no_such_refund")
        return shown_refund(row)

    return await _call(request, "query_refund", act, number)


def _payment(desk: Desk, row: Row) -> Row:
    return {**shown_payment(row), "pay_url": f"{desk.public_url}/pay/{row['token']}"}


async def _call(request: Request, endpoint: Endpoint, act: Any, number: str = "") -> Response:
    """Verify the request, do ``act``, sign the answer; and go wrong where a knob says so."""
    desk: Desk = request.app.state.desk
    raw = await request.body()
    merchant = desk.book.merchant(request.headers.get("Cashier-Merchant", ""))
    if merchant is None:
        return _signed(desk, request, 401, {"code": "unknown_merchant"}, number, endpoint)
    try:
        what = f"{request.method} {request.url.path}"
        nonce = signing.verify(desk.key_of(merchant), what, request.headers, raw, desk.book.now())
    except signing.Unsigned as error:
        body = {"code": "bad_signature", "why": str(error)}
        return _signed(desk, request, 401, body, number, endpoint)
    if not desk.book.use_nonce(merchant["no"], nonce):
        return _signed(desk, request, 401, {"code": "nonce_used"}, number, endpoint)
    number = number or _number_in(raw)
    if desk.knobs.take_call(number, "fail", endpoint):
        return Response("simulated failure", status_code=500)
    try:
        status, body = 200, act(desk, merchant["no"], raw)
    except Refused as refused:
        status, body = refused.status, {"code": refused.code}
    except ValidationError as error:
        status, body = 422, {"code": "bad_request", "why": error.errors()[0]["msg"]}
    if desk.knobs.take_call(number, "lose", endpoint):
        return Response("simulated loss", status_code=500)
    if desk.knobs.take_call(number, "hang", endpoint):
        await asyncio.sleep(desk.knobs.of(number).hang_s)
    return _signed(desk, request, status, body, number, endpoint)


def _signed(
    desk: Desk, request: Request, status: int, body: Row, number: str, endpoint: Endpoint
) -> Response:
    raw = json.dumps(body, ensure_ascii=False).encode()
    what = f"{status} {request.headers.get('Cashier-Nonce', '')}"
    key = desk.key
    if number and desk.knobs.take_call(number, "answer_bad_signature", endpoint):
        key = desk.other_key
    headers = signing.headers(key, what, raw, desk.book.now())
    return Response(raw, status_code=status, headers=headers, media_type="application/json")


def _number_in(raw: bytes) -> str:
    try:
        return str(json.loads(raw).get("number", ""))
    except (ValueError, AttributeError):
        return ""

"""A reseller before Meituan, shaped after a public one: login by e-mail, detail and verify by code."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from simulators.mall.book import Refused
from simulators.meituan.receipts import WORDS, MeituanDesk

router = APIRouter(prefix="/open")
_GOOD: Final = 10000
_STATES: Final = {"whole": "未使用", "used": "已使用", "refunded": "已退款"}
STORE: Final = 7


def _desk(request: Request) -> MeituanDesk:
    found = request.app.state.desk
    assert isinstance(found, MeituanDesk)
    return found


def _answer(code: int, words: str, data: Any = None) -> Response:
    return JSONResponse({"code": code, "msg": words, "data": data, "count": 1})


def _busy() -> Response:
    return Response("simulated", status_code=503)


def _stranger(desk: MeituanDesk, request: Request) -> bool:
    token = request.headers.get("Authorization", "")
    if desk.knobs.once("token_ends"):
        desk.relay_tokens.discard(token)
    return token not in desk.relay_tokens


@router.post("/login")
async def login(request: Request) -> Response:
    """A token for an account."""
    desk = _desk(request)
    known = desk.others["relay"]
    asked = json.loads(await request.body())
    if any(asked.get(name) != known[name] for name in ("email", "password")):
        return _answer(10001, "账号或密码错误")
    made = secrets.token_urlsafe(20)
    desk.relay_tokens.add(made)
    return _answer(_GOOD, "success", {"id": 9, "token": made})


@router.get("/user/meituan/coupon/detail")
async def detail(request: Request, store_id: str, coupon_code: str) -> Response:
    """How a code stands."""
    desk = _desk(request)
    if _stranger(desk, request):
        return _answer(401, "请登录")

    def act() -> Response:
        found = desk.shelf.vouchers.get(coupon_code)
        if found is None or store_id != str(STORE):
            return _answer(10004, "券码不存在")
        price = f"{found.deal.price_fen / 100:.2f}"
        return _answer(
            _GOOD,
            "success",
            {
                "order_id": found.order,
                "sku_id": int(found.deal.id),
                "sku_name": f"{found.deal.title}[{price}元][{found.deal.id}]",
                "status": _STATES[found.state],
            },
        )

    return await desk.knobs.around("detail", act, _busy)


@router.post("/user/meituan/coupon/verify")
async def verify(request: Request) -> Response:
    """Use a code. It knows no request numbers: the second time it says that it was used."""
    desk = _desk(request)
    if _stranger(desk, request):
        return _answer(401, "请登录")
    asked = json.loads(await request.body())

    def act() -> Response:
        try:
            desk.shelf.verify(
                desk.shelf.vouchers.get(str(asked.get("coupon_code"))), desk.shop, "relay"
            )
        except Refused as refused:
            told = {"verify_message": WORDS[refused.why], "verify_success": False}
            return _answer(_GOOD, "success", told)
        return _answer(_GOOD, "success", {"verify_message": "验证成功", "verify_success": True})

    return await desk.knobs.around("consume", act, _busy)

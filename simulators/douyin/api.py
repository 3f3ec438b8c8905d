"""The goodlife API as its documents tell it (developer.open-douyin.com, local-life): tokens, prepare, verify,
cancel, get, verify_record. Error codes that the documents do not name are ours, above 5000000.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from simulators.mall.book import Refused, Verification, Voucher
from simulators.mall.desk import Desk

router = APIRouter()
_API: Final = "/goodlife/v1/fulfilment/certificate"
_TOKEN_S: Final = 7200.0
_BUFFER_S: Final = 300.0  # an old token lives on so long beside a new one
_BUSY: Final = 2100004
_ENDED: Final = 2190008
_WORDS: Final = {
    "unknown": (5000001, "券码不存在"),
    "used": (5000002, "券已被核销"),
    "refunded": (5000003, "券已退款"),
    "expired": (5000004, "券已过期"),
    "other_shop": (5000005, "券不能在该门店使用"),
    "too_late": (5000006, "核销超过1小时，不能撤销"),
    "not_used": (5000007, "没有可撤销的核销"),
    "token": (5000008, "verify_token 无效"),
}


@dataclass
class DouyinDesk(Desk):
    """With its tokens, and what each prepare was for."""

    tokens: dict[str, float] = field(default_factory=dict)  # token → its end
    prepared: dict[str, str] = field(default_factory=dict)  # verify_token → order
    counted: dict[str, Verification] = field(
        default_factory=dict
    )  # "token:secret" → its verification
    fetched: int = 0


def _desk(request: Request) -> DouyinDesk:
    found = request.app.state.desk
    assert isinstance(found, DouyinDesk)
    return found


def _answer(data: dict[str, Any], code: int = 0, words: str = "") -> Response:
    told = {"error_code": code, "description": words}
    return JSONResponse({"data": {**data, **told}, "extra": {**told, "sub_error_code": 0}})


def _refuse(why: str) -> Response:
    code, words = _WORDS[why]
    return _answer({}, code, words)


def _busy() -> Response:
    return _answer({}, _BUSY, "系统繁忙，此时请开发者稍候再试")


def _locked_out(desk: DouyinDesk, request: Request) -> Response | None:
    token = request.headers.get("access-token", "")
    if desk.knobs.once("token_ends"):
        desk.tokens.pop(token, None)
    if desk.tokens.get(token, 0) < desk.shelf.now():
        return _answer({}, _ENDED, "access_token 过期,请刷新或重新授权")
    return None


@router.post("/oauth/client_token/")
async def client_token(request: Request) -> Response:
    """A token for the application; the one before lives on for five minutes."""
    desk = _desk(request)
    asked = json.loads(await request.body())

    def act() -> Response:
        known = desk.account()
        good = asked.get("grant_type") == "client_credential" and all(
            asked.get(name) == known[name] for name in ("client_key", "client_secret")
        )
        if not good:
            return _answer({}, 2190001, "client_key或client_secret错误")
        now = desk.shelf.now()
        desk.tokens = {t: min(end, now + _BUFFER_S) for t, end in desk.tokens.items()}
        made = f"clt.{secrets.token_hex(20)}"
        desk.tokens[made] = now + _TOKEN_S
        desk.fetched += 1
        return _answer({"access_token": made, "expires_in": int(_TOKEN_S)})

    return await desk.knobs.around("token", act, _busy)


@router.get("/s/{link}/")
async def short_link(link: str, request: Request) -> Response:
    """What a voucher's QR says: it leads to a long address of which only object_id means anything."""
    url = f"https://www.iesdouyin.com/share/commerce/coupon/x/?schema_type=13&object_id={link}&app=aweme"
    return RedirectResponse(url, status_code=302)


@router.get(f"{_API}/prepare/")
async def prepare(
    request: Request, code: str = "", encrypted_data: str = "", poi_id: str = ""
) -> Response:
    """The whole vouchers of an order, encrypted; one prepare for one verify."""
    desk = _desk(request)
    if (refused := _locked_out(desk, request)) is not None:
        return refused

    def act() -> Response:
        shelf = desk.shelf
        found = shelf.by("code", code) if code else shelf.by("link", encrypted_data)
        if found is None:
            return _refuse("unknown")
        try:
            if code:
                shelf.look(found, poi_id)
        except Refused as refused:
            return _refuse(refused.why)
        whole = [
            v for v in shelf.vouchers.values() if v.order == found.order and v.state == "whole"
        ]
        token = secrets.token_urlsafe(16)
        desk.prepared[token] = found.order
        return _answer(
            {
                "verify_token": token,
                "order_id": found.order,
                "certificates": [_certificate(one) for one in whole],
            }
        )

    return await desk.knobs.around("prepare", act, _busy)


@router.post(f"{_API}/verify/")
async def verify(request: Request) -> Response:
    """Verify encrypted codes; the same token and code again say 1208: it counted before."""
    desk = _desk(request)
    if (refused := _locked_out(desk, request)) is not None:
        return refused
    asked = json.loads(await request.body())

    def act() -> Response:
        token = str(asked.get("verify_token") or "")
        if token not in desk.prepared:
            return _refuse("token")
        results = []
        for secret in asked.get("encrypted_codes") or []:
            found = desk.shelf.by("secret", str(secret))
            key = f"{token}:{secret}"
            if key in desk.counted:
                results.append({"result": 1208, "msg": "重复核销", "code": secret})
                continue
            if desk.knobs.once("used_meanwhile") and found is not None:
                desk.shelf.verify(found, "elsewhere", "app")
            try:
                made = desk.shelf.verify(found, str(asked.get("poi_id") or ""), token)
            except Refused as refused:
                told = {"result": 2 if refused.why == "used" else 1, "msg": _WORDS[refused.why][1]}
                results.append({**told, "code": secret})
                continue
            desk.counted[key] = made
            assert found is not None
            results.append(
                {
                    "result": 0,
                    "msg": "success",
                    "code": secret,
                    "verify_id": made.id,
                    "certificate_id": found.certificate,
                    "order_id": found.order,
                    "account_id": desk.account()["account_id"],
                }
            )
        return _answer({"verify_results": results})

    return await desk.knobs.around("verify", act, _busy)


@router.post(f"{_API}/cancel/")
async def cancel(request: Request) -> Response:
    """Take a verification back, within an hour."""
    desk = _desk(request)
    if (refused := _locked_out(desk, request)) is not None:
        return refused
    asked = json.loads(await request.body())

    def act() -> Response:
        found = desk.shelf.by("certificate", str(asked.get("certificate_id") or ""))
        mine = found is not None and found.verification is not None
        if not mine or found.verification.id != str(asked.get("verify_id")):  # type: ignore[union-attr]
            return _refuse("not_used")
        try:
            desk.shelf.cancel(found)
        except Refused as refused:
            return _refuse(refused.why)
        return _answer({})

    return await desk.knobs.around("cancel", act, _busy)


@router.get(f"{_API}/get/")
async def get(request: Request, encrypted_code: str = "") -> Response:
    """How a voucher stands, and its verification."""
    desk = _desk(request)
    if (refused := _locked_out(desk, request)) is not None:
        return refused

    def act() -> Response:
        found = desk.shelf.by("secret", encrypted_code)
        if found is None:
            return _refuse("unknown")
        told = _certificate(found) | {"status": {"whole": 1, "used": 2, "refunded": 4}[found.state]}
        if found.verification is not None:
            told["verify"] = {
                "verify_id": found.verification.id,
                "certificate_id": found.certificate,
                "verify_time": int(found.verification.at),
                "can_cancel": desk.shelf.now() - found.verification.at <= desk.shelf.window_s,
                "poi_id": found.verification.shop,
            }
        return _answer({"certificate": told})

    return await desk.knobs.around("get", act, _busy)


@router.get(f"{_API}/verify_record/query/")
async def records(
    request: Request,
    account_id: str,
    cursor: str,
    size: int,
    start_time: int = 0,
    end_time: int = 0,
    poi_ids: str = "",
) -> Response:
    """Verifications by page; each row is the cursor of those behind it."""
    desk = _desk(request)
    if (refused := _locked_out(desk, request)) is not None:
        return refused

    def act() -> Response:
        if account_id != desk.account()["account_id"] or not 1 <= size <= 20:
            return _refuse("unknown")
        shops = [one for one in poi_ids.split(",") if one]
        all_ = desk.shelf.between(start_time, end_time + 1, shops)
        if desk.knobs.now.record_missing:
            all_ = []
        begin = 0 if cursor == "0" else int(cursor) + 1
        rows = [_record(desk, one, begin + n) for n, one in enumerate(all_[begin : begin + size])]
        return _answer({"records": rows, "total": len(all_)})

    return await desk.knobs.around("records", act, _busy)


def _amount(desk_off: int, voucher: Voucher) -> dict[str, int]:
    return {
        "original_amount": voucher.deal.face_fen,
        "list_market_amount": voucher.deal.face_fen,
        "pay_amount": voucher.deal.price_fen + desk_off,
        "coupon_pay_amount": voucher.deal.price_fen + desk_off,
    }


def _sku(voucher: Voucher) -> dict[str, Any]:
    deal = voucher.deal
    return {
        "sku_id": deal.id,
        "title": deal.title,
        "market_price": deal.face_fen,
        "groupon_type": 1,
    }


def _certificate(voucher: Voucher) -> dict[str, Any]:
    return {
        "certificate_id": voucher.certificate,
        "encrypted_code": voucher.secret,
        "start_time": 0,
        "expire_time": int(voucher.until),
        "sku": _sku(voucher),
        "amount": _amount(0, voucher),
    }


def _record(desk: DouyinDesk, one: Verification, cursor: int) -> dict[str, Any]:
    voucher = desk.shelf.vouchers[one.code]
    return {
        "cursor": str(cursor),
        "verify_id": one.id,
        "certificate_id": voucher.certificate,
        "verify_time": int(one.at),
        "cancel_time": int(one.cancelled_at),
        "status": 2 if one.cancelled_at else 1,
        "can_cancel": not one.cancelled_at,
        "sku": _sku(voucher),
        "amount": _amount(desk.knobs.now.record_off_fen, voucher),
    }

"""The endpoints of Stripe's API that taking cards on a page needs, form-encoded as its library sends."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from simulators.stripe.book import Refused, Thing
from simulators.stripe.desk import Desk
from simulators.stripe.faults import Endpoint

router = APIRouter(prefix="/v1")
ZERO_DECIMAL: Final = frozenset({"jpy", "krw", "vnd", "clp"})
LEAST_LIFE_S: Final = 1800
MOST_LIFE_S: Final = 86400

Act = Callable[[Desk, str, Thing], Thing]


@router.post("/checkout/sessions")
async def create(request: Request) -> Response:
    """A Checkout Session in payment mode."""

    def act(desk: Desk, account: str, ask: Thing) -> Thing:
        item = _need(ask, "line_items")["0"]
        price = _need(item, "price_data")
        amount = int(_need(price, "unit_amount")) * int(item.get("quantity", 1))
        currency = str(_need(price, "currency"))
        if _need(ask, "mode") != "payment" or not _need(price, "product_data").get("name"):
            raise _bad("only payments of named products")
        if amount < (50 if currency not in ZERO_DECIMAL else 1):
            raise Refused(400, "invalid_request_error", "amount_too_small", "amount too small")
        now = desk.book.now()
        until = int(ask.get("expires_at", now + MOST_LIFE_S))
        if not now + LEAST_LIFE_S - 5 <= until <= now + MOST_LIFE_S + 60:
            raise _bad("expires_at must be between 30 minutes and 24 hours from now")
        number = str(ask.get("client_reference_id", ""))
        made = desk.book.make(
            account,
            "checkout.session",
            "cs",
            number,
            {
                "status": "open",
                "payment_status": "unpaid",
                "mode": "payment",
                "amount_total": amount,
                "currency": currency,
                "client_reference_id": number,
                "metadata": ask.get("metadata", {}),
                "payment_intent": None,
                "payment_intent_metadata": ask.get("payment_intent_data", {}).get("metadata", {}),
                "expires_at": until,
                "success_url": _need(ask, "success_url"),
                "cancel_url": ask.get("cancel_url", ""),
                "product": price["product_data"]["name"],
                "url": None,
            },
        )
        return desk.book.change(made, url=f"{desk.public_url}/c/pay/{made['id']}")

    return await _call(request, "create", act)


@router.get("/checkout/sessions")
async def sessions(request: Request) -> Response:
    """Sessions of a time, or of an intent."""

    def act(desk: Desk, account: str, ask: Thing) -> Thing:
        found = [desk.session(account, s["id"]) for s in desk.book.all(account, "checkout.session")]
        if "payment_intent" in ask:
            found = [s for s in found if s["payment_intent"] == ask["payment_intent"]]
        return _page(_within(found, ask), ask, "/v1/checkout/sessions")

    return await _call(request, "query", act)


@router.get("/checkout/sessions/{session_id}")
async def session(request: Request, session_id: str) -> Response:
    """One session."""
    return await _call(request, "query", lambda desk, account, _: desk.session(account, session_id))


@router.post("/checkout/sessions/{session_id}/expire")
async def expire(request: Request, session_id: str) -> Response:
    """open → expired; any other refuses."""

    def act(desk: Desk, account: str, _ask: Thing) -> Thing:
        found = desk.session(account, session_id)
        if desk.knobs.take(found["client_reference_id"], "paid_during_close"):
            found = desk.pay(account, found)
        if found["status"] != "open":
            raise _bad(f"only open sessions can be expired, this one is {found['status']}")
        return desk.expire(account, found)

    return await _call(request, "close", act)


@router.post("/refunds")
async def refund(request: Request) -> Response:
    """Give back a part or all of an intent."""

    def act(desk: Desk, account: str, ask: Thing) -> Thing:
        metadata = ask.get("metadata", {})
        status = desk.knobs.of(str(metadata.get("number", ""))).refund_status
        intent = str(_need(ask, "payment_intent"))
        return desk.refund(account, intent, int(_need(ask, "amount")), metadata, status)

    return await _call(request, "refund", act)


@router.get("/refunds")
async def refunds(request: Request) -> Response:
    """Refunds of an intent."""

    def act(desk: Desk, account: str, ask: Thing) -> Thing:
        found = desk.book.all(account, "refund")
        if "payment_intent" in ask:
            found = [r for r in found if r["payment_intent"] == ask["payment_intent"]]
        return _page(found, ask, "/v1/refunds")

    return await _call(request, "query_refund", act)


@router.get("/balance_transactions")
async def balance(request: Request) -> Response:
    """What moved, newest first, with its source and the source's intent where that is asked for."""

    def act(desk: Desk, account: str, ask: Thing) -> Thing:
        found = []
        for one in _within(desk.book.all(account, "balance_transaction"), ask):
            source = desk.book.get(account, one["source"])
            assert source is not None
            number = str(source["metadata"].get("number", ""))
            faults = desk.knobs.of(number)
            if faults.bill_missing:
                continue
            intent = desk.book.get(account, source["payment_intent"])
            source = {**source, "amount": source["amount"] + faults.bill_amount_off}
            found.append({**one, "source": {**source, "payment_intent": intent}})
        found += [_stranger(desk, n) for n in range(max(0, desk.knobs.all.bill_extra))]
        return _page(found, ask, "/v1/balance_transactions")

    return await _call(request, "bill", act)


def _stranger(desk: Desk, n: int) -> Thing:
    moved = {"object": "balance_transaction", "type": "charge", "amount": 1000 + n, "fee": 64}
    intent = {
        "id": f"pi_extra_{n}",
        "object": "payment_intent",
        "metadata": {"number": f"nobody-{n}"},
    }
    charge = {
        "id": f"ch_extra_{n}",
        "object": "charge",
        "amount": 1000 + n,
        "currency": "hkd",
        "metadata": {},
        "payment_intent": intent,
    }
    now = int(desk.book.now())
    return {**moved, "id": f"txn_extra_{n}", "created": now, "currency": "hkd", "source": charge}


async def _call(request: Request, endpoint: Endpoint, act: Act) -> Response:
    """Let in, do once per key, answer; and go wrong where a knob says so."""
    desk: Desk = request.app.state.desk
    key = request.headers.get("authorization", "").removeprefix("Bearer ")
    if desk.book.account(key) is None:
        return _error(Refused(401, "invalid_request_error", "", "Invalid API Key provided"))
    raw = (await request.body()).decode()
    asked = raw if request.method == "POST" else request.url.query
    ask = nested(parse_qsl(asked, keep_blank_values=True))
    once = request.headers.get("idempotency-key", "") if request.method == "POST" else ""
    known = desk.book.answered(key, once) if once else None
    if known is not None:
        if known["asked"] != f"{request.url.path}?{asked}":
            return _error(Refused(400, "idempotency_error", "", "same key, other parameters"))
        return _told(json.loads(known["body"]), int(known["status"]), replayed=True)
    number = _number(desk, key, request, ask)
    status, body = 200, {}
    if desk.knobs.take_call(number, "fail", endpoint):
        status, body = 500, {"error": {"type": "api_error", "message": "simulated failure"}}
    else:
        try:
            body = act(desk, key, ask)
        except Refused as refused:
            status, body = refused.status, refused.body
    if once and status != 401:
        desk.book.remember(key, once, f"{request.url.path}?{asked}", status, json.dumps(body))
    if desk.knobs.take_call(number, "lose", endpoint):
        return _told({"error": {"type": "api_error", "message": "simulated loss"}}, 500)
    if desk.knobs.take_call(number, "hang", endpoint):
        await asyncio.sleep(desk.knobs.of(number).hang_s)
    return _told(body, status)


def _number(desk: Desk, account: str, request: Request, ask: Thing) -> str:
    metadata = ask.get("metadata") or {}
    if metadata.get("number"):
        return str(metadata["number"])
    found = desk.book.get(account, str(request.path_params.get("session_id", "")))
    return "" if found is None else str(found.get("client_reference_id", ""))


def _told(body: Any, status: int, *, replayed: bool = False) -> Response:
    headers = {"Request-Id": f"req_{secrets.token_hex(7)}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return JSONResponse(body, status, headers)


def _error(refused: Refused) -> Response:
    return _told(refused.body, refused.status)


def _bad(message: str) -> Refused:
    return Refused(400, "invalid_request_error", "parameter_invalid", message)


def _need(ask: Thing, name: str) -> Any:
    if name not in ask:
        raise Refused(400, "invalid_request_error", "parameter_missing", f"Missing: {name}")
    return ask[name]


def _within(found: list[Thing], ask: Thing) -> list[Thing]:
    span = {name: int(value) for name, value in (ask.get("created") or {}).items()}
    low, high = (
        span.get("gte", 0),
        span.get("lte", span.get("lt", 2**40) - 1 if "lt" in span else 2**40),
    )
    return [thing for thing in found if low <= thing["created"] <= high]


def _page(found: list[Thing], ask: Thing, url: str) -> Thing:
    limit = int(ask.get("limit", 10))
    ids = [thing["id"] for thing in found]
    start = ids.index(ask["starting_after"]) + 1 if ask.get("starting_after") in ids else 0
    part = found[start : start + limit]
    more = start + limit < len(found)
    return {"object": "list", "url": url, "has_more": more, "data": part}


def nested(pairs: list[tuple[str, str]]) -> Thing:
    """``a[b][0][c]=1`` as nested dicts; lists are dicts by their index."""
    made: Thing = {}
    for name, value in pairs:
        path = name.replace("]", "").split("[")
        place = made
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = value
    return made

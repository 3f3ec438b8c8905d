"""The page that a phone shows: what is paid, to whom, and the two buttons. Works without a script."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from simulators.counter.book import Row
from simulators.counter.desk import Desk

router = APIRouter()
STATIC: Final = Path(__file__).parent.parent / "cashier" / "static"
_PAGES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)
NAMES: Final = {"wechatpay": "微信支付", "alipay": "支付宝"}


@router.get("/pay/{token}")
async def show(request: Request, token: str, redirect_url: str = "") -> Response:
    """What is to be paid; ``redirect_url`` (of H5) is where the buttons lead back to."""
    desk: Desk = request.app.state.desk
    payment = desk.book.payment_by_token(token)
    if payment is None:
        return gone(desk)
    return page(desk, payment, back=redirect_url)


@router.post("/pay/{token}")
async def act(
    request: Request, token: str, do: Annotated[str, Form()], back: Annotated[str, Form()] = ""
) -> Response:
    """``do=pay`` pays, ``do=cancel`` does not; both lead back, where there is a way back."""
    desk: Desk = request.app.state.desk
    payment = desk.book.payment_by_token(token)
    if payment is None:
        return gone(desk)
    if do == "pay":
        desk.book.pay(payment["number"])
        payment = desk.book.payment_by_token(token) or payment
        if payment["state"] != "paid":
            return page(desk, payment, 409, back=back)
    there = back or payment["return_url"]
    if there.startswith(("http://", "https://")):
        return RedirectResponse(there, 303)
    return page(desk, payment)


def gone(desk: Desk) -> HTMLResponse:
    """There is no such payment."""
    return _html("gone.html", 404, brand=NAMES.get(desk.name, desk.name))


def page(desk: Desk, payment: Row, status: int = 200, *, back: str = "") -> HTMLResponse:
    """The payment as it stands."""
    state = payment["state"]
    if state == "waiting" and payment["expires_at"] <= desk.book.real:
        state = "expired"
    back = back or payment["return_url"]
    there = urlsplit(back)
    whole, rest = divmod(payment["amount_fen"], 100)
    left = max(0, int(payment["expires_at"] - desk.book.real))
    return _html(
        "pay.html",
        status,
        form_action=f"{there.scheme}://{there.netloc}" if there.netloc else "",
        brand=NAMES.get(desk.name, desk.name),
        state=state,
        yuan=f"{whole:,}",
        fen=f"{rest:02d}",
        payment=payment,
        back=back,
        left_s=left,
        expires_iso=datetime.fromtimestamp(payment["expires_at"], UTC).isoformat(),
        action=f"/pay/{payment['token']}",
    )


def _html(name: str, status: int, *, form_action: str = "", **values: object) -> HTMLResponse:
    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        f"form-action 'self' {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    headers |= {"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(_PAGES.get_template(name).render(**values), status, headers)

"""The page a person pays on. Works without a script; one small script only counts down."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from simulators.cashier.book import Row
from simulators.cashier.desk import Desk

router = APIRouter()
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


@router.get("/pay/{token}")
async def show(request: Request, token: str) -> Response:
    """What is to be paid, to whom, for what, until when."""
    desk: Desk = request.app.state.desk
    payment = desk.book.payment_by_token(token)
    if payment is None:
        return _page("gone.html", 404)
    return _pay_page(desk, payment)


@router.post("/pay/{token}")
async def act(request: Request, token: str, do: Annotated[str, Form()]) -> Response:
    """``do=pay`` pays, ``do=cancel`` does not; both lead back to where the payer came from."""
    desk: Desk = request.app.state.desk
    payment = desk.book.payment_by_token(token)
    if payment is None:
        return _page("gone.html", 404)
    if do == "pay":
        desk.book.pay(payment["merchant"], payment["number"])
        paid = desk.book.payment_by_token(token)
        if paid is None or paid["state"] != "paid":
            return _pay_page(desk, payment, 409)
    return RedirectResponse(payment["return_url"], 303)


def _pay_page(desk: Desk, payment: Row, status: int = 200) -> HTMLResponse:
    state = payment["state"]
    if state == "waiting" and payment["expires_at"] <= desk.book.now():
        state = "expired"
    whole, rest = divmod(payment["amount_fen"], 100)
    back = urlsplit(payment["return_url"])
    return _page(
        "pay.html",
        status,
        state=state,
        yuan=f"{whole:,}",
        fen=f"{rest:02d}",
        payment=payment,
        expires_iso=datetime.fromtimestamp(payment["expires_at"], UTC).isoformat(),
        left_s=max(0, int(payment["expires_at"] - desk.book.now())),
        form_action=f"{back.scheme}://{back.netloc}",
    )


def _page(name: str, status: int = 200, *, form_action: str = "", **values: object) -> HTMLResponse:
    """A page under a policy that lets in our own style and script and nothing else.

    ``form_action``: browsers hold a form's redirect to this as well, so the way back is named in it.
    """
    policy = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        f"form-action 'self' {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(
        _PAGES.get_template(name).render(**values),
        status,
        {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )

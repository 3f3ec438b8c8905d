"""The page on which a card holder pays. Works without a script."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from simulators.unionpay import signing
from simulators.unionpay.book import BEIJING, Row
from simulators.unionpay.desk import Desk
from simulators.unionpay.messenger import told

router = APIRouter()
GOOD, POOR = "6216261000000000018", "6216261000000002485"
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


@router.get("/card/{token}")
async def show(request: Request, token: str) -> Response:
    """What is to be paid, and with which card."""
    desk: Desk = request.app.state.desk
    row = desk.book.by_token(token)
    return gone("没有这笔订单") if row is None else _card(desk, row)


@router.post("/card/{token}")
async def act(
    request: Request, token: str, do: Annotated[str, Form()], card: Annotated[str, Form()] = GOOD
) -> Response:
    """``do=pay`` charges the card, or its bank says no; ``do=cancel`` leads back unpaid."""
    desk: Desk = request.app.state.desk
    row = desk.book.by_token(token)
    if row is None:
        return gone("没有这笔订单")
    if do == "cancel":
        return RedirectResponse(row["front_url"], 303)
    if card == POOR:
        desk.book.decline(token)
    else:
        desk.book.pay(token)
    return RedirectResponse(f"/card/{token}", 303)


def _card(desk: Desk, row: Row) -> HTMLResponse:
    state = {"00": "paid", "64": "poor"}.get(row["code"], "open")
    if state != "paid" and desk.book.over(row):
        state = "over"
    back = signing.sign(told(row), desk.own) if state == "paid" else {}
    until = datetime.strptime(row["until"], "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    merchant = desk.book.merchant(row["merchant"]) or {"name": ""}
    front = urlsplit(row["front_url"])
    return _page(
        "card.html",
        origin=f"{front.scheme}://{front.netloc}",
        row=row,
        state=state,
        merchant=merchant["name"],
        yuan=f"{row['amount_fen'] // 100:,}.{row['amount_fen'] % 100:02d}",
        until=f"{until:%H:%M:%S}",
        back=back,
        good=GOOD,
        poor=POOR,
    )


def gone(why: str) -> HTMLResponse:
    """A page that says why there is nothing to pay."""
    return _page("gone.html", 400, why=why)


def _page(name: str, status: int = 200, *, origin: str = "", **values: object) -> HTMLResponse:
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        f"form-action 'self' {origin}; base-uri 'none'; frame-ancestors 'none'"
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

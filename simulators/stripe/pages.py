"""Checkout's page: what is to be paid, pay, or go back. Works without a script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from simulators.stripe.api import ZERO_DECIMAL
from simulators.stripe.book import Thing
from simulators.stripe.desk import Desk

router = APIRouter()
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    trim_blocks=True,
    lstrip_blocks=True,
)


@router.get("/c/pay/{session_id}")
async def show(request: Request, session_id: str) -> Response:
    """The page of a session."""
    desk: Desk = request.app.state.desk
    found = _session(desk, session_id)
    return _page(None if found is None else found[1])


@router.post("/c/pay/{session_id}")
async def act(request: Request, session_id: str, do: Annotated[str, Form()]) -> Response:
    """``do=pay`` pays; anything else does not; both lead back to where the payer came from."""
    desk: Desk = request.app.state.desk
    found = _session(desk, session_id)
    if found is None:
        return _page(None)
    account, session = found
    if do == "pay":
        paid = desk.pay(account, session)
        if paid["status"] != "complete":
            return _page(paid)
        return RedirectResponse(session["success_url"], 303)
    return RedirectResponse(session["cancel_url"], 303)


def _session(desk: Desk, session_id: str) -> tuple[str, Thing] | None:
    account = desk.book.owner(session_id)
    return None if account is None else (account, desk.session(account, session_id))


def _page(session: Thing | None) -> HTMLResponse:
    origin, sum_text = "", ""
    if session is not None:
        back = urlsplit(session["success_url"])
        origin = f"{back.scheme}://{back.netloc}"
        amount, currency = session["amount_total"], session["currency"]
        sum_text = f"{amount:,}" if currency in ZERO_DECIMAL else f"{amount / 100:,.2f}"
        sum_text = f"{currency.upper()} {sum_text}"
    policy = (
        "default-src 'none'; style-src 'self'; img-src 'self'; "
        f"form-action 'self' {origin}; base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(
        _PAGES.get_template("checkout.html").render(session=session, sum=sum_text),
        404 if session is None else 200,
        {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        },
    )

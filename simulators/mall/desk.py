"""A platform's shelf, its faults and the token of who may turn them; put into an app by ``build``."""

from __future__ import annotations

import hmac
import html
import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from simulators.mall.book import Deal, Shelf
from simulators.mall.faults import Faults, Knobs


@dataclass
class Desk:
    """``name`` is the platform's; ``account`` the credentials as the cloud stores them."""

    name: str
    shelf: Shelf
    account_of_shop: dict[str, Any]
    public_url: str = ""
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    knobs: Knobs = field(default_factory=Knobs)

    def account(self) -> dict[str, Any]:
        """The merchant's credentials."""
        return self.account_of_shop


def desk_of(request: Request) -> Desk:
    """The desk of a request's app, for whoever has the admin token."""
    desk: Desk = request.app.state.desk
    given = request.headers.get("Simulator-Admin", "")
    if not hmac.compare_digest(given.encode(), desk.admin_token.encode()):
        raise HTTPException(401, "Simulator-Admin is missing or wrong")
    return desk


admin = APIRouter(prefix="/admin")
TheDesk = Annotated[Desk, Depends(desk_of)]


class SellIn(BaseModel):
    """Which deal is bought."""

    deal: str
    code: str = ""
    days: float = 90


class DealIn(BaseModel):
    """A deal to put on the shelf."""

    id: str
    title: str
    price_fen: int
    face_fen: int
    shops: list[str] = []


@admin.post("/faults")
async def set_faults(body: Faults, desk: TheDesk) -> dict[str, str]:
    """Turn the knobs. ``{}`` turns all of them off."""
    desk.knobs.now = body
    return {"status": "ok"}


@admin.post("/deals")
async def put_up(body: DealIn, desk: TheDesk) -> dict[str, str]:
    """Put a deal on the shelf."""
    made = Deal(body.id, body.title, body.price_fen, body.face_fen, frozenset(body.shops))
    return {"id": desk.shelf.put_up(made).id}


@admin.post("/vouchers")
async def sell(body: SellIn, desk: TheDesk) -> dict[str, str]:
    """Somebody buys one."""
    if body.deal not in desk.shelf.deals:
        raise HTTPException(404, "no such deal")
    made = desk.shelf.sell(body.deal, code=body.code, days=body.days)
    return {"code": made.code, "link": f"{desk.public_url}/s/{made.link}/"}


@admin.get("/vouchers/{code}")
async def one(code: str, desk: TheDesk) -> dict[str, Any]:
    """How a voucher stands, and how often it was verified in all."""
    found = desk.shelf.vouchers.get(code)
    if found is None:
        raise HTTPException(404, "no such voucher")
    times = sum(1 for v in desk.shelf.log if v.code == code)
    return {"state": found.state, "verified": times}


@admin.post("/vouchers/{code}/use")
async def use(code: str, desk: TheDesk, shop: str = "") -> dict[str, str]:
    """Staff verify it in the platform's own app."""
    return {"id": desk.shelf.verify(desk.shelf.vouchers.get(code), shop, "app").id}


@admin.post("/vouchers/{code}/refund")
async def refund(code: str, desk: TheDesk) -> dict[str, str]:
    """Its buyer gets the money back."""
    desk.shelf.refund(code)
    return {"status": "ok"}


shop = APIRouter()


@shop.get("/")
async def front(request: Request) -> HTMLResponse:
    """What can be bought, for demonstrations."""
    desk: Desk = request.app.state.desk
    rows = "".join(
        f'<form method="post" action="/buy/{html.escape(one.id)}"><p><b>{html.escape(one.title)}</b> '
        f"¥{one.price_fen / 100:g} <s>¥{one.face_fen / 100:g}</s> "
        "<button>买一张（演示，不用付钱）</button></p></form>"
        for one in desk.shelf.deals.values()
    )
    return _page(desk, rows)


@shop.post("/buy/{deal}")
async def buy(deal: str, request: Request) -> HTMLResponse:
    """A voucher, for demonstrations."""
    desk: Desk = request.app.state.desk
    if deal not in desk.shelf.deals:
        raise HTTPException(404, "no such deal")
    made = desk.shelf.sell(deal)
    code = " ".join(made.code[i : i + 4] for i in range(0, len(made.code), 4))
    words = (
        f"<p>{html.escape(made.deal.title)}</p><p>券码</p><p class='code' data-code='{made.code}'>"
        f"{code}</p><p><a href='/'>再买一张</a></p>"
    )
    return _page(desk, words)


def _page(desk: Desk, inside: str) -> HTMLResponse:
    style = (
        "body{font:16px/1.6 system-ui,sans-serif;max-width:440px;margin:24px auto;padding:0 16px}"
        ".code{font-size:28px;font-weight:600;letter-spacing:2px}"
        "button{min-height:44px;padding:0 16px;font:inherit}"
    )
    title = html.escape(f"{desk.name}（演示）")
    return HTMLResponse(
        f"<!doctype html><html lang='zh-Hans'><meta charset='utf-8'><meta name='viewport' "
        f"content='width=device-width'><title>{title}</title><style>{style}</style>"
        f"<h1>{title}</h1>{inside}</html>"
    )


def build(desk: Desk, *routers: APIRouter) -> FastAPI:
    """The app; ``app.state.desk`` gives tests the knobs."""
    app = FastAPI(title=desk.name, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    for router in (*routers, admin, shop):
        app.include_router(router)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app

"""What only tests and demonstrations do: accounts, faults, paying without a page. Needs the admin token."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from simulators.unionpay.desk import Desk
from simulators.unionpay.faults import Faults


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    given = request.headers.get("UnionPay-Admin", "")
    if not hmac.compare_digest(given.encode(), desk.admin_token.encode()):
        raise HTTPException(401, "UnionPay-Admin is missing or wrong")
    return desk


router = APIRouter(prefix="/admin")
TheDesk = Annotated[Desk, Depends(_desk)]


class MerchantIn(BaseModel):
    """A merchant to be opened."""

    no: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{15}$")]
    name: str = "商家"


class FaultsIn(BaseModel):
    """Set the knobs for ``order`` and what begins with it, or for everything else where it is null."""

    order: str | None = None
    faults: Faults = Faults()


class PayIn(BaseModel):
    """``late``: pay even after its time."""

    late: bool = False


class CodeIn(BaseModel):
    """``00`` or a code of failure."""

    code: Annotated[str, Field(pattern=r"^\d\d$")]


@router.post("/merchants")
async def add_merchant(body: MerchantIn, desk: TheDesk) -> dict[str, Any]:
    """Register a merchant: the account's credentials."""
    return desk.new_account(body.no, body.name, desk.public_url)


@router.post("/faults")
async def set_faults(body: FaultsIn, desk: TheDesk) -> dict[str, Any]:
    """Turn the knobs. ``{}`` turns all of them off."""
    if body.order is None:
        desk.knobs.all = body.faults
        if body.faults == Faults():
            desk.knobs.by_order.clear()
    else:
        desk.knobs.by_order[body.order] = body.faults
    return {"all": desk.knobs.all.model_dump()}


@router.get("/trades")
async def trades(desk: TheDesk) -> list[dict[str, Any]]:
    """All trades, newest first."""
    return desk.book.trades()


@router.post("/trades/{order_id}/pay")
async def pay(order_id: str, body: PayIn, desk: TheDesk) -> dict[str, bool]:
    """Charge a card without a page; ``late`` as only a slow bank can."""
    row = desk.book.by_order(order_id)
    if row is None:
        raise HTTPException(404, "no such trade")
    return {"paid_now": desk.book.pay(row["token"], late=body.late)}


@router.post("/trades/{order_id}/finish")
async def finish(order_id: str, body: CodeIn, desk: TheDesk) -> dict[str, bool]:
    """Release or refuse a refund that waits."""
    row = desk.book.by_order(order_id)
    if row is None:
        raise HTTPException(404, "no such trade")
    return {"moved": desk.book.finish_refund(row["id"], body.code)}


@router.get("/messages")
async def messages(desk: TheDesk) -> list[dict[str, Any]]:
    """All notifications and what became of them, newest first."""
    return desk.book.messages()

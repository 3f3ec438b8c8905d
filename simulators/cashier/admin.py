"""What only tests and demonstrations do: accounts, faults, paying without a page. Needs the admin token."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from simulators.cashier.book import shown_payment, shown_refund
from simulators.cashier.desk import Desk
from simulators.cashier.faults import Faults


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    given = request.headers.get("Cashier-Admin", "")
    if not hmac.compare_digest(given.encode(), desk.admin_token.encode()):
        raise HTTPException(401, "Cashier-Admin is missing or wrong")
    return desk


router = APIRouter(prefix="/admin")
TheDesk = Annotated[Desk, Depends(_desk)]


class MerchantIn(BaseModel):
    """A merchant; with ``public_key`` (hex) theirs is registered, without one a pair is made."""

    no: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    name: str = "商家"
    public_key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class FaultsIn(BaseModel):
    """Set the knobs for ``number``, or for everything else where it is null. Knobs left out are off."""

    number: str | None = None
    faults: Faults = Faults()


class PayIn(BaseModel):
    """``late``: pay even what has run out or was closed."""

    late: bool = False


class StateIn(BaseModel):
    """``done`` or ``refused``."""

    state: Annotated[str, Field(pattern="^(done|refused)$")]


@router.post("/merchants")
async def add_merchant(body: MerchantIn, desk: TheDesk) -> dict[str, str]:
    """Register a merchant: the account's credentials, without the private key if it is theirs."""
    if body.public_key is None:
        return desk.new_account(body.no, body.name, desk.public_url)
    desk.book.add_merchant(body.no, body.name, body.public_key)
    return {"base_url": desk.public_url, "merchant": body.no, "cashier_key": desk.public_key}


@router.get("/faults")
async def faults(desk: TheDesk) -> dict[str, Any]:
    """The knobs as they stand."""
    return {
        "all": desk.knobs.all.model_dump(),
        "by_number": {n: f.model_dump() for n, f in desk.knobs.by_number.items()},
    }


@router.post("/faults")
async def set_faults(body: FaultsIn, desk: TheDesk) -> dict[str, Any]:
    """Turn the knobs. ``{}`` turns all of them off, for single numbers as well."""
    if body.number is None:
        desk.knobs.all = body.faults
        if body.faults == Faults():
            desk.knobs.by_number.clear()
    else:
        desk.knobs.by_number[body.number] = body.faults
    return await faults(desk)


@router.get("/payments")
async def payments(desk: TheDesk) -> list[dict[str, Any]]:
    """All payments, newest first."""
    return [
        {**shown_payment(row), "merchant": row["merchant"], "pay_path": f"/pay/{row['token']}"}
        for row in desk.book.payments()
    ]


@router.post("/payments/{merchant}/{number}/pay")
async def pay(merchant: str, number: str, body: PayIn, desk: TheDesk) -> dict[str, Any]:
    """Pay as a person would on the page; ``late`` as only a slow bank can."""
    done = desk.book.pay(merchant, number, late=body.late)
    row = desk.book.payment(merchant, number)
    if row is None:
        raise HTTPException(404, "no such payment")
    return {"paid_now": done, **shown_payment(row)}


@router.get("/refunds")
async def refunds(desk: TheDesk) -> list[dict[str, Any]]:
    """All refunds, newest first."""
    return [
        {**shown_refund(row), "merchant": row["merchant"], "due_at": row["due_at"]}
        for row in desk.book.refunds()
    ]


@router.post("/refunds/{merchant}/{number}")
async def set_refund(merchant: str, number: str, body: StateIn, desk: TheDesk) -> dict[str, bool]:
    """Release or refuse a refund that is processing or stuck."""
    return {"moved": desk.book.set_refund(merchant, number, body.state)}


@router.get("/messages")
async def messages(desk: TheDesk) -> list[dict[str, Any]]:
    """All notifications and what became of them, newest first."""
    return desk.book.messages()

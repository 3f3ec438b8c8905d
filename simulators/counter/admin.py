"""What only tests and demonstrations do: faults, paying without a page. Needs the admin token."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from simulators.counter.book import Refused
from simulators.counter.desk import Desk
from simulators.counter.faults import Faults


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    given = request.headers.get("Simulator-Admin", "")
    if not hmac.compare_digest(given.encode(), desk.admin_token.encode()):
        raise HTTPException(401, "Simulator-Admin is missing or wrong")
    return desk


router = APIRouter(prefix="/admin")
TheDesk = Annotated[Desk, Depends(_desk)]


class FaultsIn(BaseModel):
    """Set the knobs for ``number``, or for everything else where it is null. Knobs left out are off."""

    number: str | None = None
    faults: Faults = Faults()


class PayIn(BaseModel):
    """``late``: pay even what has run out or was closed."""

    late: bool = False


class EndIn(BaseModel):
    """How a refund ends."""

    state: Annotated[str, Field(pattern="^(success|closed|abnormal)$")]


class BackIn(BaseModel):
    """A refund made in the service's own console, which the merchant's programs know nothing of."""

    number: str
    amount_fen: Annotated[int, Field(gt=0)]


class PaidIn(BaseModel):
    """A payment that came some time ago. Instants: seconds since the epoch."""

    number: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{6,64}$")]
    amount_fen: Annotated[int, Field(gt=0)]
    subject: str
    merchant_name: str
    channel: str
    txn: str
    created_at: float
    paid_at: float


class GivenBackIn(BaseModel):
    """A refund that arrived some time ago."""

    number: str
    payment_number: str
    amount_fen: Annotated[int, Field(gt=0)]
    reason: str
    refund_no: str
    created_at: float
    done_at: float


class PastIn(BaseModel):
    """What a shop did here before anybody looked."""

    payments: list[PaidIn]
    refunds: list[GivenBackIn]


@router.post("/past")
async def remember(body: PastIn, desk: TheDesk) -> dict[str, int]:
    """Take payments and refunds as done, without a word to the merchant; known numbers stay as they are."""
    desk.book.remember(
        [one.model_dump() for one in body.payments], [one.model_dump() for one in body.refunds]
    )
    return {"payments": len(body.payments), "refunds": len(body.refunds)}


@router.post("/faults")
async def set_faults(body: FaultsIn, desk: TheDesk) -> dict[str, str]:
    """Turn the knobs. ``{}`` turns all of them off, for single numbers as well."""
    desk.knobs.set(body.number, body.faults)
    return {"status": "ok"}


@router.get("/payments")
async def payments(desk: TheDesk) -> list[dict[str, Any]]:
    """All payments, newest first."""
    return [{**row, "pay_path": f"/pay/{row['token']}"} for row in desk.book.payments()]


@router.post("/payments/{number}/pay")
async def pay(number: str, body: PayIn, desk: TheDesk) -> dict[str, Any]:
    """Pay as a person would on the page; ``late`` as only a slow bank can."""
    done = desk.book.pay(number, late=body.late)
    if desk.book.payment(number) is None:
        raise HTTPException(404, "no such payment")
    return {"paid_now": done}


@router.post("/payments/{number}/refunds")
async def give_back(number: str, body: BackIn, desk: TheDesk) -> dict[str, Any]:
    """Refund in the console."""
    payment = desk.book.payment(number)
    if payment is None:
        raise HTTPException(404, "no such payment")
    try:
        made = desk.book.open_refund(
            body.number, number, body.amount_fen, "", payment["notify_url"], delay_s=0, foreign=True
        )
    except Refused as refused:
        raise HTTPException(409, refused.code) from refused
    return made


@router.get("/refunds")
async def refunds(desk: TheDesk) -> list[dict[str, Any]]:
    """All refunds, newest first."""
    return desk.book.refunds()


@router.post("/refunds/{number}")
async def end_refund(number: str, body: EndIn, desk: TheDesk) -> dict[str, bool]:
    """End a refund that is processing or abnormal."""
    return {"moved": desk.book.end_refund(number, body.state)}


@router.get("/messages")
async def messages(desk: TheDesk) -> list[dict[str, Any]]:
    """All notifications and what became of them, newest first."""
    return desk.book.messages()

"""What only tests and demonstrations do: accounts, faults, paying without a page. Needs the admin token."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from simulators.stripe.desk import Desk
from simulators.stripe.faults import Faults


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    given = request.headers.get("Stripe-Admin", "")
    if not hmac.compare_digest(given.encode(), desk.admin_token.encode()):
        raise HTTPException(401, "Stripe-Admin is missing or wrong")
    return desk


router = APIRouter(prefix="/admin")
TheDesk = Annotated[Desk, Depends(_desk)]


class AccountIn(BaseModel):
    """A test account; ``url`` is where its events go."""

    url: str = ""
    currency: str = "hkd"


class EndpointIn(BaseModel):
    """Where events of an account go."""

    secret_key: str
    url: str


class FaultsIn(BaseModel):
    """Set the knobs for ``number`` and what begins with it, or for everything else where it is null."""

    number: str | None = None
    faults: Faults = Faults()


class StatusIn(BaseModel):
    """The status a refund gets."""

    status: str


@router.post("/accounts")
async def add_account(body: AccountIn, desk: TheDesk) -> dict[str, str]:
    """A test account's credentials, as the cloud stores them."""
    key, secret = desk.book.add_account(body.url)
    return {
        "secret_key": key,
        "webhook_secret": secret,
        "currency": body.currency,
        "base_url": desk.public_url,
    }


@router.post("/endpoints")
async def set_endpoint(body: EndpointIn, desk: TheDesk) -> dict[str, str]:
    """Enter the address of the webhook."""
    desk.book.set_endpoint(body.secret_key, body.url)
    return {"url": body.url}


@router.post("/faults")
async def set_faults(body: FaultsIn, desk: TheDesk) -> dict[str, Any]:
    """Turn the knobs. ``{}`` turns all of them off."""
    if body.number is None:
        desk.knobs.all = body.faults
        if body.faults == Faults():
            desk.knobs.by_number.clear()
    else:
        desk.knobs.by_number[body.number] = body.faults
    return {"all": desk.knobs.all.model_dump()}


@router.get("/sessions/{number}")
async def session(number: str, desk: TheDesk) -> dict[str, Any]:
    """The session of a number."""
    found = desk.book.find("checkout.session", number)
    if found is None:
        raise HTTPException(404, "no such session")
    return desk.session(found[0], found[1]["id"])


@router.post("/sessions/{number}/pay")
async def pay(number: str, desk: TheDesk) -> dict[str, Any]:
    """Pay without a page."""
    found = desk.book.find("checkout.session", number)
    if found is None:
        raise HTTPException(404, "no such session")
    return desk.pay(found[0], desk.session(found[0], found[1]["id"]))


@router.post("/refunds/{number}")
async def set_refund(number: str, body: StatusIn, desk: TheDesk) -> dict[str, Any]:
    """A refund goes through, or fails."""
    found = desk.book.find("refund", number)
    if found is None:
        raise HTTPException(404, "no such refund")
    return desk.finish(found[0], found[1], body.status)


@router.get("/events")
async def events(desk: TheDesk) -> list[dict[str, Any]]:
    """All events and what became of them, newest first."""
    return desk.book.events()

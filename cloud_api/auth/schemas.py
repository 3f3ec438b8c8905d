"""What goes in and out of /auth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

Phone = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=24)]


class CodeIn(BaseModel):
    """Ask for a code by SMS."""

    phone: Phone


class CodeOut(BaseModel):
    """The same for every number, known or not."""

    sent: bool = True
    expires_in_s: int
    retry_after_s: int


class LoginIn(BaseModel):
    """Phone and code; ``device`` is a name the person may recognise later."""

    phone: Phone
    code: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9]{6}$")]
    device: Annotated[str, StringConstraints(max_length=80)] = ""


class AccountOut(BaseModel):
    """Who is logged in; the number is never given in full."""

    id: str
    phone_tail: str
    locale: str


class WorkplaceOut(BaseModel):
    """A merchant whose staff the account is."""

    merchant_id: str
    name: str
    role: str


class LoginOut(BaseModel):
    """``token`` goes into ``Authorization: Bearer``; browsers have it in a cookie as well."""

    token: str
    csrf: str
    expires_at: datetime
    account: AccountOut


class MeOut(BaseModel):
    """The account of this login and the CSRF token for its cookie."""

    account: AccountOut
    csrf: str = Field(description="for X-CSRF-Token; empty where the request had no cookie")

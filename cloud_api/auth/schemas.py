"""What goes in and out of /auth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from cloud_api.auth.models import Login

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
    second_factor: bool = Field(
        False, description="the account has one: the console wants it (POST /auth/second-factor)"
    )


class BindOut(LoginOut):
    """``linked``: ``yes``; ``taken``: who came logs in as somebody else; ``other``: the number's account has
    another identity there. The login is good in any case: the number was proved.
    """

    linked: Literal["yes", "taken", "other"]


class MeOut(BaseModel):
    """The account of this login and the CSRF token for its cookie."""

    account: AccountOut
    csrf: str = Field(description="for X-CSRF-Token; empty where the request had no cookie")


class PasswordLoginIn(BaseModel):
    """Phone and password; ``device`` is a name the person may recognise later."""

    phone: Phone
    password: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    device: Annotated[str, StringConstraints(max_length=80)] = ""


class SetupIn(BaseModel):
    """The code that ``kaimen-cloud init`` printed."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=40)]


class FactorIn(BaseModel):
    """Six digits of the generator, or a recovery code."""

    code: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9A-Za-z -]{6,16}$")]


class FactorOut(BaseModel):
    """Until when dangerous acts go without another look."""

    fresh_until: datetime
    recovery_left: int


class PasswordIn(BaseModel):
    """A new password. ``old`` is needed where there is one, unless the login is fresh by SMS."""

    password: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    old: Annotated[str, StringConstraints(max_length=128)] = ""


class PasswordOut(BaseModel):
    """How many other logins ended."""

    ended: int


class TotpOut(BaseModel):
    """A generator that does not count yet: show ``uri`` as a QR code, then confirm with a code."""

    secret: str
    uri: str


class RecoveryOut(BaseModel):
    """Ten codes, each good once; shown this one time."""

    codes: list[str]


class SecurityOut(BaseModel):
    """How safe the account is."""

    has_password: bool
    second_factor: bool
    recovery_left: int
    fresh_until: datetime | None = Field(
        description="until when dangerous acts go without another look at the second factor"
    )


class OwnLoginOut(BaseModel):
    """A device that is logged in as oneself. ``kind`` platform: the platform acts for you."""

    id: str
    kind: str
    device: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    current: bool

    @classmethod
    def of(cls, login: Login, current: str) -> OwnLoginOut:
        """From the table; ``current`` is the id of the asking login."""
        return cls(
            id=login.id,
            kind=login.kind,
            device=login.device,
            address=login.address or "",
            created_at=login.created_at,
            last_seen_at=login.last_seen_at or login.created_at,
            expires_at=login.expires_at,
            current=login.id == current,
        )


class OwnLoginsOut(BaseModel):
    """One's logins, the one used last first."""

    items: list[OwnLoginOut]


class EndedOut(BaseModel):
    """How many logins ended."""

    ended: int

"""What goes in and out of the routes for payment accounts; no secret is in what goes out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]
Fen = Annotated[int, Field(gt=0, le=100_000_000)]
Fields = Annotated[dict[str, Any], Field(max_length=20)]
Channels = Annotated[list[Annotated[str, Field(max_length=20)]], Field(max_length=10)]


class AccountIn(BaseModel):
    """A new account. ``store_id`` null: for every store that has none of its own."""

    model_config = ConfigDict(extra="forbid")
    provider: Annotated[str, Field(max_length=20)]
    name: Name
    store_id: Annotated[str, Field(max_length=40)] | None = None
    enabled: bool = True
    min_fen: Fen | None = None
    max_fen: Fen | None = None
    channels: Channels = []
    fields: Fields


class AccountChange(BaseModel):
    """What changes; what is left out stays, and so does a secret that is left empty."""

    model_config = ConfigDict(extra="forbid")
    name: Name = ""
    enabled: bool = True
    min_fen: Fen | None = None
    max_fen: Fen | None = None
    channels: Channels | None = None
    fields: Fields | None = None


class OrderIn(BaseModel):
    """The accounts in the order in which people see them."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=100)]


class FactOut(BaseModel):
    """A certificate's owner and serial, or a key's fingerprint."""

    title: str
    text: str
    until: AwareDatetime | None
    days_left: int | None


class AccountOut(BaseModel):
    """An account without its secrets. ``works``: whether payers see it."""

    id: str
    provider: str
    provider_name: str
    name: str
    store_id: str | None
    enabled: bool
    works: bool
    position: int
    min_fen: int | None
    max_fen: int | None
    channels: list[str]
    fields: dict[str, str]
    facts: list[FactOut]
    expires_at: AwareDatetime | None
    checked_at: AwareDatetime | None
    checked: str | None
    notify_url: str


class FieldOut(BaseModel):
    """A field of a kind's form. ``kind``: text, secret, file; ``long`` ones have several lines."""

    name: str
    title: str
    kind: str
    long: bool
    required: bool
    default: str


class KindOut(BaseModel):
    """A kind of provider that can be added."""

    provider: str
    name: str
    label: str
    guide: str
    channels: list[str]
    fields: list[FieldOut]


class AccountsOut(BaseModel):
    """A merchant's accounts, and the kinds there are."""

    items: list[AccountOut]
    kinds: list[KindOut]


class CheckOut(BaseModel):
    """How a try went; ``message`` says what is wrong."""

    ok: bool
    message: str
    at: AwareDatetime

"""How a merchant looks to its guests; whoever has none looks like Kaimen."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime


class Brand(SQLModel, table=True):
    """Name, words, one colour and two logos of a merchant. An empty value is Kaimen's own.

    ``version`` counts the changes: it is in the address of what browsers keep. ``before`` is what stood
    there until the last change, so that one can be taken back. Instants are wire time.
    """

    __table_args__ = (
        CheckConstraint("colour = '' OR length(colour) = 7"),
        CheckConstraint("version > 0"),
    )
    merchant_id: str = Field(foreign_key="merchant.id", primary_key=True)
    name: str = Field(default="", max_length=24)
    short: str = Field(default="", max_length=12)  # under the icon on a phone
    slogan: str = Field(default="", max_length=40)
    phone: str = Field(default="", max_length=20)
    wechat: str = Field(default="", max_length=40)
    footer: str = Field(
        default="", max_length=80
    )  # as a record number (ICP) that the law wants seen
    colour: str = Field(default="", max_length=7)  # #RRGGBB
    square_id: str | None = None  # media
    wide_id: str | None = None
    version: int = 1
    before: dict[str, Any] | None = Field(default=None, sa_type=Json)
    changed_at: datetime = Field(sa_type=UTCDateTime)
    changed_by: str = ""

"""What was uploaded for a store or a room; the files themselves lie in the media storage."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Media(SQLModel, table=True):
    """A photo, a logo or a video. ``sizes`` are the widths there are (each as JPEG and as WebP).

    A video's sizes are its poster's. Deleted ones keep their row until a job took their files away.
    """

    __public__ = True
    __table_args__ = (
        CheckConstraint("kind IN ('photo','logo','video')"),
        CheckConstraint("width > 0 AND height > 0 AND bytes > 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(index=True)  # without a foreign key: stores stand above media
    room_id: str | None = Field(default=None, index=True)  # None: of the store itself
    # What it is evidence of, as ``kind:id`` (a cleaning task); such a photo is on no page of the place.
    subject: str | None = Field(default=None, index=True)
    kind: str
    alt: str = Field(default="", max_length=100)
    width: int
    height: int
    seconds: int | None = None  # of a video
    bytes: int
    sizes: list[Any] = Field(default_factory=list, sa_type=Json)
    sort: int = 0
    deleted_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # wire time
    created_at: datetime = Field(sa_type=UTCDateTime)

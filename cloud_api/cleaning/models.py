"""Tasks to clean a room, what happened to them, and a store's rule of them. Instants are business time."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class CleaningRule(SQLModel, table=True):
    """When a store wants its rooms cleaned, and what a task pays. ``id`` is the store's."""

    __tablename__ = "cleaning_rule"
    __table_args__ = (
        CheckConstraint("least_minutes >= 0 AND pay_fen >= 0 AND photos BETWEEN 0 AND 9"),
        CheckConstraint("minutes BETWEEN 5 AND 240"),
    )
    id: str = Field(primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    after_stay: bool = True
    least_minutes: int = 0  # shorter stays make no task
    minutes: int = 30  # what cleaning takes: the room counts as being cleaned so long
    keep: bool = False  # not sold again before it is clean, as far as nobody has booked it
    check_done: bool = False  # somebody looks before a task counts as done
    photos: int = 0  # so many before a task can be finished
    pay_fen: int = 0  # for a task that is done
    updated_at: datetime = Field(sa_type=UTCDateTime)


class CleaningTask(SQLModel, table=True):
    """A room to clean, once. What it may become stands in cleaning/transitions.py.

    ``pay_fen`` is what the rule said when the task was made. ``finished_at`` is when the cleaner was
    done, ``checked_at`` when somebody of the house agreed or sent it back.
    """

    __tablename__ = "cleaning_task"
    __table_args__ = (
        CheckConstraint(
            "state IN ('open','taken','cleaning','to_check','rejected','done','cancelled')"
        ),
        CheckConstraint("(state IN ('open','cancelled')) OR staff_id IS NOT NULL"),
        CheckConstraint("pay_fen >= 0"),
        Index("ix_cleaning_task_sheet", "merchant_id", "state", "finished_at"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    order_id: str | None = Field(default=None, unique=True)  # the stay it follows
    state: str = "open"
    version: int = 0
    note: str = Field(default="", max_length=200)
    staff_id: str | None = Field(default=None, foreign_key="staff.id", index=True)
    pay_fen: int = 0
    photos: list[Any] = Field(default_factory=list, sa_type=Json)  # media ids
    why: str = Field(default="", max_length=200)  # of the last sending back, or of the end
    created_at: datetime = Field(sa_type=UTCDateTime)
    taken_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    checked_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    checked_by: str | None = None


class CleaningEvent(SQLModel, table=True):
    """What became of a task, by whom; never changed."""

    __tablename__ = "cleaning_event"
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    task_id: str = Field(foreign_key="cleaning_task.id", index=True)
    was: str
    now: str
    by: str
    why: str = ""
    at: datetime = Field(sa_type=UTCDateTime)

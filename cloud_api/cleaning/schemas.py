"""Cleaning in and out of the API."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.cleaning.models import CleaningRule, CleaningTask

Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Id = Annotated[str, Field(max_length=64)]


class RuleIn(BaseModel):
    """When rooms are cleaned and what that pays; ``pay_fen`` in fen for a task."""

    model_config = ConfigDict(extra="forbid")
    after_stay: bool = True
    least_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    minutes: Annotated[int, Field(ge=5, le=240)] = 30
    keep: bool = False
    check_done: bool = False
    photos: Annotated[int, Field(ge=0, le=9)] = 0
    pay_fen: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class RuleOut(RuleIn):
    """A store's rule."""

    store_id: str

    @classmethod
    def of(cls, rule: CleaningRule) -> "RuleOut":
        """From the row."""
        return cls(**{name: getattr(rule, name) for name in cls.model_fields})


class TaskIn(BaseModel):
    """A room to be cleaned; without ``staff_id`` whoever wants takes it."""

    model_config = ConfigDict(extra="forbid")
    room_id: Id
    note: Why = ""
    staff_id: Id | None = None


class AssignIn(BaseModel):
    """Who cleans."""

    model_config = ConfigDict(extra="forbid")
    staff_id: Id


class WhyIn(BaseModel):
    """Why it goes back, or is called off."""

    model_config = ConfigDict(extra="forbid")
    why: Why


class TaskOut(BaseModel):
    """A task."""

    id: str
    store_id: str
    room_id: str
    order_id: str | None
    state: str
    note: str
    why: str
    staff_id: str | None
    pay_fen: int
    photos: list[str]
    created_at: AwareDatetime
    taken_at: AwareDatetime | None
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None

    @classmethod
    def of(cls, task: CleaningTask) -> "TaskOut":
        """From the row."""
        return cls(**{name: getattr(task, name) for name in cls.model_fields})


class TasksOut(BaseModel):
    """What waits, is done now, or waits to be looked at."""

    items: list[TaskOut]


class PersonOut(BaseModel):
    """Somebody's month, in fen and minutes."""

    staff_id: str
    name: str
    tasks: int
    minutes: int
    pay_fen: int


class SheetOut(BaseModel):
    """A month of cleaning."""

    month: str
    people: list[PersonOut]

"""Who acts, and the one function through which every query is narrowed to what is theirs (I7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlmodel import SQLModel, col, false, select
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Anyone:
    """Not logged in: sees what is public."""

    ip: str = ""
    ref: str = "anyone"


@dataclass(frozen=True, slots=True)
class Customer:
    """A logged-in customer; sees what is public and what carries their ``account_id``."""

    account_id: str
    login_id: str = ""
    ip: str = ""

    @property
    def ref(self) -> str:
        """How events and commands name this actor."""
        return f"customer:{self.account_id}"


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of a merchant's staff. ``store_ids`` None means every store of the merchant."""

    staff_id: str
    account_id: str
    merchant_id: str
    permissions: frozenset[str]
    store_ids: frozenset[str] | None = None
    login_id: str = ""
    ip: str = ""
    name: str = ""

    @property
    def ref(self) -> str:
        """How events and commands name this actor."""
        return f"staff:{self.staff_id}"

    def need(self, permission: str) -> None:
        """Raise Forbidden without ``permission``."""
        if permission not in self.permissions:
            raise Forbidden(permission)


@dataclass(frozen=True, slots=True)
class System:
    """The installation itself: jobs, ingest, provider notifications (already verified)."""

    ref: str = field(default="system")


Actor = Anyone | Customer | Staff | System

Row = TypeVar("Row", bound=SQLModel)


def scoped(actor: Actor, model: type[Row]) -> SelectOfScalar[Row]:
    """``select(model)`` narrowed to what ``actor`` may see. Every query starts here.

    A table is public when it says ``__public__ = True`` (stores, rooms, doors, tariffs). A customer
    also sees rows with their ``account_id``. Staff see rows of their merchant and, where the table
    has a ``store_id``, of their stores. Everything else is invisible.
    """
    query = select(model)
    columns: Any = model
    if isinstance(actor, System):
        return query
    if isinstance(actor, Staff):
        if not hasattr(model, "merchant_id"):
            return query.where(false())
        query = query.where(col(columns.merchant_id) == actor.merchant_id)
        if actor.store_ids is not None:
            key = columns.store_id if hasattr(model, "store_id") else None
            if getattr(model, "__store_itself__", False):
                key = columns.id
            if key is not None:
                query = query.where(col(key).in_(actor.store_ids))
        return query
    if getattr(model, "__public__", False):
        return query
    if isinstance(actor, Customer) and hasattr(model, "account_id"):
        return query.where(col(columns.account_id) == actor.account_id)
    return query.where(false())

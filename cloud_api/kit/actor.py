"""Who acts, and the one function through which every query is narrowed to what is theirs (I7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import bindparam
from sqlmodel import SQLModel, col, false, select
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.errors import Forbidden, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import later
from cloud_api.kit.money import yuan

BIG_REFUND_FEN = 50_000  # from here on even who has no limit proves to be themselves first


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
class Limits:
    """How much of a merchant's money somebody may give away at once, in fen; None: no limit."""

    refund_fen: int | None = None
    waiver_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Staff:
    """A member of a merchant's staff. ``store_ids`` None means every store of the merchant.

    ``fresh`` is false where a second factor is set up and was not proved in the last ten minutes.
    ``platform_admin`` is the id of the platform's administrator who acts as this member.
    ``proof``: this is who it was a moment ago, and may act in no statement but one that proves these
    values (staff/remembered.py).
    """

    staff_id: str
    account_id: str
    merchant_id: str
    permissions: frozenset[str]
    store_ids: frozenset[str] | None = None
    login_id: str = ""
    ip: str = ""
    name: str = ""
    limits: Limits = Limits()
    fresh: bool = True
    platform_admin: str = ""
    proof: Mapping[str, str] | None = field(default=None, compare=False)

    @property
    def ref(self) -> str:
        """How events and commands name this actor: by who really acts."""
        if self.platform_admin:
            return f"platform:{self.platform_admin}"
        return f"staff:{self.staff_id}"

    def need(self, permission: str) -> None:
        """Raise Forbidden without ``permission``."""
        if permission not in self.permissions:
            raise Forbidden(permission)

    def within(self, store_ids: Iterable[object] | None) -> bool:
        """Whether what is of these stores (None: of all) is of this actor's stores alone.

        For tables whose rows are of several stores, which ``scoped`` cannot narrow.
        """
        if self.store_ids is None:
            return True
        return store_ids is not None and set(map(str, store_ids)) <= self.store_ids

    def need_fresh(self) -> None:
        """Raise FactorNeeded unless the second factor, where there is one, was proved just now."""
        if not self.fresh:
            raise FactorNeeded

    def need_own(self) -> None:
        """Raise ``impersonation.not_this`` where the installation's administrator acts for the owner.

        For money, where it goes, and keys: the owner's second factor was not proved, and cannot be.
        """
        if self.platform_admin:
            raise KaimenError(
                "impersonation.not_this", "这一步动钱或密钥，平台不能代做，请店主自己来", status=403
            )

    def need_refund(self, amount_fen: int) -> None:
        """Raise ``staff.limit`` for more than the role may refund, FactorNeeded for much money."""
        _within(amount_fen, self.limits.refund_fen, later("你的岗位最多退 {money}，超过的交给店长"))
        if amount_fen:
            self.need_own()
        if amount_fen >= BIG_REFUND_FEN:
            self.need_fresh()

    def need_waiver(self, amount_fen: int) -> None:
        """Raise ``staff.limit`` for more than the role may waive of what a guest owes."""
        _within(amount_fen, self.limits.waiver_fen, later("你的岗位最多免 {money}，超过的交给店长"))
        if amount_fen:
            self.need_own()


class FactorNeeded(KaimenError):
    """403: the act is worth another look at the second factor (``POST /auth/second-factor``)."""

    def __init__(self) -> None:
        super().__init__(
            "second_factor.fresh_needed",
            _("这一步要再输一次动态码，输完 10 分钟内有效"),
            status=403,
        )


def _within(amount_fen: int, limit_fen: int | None, sentence: str) -> None:
    if limit_fen is not None and amount_fen > limit_fen:
        raise KaimenError(
            "staff.limit",
            _(sentence).format(money=yuan(limit_fen)),
            status=403,
            extra={"limit_fen": limit_fen},
        )


@dataclass(frozen=True, slots=True)
class Platform:
    """An administrator of the installation: makes and suspends merchants, sees nothing of theirs."""

    admin_id: str
    account_id: str
    login_id: str = ""
    ip: str = ""
    name: str = ""
    fresh: bool = True

    @property
    def ref(self) -> str:
        """How events and commands name this actor."""
        return f"platform:{self.admin_id}"

    def need_fresh(self) -> None:
        """As ``Staff.need_fresh``."""
        if not self.fresh:
            raise FactorNeeded


@dataclass(frozen=True, slots=True)
class System:
    """The installation itself: jobs, ingest, provider notifications (already verified)."""

    ref: str = field(default="system")


Actor = Anyone | Customer | Staff | Platform | System

Row = TypeVar("Row", bound=SQLModel)
Who = TypeVar("Who", bound=Actor)


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
        if actor.proof is not None:
            raise RuntimeError("whoever is remembered acts in one statement, which proves it")
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


def stand_in(actor: Who) -> tuple[Who, dict[str, Any]]:
    """One actor for all of ``actor``'s kind, and the parameters that make a statement ``actor``'s own.

    For statements that are built once (kit/statements.py): what ``scoped`` narrows to the stand-in is
    narrowed to whoever's parameters go with it. Sent without them it raises.
    """
    some: Any
    if isinstance(actor, Staff):
        stores: dict[str, Any] = (
            {} if actor.store_ids is None else {"actor_stores": sorted(actor.store_ids)}
        )
        some = _some_staff(bool(stores))
        return some, {"actor_merchant": actor.merchant_id, **stores}
    if isinstance(actor, Customer):
        some = _some_customer()
        return some, {"actor_account": actor.account_id}
    some = _SYSTEM if isinstance(actor, System) else _ANYONE
    return some, {}


_SYSTEM = System()
_ANYONE = Anyone()


@cache
def _some_staff(of_stores: bool) -> Staff:
    stores: Any = bindparam("actor_stores", expanding=True) if of_stores else None
    merchant = cast(str, bindparam("actor_merchant"))
    return Staff("", "", merchant, frozenset(), cast("frozenset[str] | None", stores))


@cache
def _some_customer() -> Customer:
    return Customer(cast(str, bindparam("actor_account")))

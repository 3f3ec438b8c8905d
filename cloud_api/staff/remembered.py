"""Who taps again: what was read of their login stays in this process, and is proved by the statement that acts.

A tap at a door is two statements, and the first only says who taps. Nothing is believed because it is
remembered: ``still`` belongs into the statement that acts, and holds only while login, account, member,
merchant and role are those versions of their rows that were read (``xmin``, which PostgreSQL writes into
each), so a login that was ended, a member who left or a role that changed ends it at once, whichever
process it was done through. Whatever is refused, or needs more than that one statement, is read anew.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fastapi import Request
from sqlalchemy import ColumnElement, String, and_, bindparam, exists, func, literal_column, select
from sqlmodel import col

from cloud_api.auth.csrf import ACTING_COOKIE
from cloud_api.auth.deps import BORROWED, note_use, shown_token
from cloud_api.auth.models import Account, Login
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import HEADER
from cloud_api.kit.statements import built
from cloud_api.merchants.models import Merchant
from cloud_api.staff import api_keys, service
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.models import Role, StaffMember
from cloud_api.staff.service import Workplace

KEEP_S = 300.0  # a login is noted as in use every ten minutes, by who reads it
MOST = 1_000
_PART = "staff.remembered"
_TABLES = ("login", "account", "staff", "merchant", "staff_role")
_STATE = ("login", "account", "login_id", "places")


class NotProved(Exception):
    """What was remembered may not be so any more, or more stands in the way: read anew, and ask again."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A login as it was read, and the versions of the rows by the member of staff that it is."""

    login: Login
    account: Account
    places: list[Workplace]
    proofs: dict[str, dict[str, str]]
    until: float  # of the wire clock's monotonic seconds


@dataclass(slots=True)
class Memory:
    """What one process remembers, by the hash of the token; the oldest goes first."""

    known: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)

    def keep(self, token_hash: str, one: Remembered) -> None:
        """Remember ``one``."""
        self.known[token_hash] = one
        self.known.move_to_end(token_hash)
        while len(self.known) > MOST:
            self.known.popitem(last=False)


async def tapping_staff(request: Request) -> Staff:
    """The staff actor of a tap; of what is remembered, it carries a ``proof`` that its statement has to bring.

    Raises as ``staff_actor``.
    """
    cloud, token = cloud_of(request), shown_token(request)
    plain = token and not token.startswith(api_keys.PREFIX) and ACTING_COOKIE not in request.cookies
    if not plain or cloud.db.is_sqlite or HEADER not in request.headers:
        return await staff_actor(request)
    known = _memory(cloud).known.get(token_hash := vault().hash_token(str(token)))
    if known is None or known.until < cloud.clocks.wire.monotonic():
        return await _read_anew(request, token_hash)
    _use(request, known)
    try:
        who = await staff_actor(request)
    except KaimenError:
        return await anew(request)
    return replace(who, proof=known.proofs[who.staff_id])


async def anew(request: Request) -> Staff:
    """The staff actor of a request whose login is remembered, read again. Raises as ``staff_actor``."""
    for name in _STATE:
        if hasattr(request.state, name):
            delattr(request.state, name)
    return await _read_anew(request, vault().hash_token(str(shown_token(request))))


async def _read_anew(request: Request, token_hash: str) -> Staff:
    cloud = cloud_of(request)
    _memory(cloud).known.pop(token_hash, None)
    known = await _read(cloud, token_hash, cloud.clocks.real)
    if known is None or known.login.kind == BORROWED:  # its end is written elsewhere as well
        return await staff_actor(request)
    _use(request, known)
    who = await staff_actor(request)
    _memory(cloud).keep(token_hash, known)
    await note_use(request, known.login, cloud.clocks.real)
    return who


def still() -> ColumnElement[bool]:
    """Part of a statement: the actor of this ``proof`` (its values), is who it was read to be, at ``proof_now``."""
    role = select(literal_column("staff_role.xmin::text", String()))
    role = role.where(
        col(Role.merchant_id) == col(StaffMember.merchant_id),
        col(Role.key) == col(StaffMember.role),
    )
    same = [
        literal_column(f"{name}.xmin::text", String()) == bindparam(f"proof_{name}")
        for name in _TABLES[:-1]
    ]
    same.append(func.coalesce(role.scalar_subquery(), "") == bindparam("proof_staff_role"))
    rows = (
        select(col(Login.id))
        .join(Account, col(Account.id) == col(Login.account_id))
        .join(StaffMember, col(StaffMember.account_id) == col(Account.id))
        .join(Merchant, col(Merchant.id) == col(StaffMember.merchant_id))
        .where(
            col(Login.id) == bindparam("proof_of_login"),
            col(StaffMember.id) == bindparam("proof_of_staff"),
            col(Login.expires_at) > bindparam("proof_now", type_=UTCDateTime()),
            and_(*same),
        )
    )
    return exists(rows.subquery().select())


def _memory(cloud: Cloud) -> Memory:
    memory: Memory = cloud.parts.setdefault(_PART, Memory())
    return memory


def _use(request: Request, known: Remembered) -> None:
    request.state.login = known.login, known.account
    request.state.places = known.places


async def _read(cloud: Cloud, token_hash: str, now: datetime) -> Remembered | None:
    found = await cloud.db.straight(_versions(), {"token_hash": token_hash, "now": now})
    rows = [row for row in found if row[2] is not None]
    if not rows:
        return None
    proofs = {}
    for row in rows:
        versions = {
            f"proof_{name}": value or "" for name, value in zip(_TABLES, row[5:], strict=True)
        }
        own = {"proof_of_login": row[0].id, "proof_of_staff": row[2].id}
        proofs[row[2].id] = versions | own
    places = [Workplace(*row[2:5]) for row in rows]
    until = cloud.clocks.wire.monotonic() + KEEP_S
    return Remembered(rows[0][0], rows[0][1], places, proofs, until)


@built
def _versions() -> Any:
    columns = [
        literal_column(f"{name}.xmin::text", String()).label(f"{name}_version") for name in _TABLES
    ]
    return service.login_with_places().add_columns(*columns)

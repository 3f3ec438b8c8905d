"""Writing an act down, in the transaction of the act itself: both are there, or neither is.

``record`` only notes the entry; it is numbered, chained and inserted as the last thing before the
commit. So the row that all acts of a merchant queue for is locked for the commit alone, and always
last: audited transactions neither fork the chain nor block each other in a ring.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import bindparam, insert, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import chain
from cloud_api.audit.canonical import plain
from cloud_api.audit.mask import masked, network
from cloud_api.audit.models import AuditEntry, AuditHead
from cloud_api.kit.actor import Actor, Customer, Platform, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import before_commit
from cloud_api.kit.statements import built, is_sqlite
from cloud_api.kit.upsert import insert_or_ignore

INSTALLATION: Final = "installation"  # the chain of acts that belong to no single merchant
_ACTION = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")
_MAX_WHY = 500


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    *,
    merchant_id: str,
    store_id: str | None = None,
    subject: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    why: str = "",
    clocks: Clocks,
) -> AuditEntry:
    """Note that ``actor`` does ``action`` (``noun.verb``) to ``subject`` (``kind:id``).

    ``session`` is one of ``Database.write()``. The entry commits with it and vanishes with it (also
    with a savepoint around the call). ``before`` and ``after`` hold what changed, in plain data
    without personal data; use ``changes`` to keep only what differs. Returns the entry; its ``seq``
    and ``hash`` are there after the commit. Raises ValueError for an action that is no ``noun.verb``.
    """
    if not _ACTION.fullmatch(action):
        raise ValueError(f"an action is noun.verb, not {action!r}")
    entry = AuditEntry(
        merchant_id=merchant_id,
        store_id=store_id,
        at=clocks.now,
        wire_at=clocks.real,
        by=actor.ref,
        via=f"staff:{actor.staff_id}" if isinstance(actor, Staff) and actor.platform_admin else "",
        ip=_where(actor),
        login_id=str(getattr(actor, "login_id", "") or ""),
        action=action,
        subject=subject,
        before=None if before is None else masked(plain(before)),
        after=None if after is None else masked(plain(after)),
        why=masked(plain(why.strip()))[:_MAX_WHY],
    )
    before_commit(session, lambda: append(session, entry))
    return entry


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides of a change, with only the keys whose values differ."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return (
        {key: before[key] for key in keys if key in before},
        {key: after[key] for key in keys if key in after},
    )


def facts(row: Any, *names: str) -> dict[str, Any]:
    """The named attributes of a row, for ``before`` and ``after``."""
    return {name: getattr(row, name) for name in names}


async def append(session: AsyncSession, entry: AuditEntry) -> None:
    """Put ``entry`` at the end of its chain. The head's row stays locked until the commit."""
    await session.flush()
    head = await lock_head(session, entry.merchant_id)
    entry.seq, entry.prev = head.seq + 1, head.hash
    entry.hash = chain.hash_of(entry)
    values = {name: getattr(entry, name) for name in _columns()}
    step = {"whose": entry.merchant_id, "was": head.seq, "next": entry.seq, "head": entry.hash}
    if is_sqlite(session):
        moved = (await session.execute(_moved(), step)).first()
        await session.execute(_entered(), values)
    else:
        entered = {f"entry_{name}": value for name, value in values.items()}
        moved = (await session.execute(_moved_and_entered(), step | entered)).first()
    if moved is None:  # nobody can get here while the row is locked
        raise RuntimeError(f"the audit chain of {entry.merchant_id} moved under its lock")


async def lock_head(session: AsyncSession, merchant_id: str) -> AuditHead:
    """The chain's head, locked until the end of the transaction; made where there is none."""
    query, whose = _head(), {"merchant_id": merchant_id}
    head = (await session.exec(query, params=whose)).one_or_none()
    if head is None:
        first = {"merchant_id": merchant_id, "seq": 0, "hash": chain.genesis(merchant_id)}
        await insert_or_ignore(session, AuditHead, first)
        head = (await session.exec(query, params=whose)).one()
    return head


@built
def _head() -> SelectOfScalar[AuditHead]:
    return (
        select(AuditHead)
        .where(col(AuditHead.merchant_id) == bindparam("merchant_id"))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


@built
def _moved() -> Any:
    heads = AuditHead.__table__  # type: ignore[attr-defined]
    return (
        update(heads)
        .where(heads.c.merchant_id == bindparam("whose"), heads.c.seq == bindparam("was"))
        .values(seq=bindparam("next"), hash=bindparam("head"))
        .returning(heads.c.seq)
    )


@built
def _columns() -> tuple[str, ...]:
    return tuple(column.name for column in AuditEntry.__table__.c)  # type: ignore[attr-defined]


@built
def _entered() -> Any:
    return insert(AuditEntry.__table__)  # type: ignore[attr-defined]


@built
def _moved_and_entered() -> Any:
    """Both in one round trip: whoever appends next waits for it. An entry without its step is none."""
    moved = _moved().cte("moved")
    columns = AuditEntry.__table__.c  # type: ignore[attr-defined]
    # Under names of their own: a value that is called like a column of the head would be set there.
    values = [bindparam(f"entry_{name}", type_=columns[name].type) for name in _columns()]
    entry = _entered().from_select(_columns(), select(*values).select_from(moved))
    return select(moved.c.seq).add_cte(entry.returning(columns.id).cte("entered"))


def _where(actor: Actor) -> str:
    """Where the act came from: staff act for the merchant, so in full; of a customer the network."""
    if isinstance(actor, Staff | Platform):
        return actor.ip
    return network(actor.ip) if isinstance(actor, Customer) and actor.ip else ""

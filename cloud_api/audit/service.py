"""Writing an act down, in the transaction of the act itself: both are there, or neither is.

``record`` only notes the entry; it is numbered, chained and inserted as the last thing before the
commit. So the row that all acts of a merchant queue for is locked for the commit alone, and always
last: audited transactions neither fork the chain nor block each other in a ring.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    String,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal,
    update,
)
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import chain
from cloud_api.audit.canonical import canonical, plain
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
_LINK = ("seq", "prev", "hash")  # of an entry: its place in the chain
_WHOSE = ("merchant_id", "store_id")


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
    entry = made_entry(
        actor, action, merchant_id, store_id, subject, before, after, why=why, clocks=clocks
    )
    before_commit(session, lambda: append(session, entry))
    return entry


def made_entry(
    actor: Actor,
    action: str,
    merchant_id: str,
    store_id: str | None,
    subject: str,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    *,
    why: str,
    clocks: Clocks,
) -> AuditEntry:
    """An entry that has no place in its chain yet; see ``record``."""
    return AuditEntry(
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
    """Put ``entry`` at the end of its chain. The head's row stays locked until the commit.

    PostgreSQL does it in one statement: whoever appends next waits for it.
    """
    await session.flush()
    if is_sqlite(session):
        await _append_step_by_step(session, entry)
        return
    values = appending(entry) | {
        "whose": entry.merchant_id,
        "text_store": canonical(entry.store_id),
        "entry_merchant_id": entry.merchant_id,
        "entry_store_id": entry.store_id,
    }
    found = (await session.execute(_appended(), values)).one_or_none()
    if found is None:  # a first entry
        await lock_head(session, entry.merchant_id)
        found = (await session.execute(_appended(), values)).one()
    entry.seq, entry.prev, entry.hash = found


def appending(entry: AuditEntry) -> dict[str, Any]:
    """What a statement with ``append_if`` is sent with; whose the entry is, is left to the statement."""
    before, after = chain.around_link(entry)
    own = {f"entry_{name}": getattr(entry, name) for name in _given() if name not in _WHOSE}
    return own | {"text_before": before, "text_after": after}


def append_if(there: FromClause) -> tuple[CTE, CTE]:
    """Parts of a statement for PostgreSQL: an entry at the end of the chain of ``there``, if it has a row.

    ``there`` has a ``merchant_id`` with a chain that has begun, and a ``store_id``; its row is made
    before the head is locked. The first part gives the entry's ``seq``, ``prev`` and ``hash``.
    """
    heads = AuditHead.__table__  # type: ignore[attr-defined]
    whose = heads.c.merchant_id == there.c.merchant_id
    found: list[Any] = [heads.c.seq, heads.c.hash, there.c.merchant_id, there.c.store_id]
    head = select(*found)
    end = head.select_from(heads.join(there, whose)).with_for_update(of=heads).cte("head")
    quote = literal('"', String())
    return _linked(
        end, end.c.merchant_id, end.c.store_id, quote.concat(end.c.store_id).concat(quote)
    )


def begun(merchant_id: Any) -> ColumnElement[bool]:
    """Whether the chain of a merchant, an expression of a statement, has begun. None ever ends."""
    return exists().where(col(AuditHead.merchant_id) == merchant_id)


async def _append_step_by_step(session: AsyncSession, entry: AuditEntry) -> None:
    head = await lock_head(session, entry.merchant_id)
    entry.seq, entry.prev = head.seq + 1, head.hash
    entry.hash = chain.hash_of(entry)
    step = {"whose": entry.merchant_id, "was": head.seq, "next": entry.seq, "head": entry.hash}
    if (await session.execute(_moved(), step)).first() is None:  # nobody gets here beside us
        raise RuntimeError(f"the audit chain of {entry.merchant_id} moved under its lock")
    values = {name: getattr(entry, name) for name in (*_given(), *_LINK)}
    await session.execute(_entered(), values)


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
def _given() -> tuple[str, ...]:
    """The columns of an entry that are known before its place in the chain is."""
    columns = AuditEntry.__table__.c  # type: ignore[attr-defined]
    return tuple(column.name for column in columns if column.name not in _LINK)


@built
def _entered() -> Any:
    return insert(AuditEntry.__table__)  # type: ignore[attr-defined]


@built
def _appended() -> Any:
    """Lock the head, link the entry to it, move it, write the entry; no row where there is no head."""
    heads = AuditHead.__table__  # type: ignore[attr-defined]
    columns = AuditEntry.__table__.c  # type: ignore[attr-defined]
    whose = bindparam("whose", type_=String())
    head = select(heads.c.seq, heads.c.hash).where(heads.c.merchant_id == whose).with_for_update()
    merchant, store = (bindparam(f"entry_{name}", type_=columns[name].type) for name in _WHOSE)
    spelled = bindparam("text_store", type_=String())
    moved, entered = _linked(head.cte("head"), merchant, store, spelled)
    found: list[Any] = [moved.c[name] for name in _LINK]
    return select(*found).add_cte(entered)


def _linked(end: CTE, merchant_id: Any, store_id: Any, store_text: Any) -> tuple[CTE, CTE]:
    """The head moved from ``end``, which locked it, and the entry written; see ``append_if``."""
    heads = AuditHead.__table__  # type: ignore[attr-defined]
    columns = AuditEntry.__table__.c  # type: ignore[attr-defined]
    link = chain.link_text(end.c.hash, cast(end.c.seq + 1, String), store_text)
    text = bindparam("text_before", type_=String()).concat(link)
    text = text.concat(bindparam("text_after", type_=String()))
    digest = func.encode(func.sha256(func.convert_to(text, "UTF8")), "hex", type_=String())
    step: list[Any] = [
        (end.c.seq + 1).label("seq"),
        end.c.hash.label("prev"),
        digest.label("hash"),
        merchant_id.label("merchant_id"),
        store_id.label("store_id"),
    ]
    linked = select(*step).cte("linked")
    # Not asked is where the head stood: to this statement it stands where it stood before the lock was waited
    # for. The lock is what keeps others off, and an entry's place in the chain is unique.
    moved = (
        update(heads)
        .where(heads.c.merchant_id == linked.c.merchant_id)
        .values(seq=linked.c.seq, hash=linked.c.hash)
        .returning(*linked.c)
        .cte("moved")
    )
    # Under names of their own: a value that is called like a column of the head would be set there.
    rest = [name for name in _given() if name not in _WHOSE]
    values = [bindparam(f"entry_{name}", type_=columns[name].type) for name in rest]
    linking = (*_WHOSE, *_LINK)
    entry = _entered().from_select(
        (*rest, *linking), select(*values, *(moved.c[name] for name in linking))
    )
    return moved, entry.returning(columns.id).cte("entered")


def _where(actor: Actor) -> str:
    """Where the act came from: staff act for the merchant, so in full; of a customer the network."""
    if isinstance(actor, Staff | Platform):
        return actor.ip
    return network(actor.ip) if isinstance(actor, Customer) and actor.ip else ""

"""The same request twice has one effect and one answer (header ``Idempotency-Key``).

The key belongs to the actor. A row is written before the act and completed with its answer; a
second request with the same key and body gets that answer, one with another body is refused. A
refusal or a failure is not kept: nothing was moved, so the same request may be judged again. A
process that died in the middle leaves its row in progress; after a minute another may take it over.

What goes on beyond its transaction (a command on its way to a store) is begun in the transaction that
claims its key, and named there: see ``once_begun``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import CTE, ColumnElement, FromClause, bindparam, exists, not_
from sqlalchemy.dialects import postgresql
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import throttle
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import IdempotencyKey
from cloud_api.kit.repeat import repeated
from cloud_api.kit.statements import built
from cloud_api.kit.throttle import Limit
from cloud_api.kit.upsert import insert_or_ignore

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
TAKE_OVER_S = 60
KEEP = timedelta(days=2)
_MAX_KEY = 128

Act = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Begun:
    """What was begun under a key. ``again``: it ran already, and this request joined it."""

    ref: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is to be claimed for what is begun under ``ref``, and counted. For PostgreSQL."""

    ref: str
    actor: str
    key: str
    digest: str
    now: datetime  # wire time
    most: Limit

    def values(self) -> dict[str, Any]:
        """What a statement with ``claimed_if`` is sent with."""
        row = _row(self.ref, self.actor, self.key, self.digest, self.now, Begun(self.ref))
        counted = self.most.values(self.now) | {"most": self.most.limit}
        return {f"row_{name}": value for name, value in row.items()} | counted


def unclaimed() -> ColumnElement[bool]:
    """Part of a statement: nobody has the key of ``Claim.values``, as far as this can be seen."""
    columns = IdempotencyKey.__table__.c  # type: ignore[attr-defined]
    same = (columns[name] == bindparam(f"row_{name}") for name in ("actor", "key"))
    return not_(exists().where(*same))


def claimed_if(there: FromClause) -> tuple[CTE, CTE]:
    """Parts of a statement for PostgreSQL: a key is counted and claimed, if ``there`` has a row.

    The second part, the claim, has a row where what is to be begun may begin. Nothing is counted beyond
    the limit; of two at once with one key both may be.
    """
    counted = throttle.hit_if(there, within=True).cte("counted")
    return counted, _mine(counted).cte("mine")


Begin = Callable[[AsyncSession, str], Awaitable[Begun]]  # with a ref that it may use
AtOnce = Callable[[Claim], Awaitable[bool]]  # whether it was done
Finish = Callable[[Begun, bool], Awaitable[Any]]  # and whether it was begun by this request


async def once(
    cloud: Cloud, actor_ref: str, request: Request, body_bytes: bytes, act: Act
) -> Response:
    """Run ``act`` once for this actor, key and body, and answer the same every time.

    ``act`` returns a pydantic model, JSON data, or a JSONResponse where the status is not 200. Without
    the header it simply runs. Raises KaimenError: ``idempotency.bad_key`` (400),
    ``idempotency.other_body`` (422), ``idempotency.in_progress`` (409), and whatever ``act`` raises.
    """
    key = _key(request)
    if key is None:
        return _response(await repeated(act))
    digest = _hash(request, body_bytes)
    row_id = new_id()
    async with cloud.db.write() as session:
        known = await _claim(session, row_id, actor_ref, key, digest, cloud.clocks.real)
    if isinstance(known, Begun):
        raise _in_progress()
    if known is not None:
        return known
    try:
        response = _response(await repeated(act))
    except Exception:
        async with cloud.db.write() as session:
            await session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.id) == row_id))
        raise
    async with cloud.db.write() as session:
        await _keep(session, row_id, response)
    return response


async def once_within(
    cloud: Cloud,
    actor_ref: str,
    request: Request,
    body_bytes: bytes,
    act: Callable[[AsyncSession], Awaitable[Any]],
) -> Response:
    """As ``once``, for an act that is one transaction: key, act and answer are committed together.

    One commit instead of three. The same request at the same time waits for the first and gets its
    answer; a refusal takes the key back with everything else. Raises as ``once``.
    """
    key = _key(request)

    async def whole() -> Response:
        async with cloud.db.write() as session:
            if key is None:
                return _response(await act(session))
            row_id, digest = new_id(), _hash(request, body_bytes)
            known = await _claim(session, row_id, actor_ref, key, digest, cloud.clocks.real)
            if isinstance(known, Begun):
                raise _in_progress()
            if known is not None:
                return known
            response = _response(await act(session))
            await _keep(session, row_id, response)
            return response

    return await repeated(whole)


async def once_begun(
    cloud: Cloud,
    actor_ref: str,
    request: Request,
    body_bytes: bytes,
    begin: Begin,
    finish: Finish,
    *,
    most: Limit | None = None,
    at_once: AtOnce | None = None,
) -> Response:
    """Begin once for this actor, key and body, and answer what became of it to whoever asks.

    ``begin`` writes in the transaction that claims the key, and names what it wrote; ``finish`` waits
    for its outcome, for a repeated request as well. One commit does for both, none is needed for the
    answer, and whenever a process dies, nothing is left under which it could begin a second time. An
    answer that was "not known yet" may be a better one when it is asked for again. ``most``: how often it
    may be begun; what is only repeated does not count. ``at_once``: does all that ``begin`` would do and
    claims the key, where nothing stands in the way, or does nothing. Raises as ``once``, and TooOften.
    """
    key = _key(request)
    ref = new_id()
    now = cloud.clocks.real
    digest = _hash(request, body_bytes)
    claim = None
    if key is not None and most is not None and not cloud.db.is_sqlite:
        claim = Claim(ref, actor_ref, key, digest, now, most)
        if at_once is not None and await at_once(claim):
            return _response(await finish(Begun(ref), True))
    async with cloud.db.write() as session:
        known, claimed = None, False
        if key is not None:
            claimed = claim is not None and await _claim_and_count(session, claim)
            if not claimed:
                known = await _claim(session, ref, actor_ref, key, digest, now, Begun(ref))
        if isinstance(known, Response):
            return known
        if known is None and most is not None and not claimed:
            await throttle.hit(session, most.key, most.limit, most.window_s, now)
        begun = known or await begin(session, ref)
        if known is None and key is not None and begun != Begun(ref):
            await session.exec(
                update(IdempotencyKey)
                .where(col(IdempotencyKey.id) == ref)
                .values(response=_named(begun))
            )
    response = _response(await finish(begun, known is None))
    if known is not None:
        response.headers[REPLAYED] = "true"
    return response


async def _claim(
    session: AsyncSession,
    row_id: str,
    actor: str,
    key: str,
    digest: str,
    now: datetime,
    begins: Begun | None = None,
) -> Response | Begun | None:
    """None if the key is ours now, else the answer kept for it, or what was begun under it."""
    values = _row(row_id, actor, key, digest, now, begins)
    if await insert_or_ignore(session, IdempotencyKey, values):
        return None
    mine = (col(IdempotencyKey.actor) == actor, col(IdempotencyKey.key) == key)
    row = (await session.exec(select(IdempotencyKey).where(*mine))).one_or_none()
    if row is None:  # given up between the two statements
        raise _in_progress()
    if row.request_hash != digest:
        raise KaimenError(
            "idempotency.other_body",
            "这个 Idempotency-Key 已经用于另一个请求，请换一个",
            status=422,
            field=HEADER,
        )
    if row.status is not None:
        body = (row.response or {}).get("body")
        return JSONResponse(body, status_code=row.status, headers={REPLAYED: "true"})
    if row.response is not None:
        return Begun(row.response["ref"], row.response["again"])
    if row.created_at > now - timedelta(seconds=TAKE_OVER_S):
        raise _in_progress()
    taken: Any = await session.exec(
        update(IdempotencyKey)
        .where(col(IdempotencyKey.id) == row.id, col(IdempotencyKey.created_at) == row.created_at)
        .values(
            id=row_id,
            created_at=now,
            **({} if begins is None else {"response": _named(begins)}),
        )
    )
    if taken.rowcount != 1:
        raise _in_progress()
    return None


def _row(
    row_id: str, actor: str, key: str, digest: str, now: datetime, begins: Begun | None
) -> dict[str, Any]:
    return {
        "id": row_id,
        "actor": actor,
        "key": key,
        "request_hash": digest,
        "created_at": now,
        **({} if begins is None else {"response": _named(begins)}),
    }


async def _claim_and_count(session: AsyncSession, claim: Claim) -> bool:
    """Claim a key that nobody has and count it, in one statement; False, and nothing done, for another.

    Raises TooOften.
    """
    found = (await session.execute(_claimed_and_counted(), claim.values())).first()
    if found is None:
        return False
    count, since = found
    claim.most.judge(count, since, claim.now)
    return True


@built
def _claimed_and_counted() -> Any:
    mine = _mine(None).cte("mine")
    counted = throttle.hit_if(mine).cte("counted")
    return select(counted.c.count, counted.c.window_start)


def _mine(there: FromClause | None) -> Any:
    """The key's row, if nobody has it; and where it is given, only if ``there`` has a row."""
    columns = IdempotencyKey.__table__.c  # type: ignore[attr-defined]
    names = ("id", "actor", "key", "request_hash", "created_at", "response")
    # Under names of their own: a value that is called like a column of the other table would be set there.
    values = {name: bindparam(f"row_{name}", type_=columns[name].type) for name in names}
    insert: Any = postgresql.insert(IdempotencyKey.__table__)  # type: ignore[attr-defined]
    if there is None:
        insert = insert.values(values)
    else:
        insert = insert.from_select(names, select(*values.values()).select_from(there))
    return insert.on_conflict_do_nothing().returning(columns.id)


async def forget_old(session: AsyncSession, now: datetime) -> None:
    """Delete keys older than two days; ``now`` is wire time."""
    old = col(IdempotencyKey.created_at) < now - KEEP
    await session.exec(delete(IdempotencyKey).where(old))


def _key(request: Request) -> str | None:
    """The request's key; raises KaimenError ``idempotency.bad_key`` for one that nobody could mean."""
    key = request.headers.get(HEADER)
    if key is not None and not (0 < len(key) <= _MAX_KEY and key.isascii() and key.isprintable()):
        raise KaimenError(
            "idempotency.bad_key", "Idempotency-Key 要 1 到 128 个可见字符", field=HEADER
        )
    return key


async def _keep(session: AsyncSession, row_id: str, response: Response) -> None:
    """Complete the row with its answer."""
    body = json.loads(bytes(response.body) or b"null")
    values = {"row": row_id, "answer": response.status_code, "kept": {"body": body}}
    await session.execute(_answered(), values)


@built
def _answered() -> Any:
    table = IdempotencyKey.__table__  # type: ignore[attr-defined]
    row = table.c.id == bindparam("row")
    return table.update().where(row).values(status=bindparam("answer"), response=bindparam("kept"))


def _named(begun: Begun) -> dict[str, Any]:
    return {"ref": begun.ref, "again": begun.again}


def _hash(request: Request, body: bytes) -> str:
    head = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(head.encode() + body).hexdigest()


def _in_progress() -> Conflict:
    return Conflict("idempotency.in_progress", "同一个请求还在处理，稍等再试")


def _response(made: Any) -> Response:
    if isinstance(made, Response):
        return made
    if isinstance(made, BaseModel):
        return Response(made.model_dump_json(by_alias=True), media_type="application/json")
    return JSONResponse(jsonable_encoder(made))

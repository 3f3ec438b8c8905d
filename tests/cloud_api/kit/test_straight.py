"""What goes straight to the driver finds, refuses and breaks as what goes through a session."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import and_, bindparam, func, insert, literal
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlmodel import col, select

from cloud_api.auth.models import Account, Login
from cloud_api.kit.database import Database
from cloud_api.kit.models import DueJob, FeedEntry
from cloud_api.kit.problems import from_database
from cloud_api.kit.statements import built
from cloud_api.kit.straight import straight
from cloud_api.kit.writing import values_of
from cloud_api.staff import service as staff
from cloud_api.staff.models import StaffMember
from tests.cloud_api.factories import Shop, make_login, make_staff

pytestmark = pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)


@built
def _with_places() -> Any:
    works = and_(col(StaffMember.account_id) == col(Account.id), col(StaffMember.active))
    return (
        select(Login, Account, col(StaffMember.id).label("member"), StaffMember)
        .join(Account, col(Account.id) == col(Login.account_id))
        .outerjoin(StaffMember, works)
        .where(col(Login.expires_at) > bindparam("now"))
        .order_by(col(Login.id))
    )


async def test_rows_are_those_of_a_session(db: Database, shop: Shop, now: datetime) -> None:
    """Times, JSON and what is kept encrypted are turned by the same types; who is not there is None."""
    async with db.write() as session:
        member = await make_staff(session, shop, now, role="manager", store_ids=[shop.store.id])
        await make_login(session, member.account_id, now)
        guest = await make_staff(session, shop, now)
        guest.active = False
        await make_login(session, guest.account_id, now)
    values = {"now": now}
    async with db.read() as session:
        ordinary = (await session.execute(_with_places(), values)).all()
    found = await db.straight(_with_places(), values)
    assert len(found) == len(ordinary) == 2
    for row, same in zip(found, ordinary, strict=True):
        assert row.member == same.member
        for one, other in zip(row, same, strict=True):
            assert type(one) is type(other)
            if isinstance(one, (Login, Account, StaffMember)):
                assert values_of(one) == values_of(other)
    assert {row.StaffMember and row.StaffMember.role for row in found} == {"manager", None}


async def test_a_login_with_its_places_is_the_same_on_both_ways(
    db: Database, shop: Shop, now: datetime
) -> None:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        token = await make_login(session, member.account_id, now)
    found = await staff.login_and_places(db, token, now)
    assert found is not None
    login, account, (place,) = found
    assert (login.account_id, account.id, place.member.id) == (
        account.id,
        member.account_id,
        member.id,
    )
    assert place.merchant.id == shop.merchant.id
    assert place.role is None
    assert await staff.login_and_places(db, token + "x", now) is None


@built
def _job() -> Any:
    rows = {name: bindparam(f"v_{name}", type_=getattr(DueJob, name).type) for name in _COLUMNS}
    made = insert(DueJob).from_select(list(rows), select(*rows.values())).returning(col(DueJob.id))
    one = made.cte("one")
    return select(one, literal("fixed").label("said"))


_COLUMNS = (
    "id", "merchant_id", "kind", "ref", "clock", "run_at", "body", "attempts", "max_attempts",
)  # fmt: skip


def _values(now: datetime, number: int) -> dict[str, Any]:
    own = {"id": f"j{number}", "merchant_id": "m", "kind": "k", "ref": "r", "run_at": now}
    own |= {"body": {"梅": [1, None]}, "attempts": 0, "clock": "business", "max_attempts": 3}
    return {f"v_{name}": value for name, value in own.items()}


async def test_what_it_writes_is_committed_and_refused_alike(db: Database, now: datetime) -> None:
    (row,) = await db.straight(_job(), _values(now, 1))
    assert row == ("j1", "fixed")
    async with db.read() as session:
        kept = (await session.exec(select(DueJob))).one()
    assert (kept.body, kept.run_at) == ({"梅": [1, None]}, now)
    with pytest.raises(IntegrityError):
        await db.straight(_job(), _values(now, 2))
    nul = _values(now, 3) | {"v_ref": "a\x00b"}
    with pytest.raises(DBAPIError) as refused:
        await db.straight(_job(), nul)
    assert (told := from_database(refused.value)) is not None
    assert told.code == "invalid.character"
    with pytest.raises((KeyError, StatementError)):
        await db.straight(_job(), {})
    async with db.read() as session:
        assert len((await session.exec(select(DueJob))).all()) == 1


@built
def _lines() -> Any:
    among = col(FeedEntry.topic).in_(bindparam("topics", expanding=True))
    return select(FeedEntry.topic).where(among).order_by(col(FeedEntry.topic))


async def test_a_text_that_depends_on_its_values_goes_the_ordinary_way(
    db: Database, now: datetime
) -> None:
    async with db.write() as session:
        session.add_all(
            FeedEntry(merchant_id="m", topic=topic, body={}, at=now) for topic in ("a", "b", "c")
        )
    for wanted in (["a", "c"], ["b"], []):
        assert [row.topic for row in await db.straight(_lines(), {"topics": wanted})] == wanted


@built
def _short_job() -> Any:
    some = {name: bindparam(f"v_{name}", type_=getattr(DueJob, name).type) for name in _COLUMNS[:4]}
    made = insert(DueJob).from_select(list(some), select(*some.values())).returning(col(DueJob.id))
    return select(made.cte("one"))


async def test_what_python_would_fill_in_is_not_left_out(db: Database, now: datetime) -> None:
    assert straight(_short_job(), db.engine.dialect) is None
    assert straight(_job(), db.engine.dialect) is not None


async def test_a_connection_that_broke_is_told_as_such_and_left(
    db: Database, now: datetime
) -> None:
    suicide = select(func.pg_terminate_backend(func.pg_backend_pid()).label("gone"))
    with pytest.raises(DBAPIError) as broken:
        await db.straight(suicide, {})
    assert (told := from_database(broken.value)) is not None
    assert told.code == "unavailable"
    assert await db.straight(_lines_after(), {"now": now}) == []


@built
def _lines_after() -> Any:
    return select(FeedEntry).where(col(FeedEntry.at) > bindparam("now"))

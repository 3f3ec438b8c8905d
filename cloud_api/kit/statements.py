"""Statements that are built once per process.

To put a statement together costs SQLAlchemy more than to send it: each column, comparison and join is an
object, and all of them are walked for the key under which the compiled text is kept. Where requests are
many, a query is a function under ``built``, with ``bindparam`` for what differs:

    @built
    def _good_login() -> SelectOfScalar[Login]:
        return select(Login).where(col(Login.token_hash) == bindparam("token_hash"))

    await session.exec(_good_login(), params={"token_hash": …})

What is narrowed to an actor takes the stand-in of its kind as its one argument (kit/actor.py). A bound
value takes the type of the column it is compared with; one that stands alone has to name it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from sqlalchemy import ARRAY, BindParameter, ColumnElement, any_, bindparam
from sqlalchemy.orm import Mapped
from sqlmodel.ext.asyncio.session import AsyncSession

_Value = TypeVar("_Value")
# A value, the place of one that is sent with the statement, or a column of the same query.
Bound: TypeAlias = _Value | BindParameter[_Value] | Mapped[_Value]
_Statement = TypeVar("_Statement")
_Kind = ParamSpec("_Kind")


def built(make: Callable[_Kind, _Statement]) -> Callable[_Kind, _Statement]:
    """``make``, called once for each of its few arguments; statements never change, so they are shared."""
    return cast(Callable[_Kind, _Statement], cache(make))


def is_sqlite(session: AsyncSession) -> bool:
    """Whether ``session`` speaks to SQLite."""
    return session.get_bind().dialect.name == "sqlite"


def among(column: Any, name: str, *, sqlite: bool) -> ColumnElement[bool]:
    """``column`` is one of the values bound under ``name``.

    On PostgreSQL they travel as one array, so that the text is the same however many there are, and is
    read and planned once; SQLite has no arrays, and reads for nearly nothing.
    """
    if sqlite:
        return cast(ColumnElement[bool], column.in_(bindparam(name, expanding=True)))
    return cast(ColumnElement[bool], column == any_(bindparam(name, type_=ARRAY(column.type))))

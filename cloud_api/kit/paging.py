"""Pages of a list by cursor: where the last one ended, not how many rows to skip.

Rows that come or go meanwhile shift nothing, and the hundredth page costs what the first does.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Integer
from sqlmodel import SQLModel, col, or_
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.errors import KaimenError

Row = TypeVar("Row", bound=SQLModel)
PAGE = 20
MOST = 100


async def page_of(
    session: AsyncSession,
    query: SelectOfScalar[Row],
    *,
    by: Any,
    key: Any,
    downwards: bool = True,
    cursor: str | None = None,
    limit: int = PAGE,
) -> tuple[list[Row], str | None]:
    """Rows of ``query`` ordered by column ``by``, then by ``key``, and the cursor of the next page.

    ``by`` is an instant, a text or an integer and not null; ``key`` is unique. Raises KaimenError ``cursor.bad`` (422).
    """
    order: Any = col(by)
    last: Any = col(key)
    if cursor:
        told, marked = read_cursor(cursor)
        value, unique = _value(order, told), _value(last, marked)
        if downwards:
            query = query.where(or_(order < value, (order == value) & (last < unique)))
        else:
            query = query.where(or_(order > value, (order == value) & (last > unique)))
    ordered = (order.desc(), last.desc()) if downwards else (order.asc(), last.asc())
    found = list((await session.exec(query.order_by(*ordered).limit(min(limit, MOST) + 1))).all())
    page = found[: min(limit, MOST)]
    if len(found) <= len(page):
        return page, None
    end = page[-1]
    return page, cursor_of(getattr(end, order.key), getattr(end, last.key))


def cursor_of(value: Any, unique: Any) -> str:
    """The cursor of the page that begins behind ``value`` and ``unique``."""
    told = value.isoformat() if isinstance(value, datetime) else value
    raw = json.dumps([told, unique], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[Any, Any]:
    """What a cursor says; its caller asks what it may be. Raises KaimenError ``cursor.bad`` (422)."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        value, unique = json.loads(raw)
    except (ValueError, binascii.Error, TypeError) as error:
        raise bad_cursor() from error
    return value, unique


def _value(column: Any, told: Any) -> Any:
    """What a cursor says of a column, if a row could hold it."""
    kind = column.type
    if isinstance(kind, UTCDateTime):
        try:
            instant = datetime.fromisoformat(told)
        except (TypeError, ValueError) as error:
            raise bad_cursor() from error
        if instant.tzinfo is None or not 2000 <= instant.year < 2100:
            raise bad_cursor()
        return instant
    if isinstance(kind, Integer):
        most = 2**63 if isinstance(kind, BigInteger) else 2**31
        if type(told) is not int or abs(told) >= most:
            raise bad_cursor()
    else:
        return plain_text(told)
    return told


def plain_text(told: Any) -> str:
    """A text of a cursor that a database can be asked for. Raises KaimenError ``cursor.bad`` (422)."""
    if not isinstance(told, str) or "\0" in told:
        raise bad_cursor()
    try:
        told.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise bad_cursor() from error
    return told


def bad_cursor() -> KaimenError:
    """422: a cursor that no page of this list gave."""
    return KaimenError("cursor.bad", "这一页的地址不对，从第一页重新看", status=422, field="cursor")

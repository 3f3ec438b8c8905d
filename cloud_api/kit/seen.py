"""Two who change the same thing at once: the second is told, and writes over nobody's work.

A form carries a mark of what it was drawn with and sends it as ``X-Seen``; the answer brings the mark of what
stands there now in the same header (``ETag`` would be the word, but proxies that compress rewrite it). A mark
is of the content: what was changed and changed back is the same. Who sends none, as other software may,
writes as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Header, Response

from cloud_api.kit.errors import Conflict

HEADER: Final = "X-Seen"
Saw = Annotated[str | None, Header(alias=HEADER, max_length=80)]
"""What a request says that it saw; None: it does not say."""


def mark(values: Mapping[str, Any]) -> str:
    """The mark of what stands there."""
    told = json.dumps(values, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()[:20]


def unchanged(
    saw: str | None, values: Mapping[str, Any], wanted: Mapping[str, Any], code: str
) -> None:
    """Go on if ``values`` are what was seen, or what is ``wanted``: an answer was lost, and this is a second try.

    Raises Conflict ``code``. Hold the row before you look.
    """
    if saw is not None and saw not in (now := mark(values), "") and now != mark(wanted):
        raise Conflict(code, "这里刚被别人改过，刷新看一眼新的，再改你的")


def marked(response: Response, values: Mapping[str, Any]) -> None:
    """Say with the answer what stands there now."""
    response.headers[HEADER] = mark(values)

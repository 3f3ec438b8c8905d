"""What was once found out of credentials: to open a merchant's key file takes 10 ms, on each page with an order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_MOST: Final = 4_096
_found: dict[tuple[str, bytes], bool] = {}


def found_out(question: str, credentials: str, find_out: Callable[[], bool]) -> bool:
    """The answer about these credentials, found out once per process.

    It must hang on nothing else, not on the time either. What is kept is a digest and the answer.
    """
    key = (question, hashlib.sha256(credentials.encode()).digest())
    answer = _found.get(key)
    if answer is None:
        answer = find_out()
        if len(_found) >= _MOST:
            _found.clear()
        _found[key] = answer
    return answer

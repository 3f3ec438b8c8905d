"""What must be quick is measured again where the machine was busy elsewhere at that moment.

What is slow by itself is slow each time; a neighbour that takes the processor away for half a second is
not there each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

TRIES = 6


async def least(
    measure: Callable[[], Awaitable[float]], enough: float, tries: int = TRIES
) -> float:
    """The least that ``measure`` gave: it is asked until it gives less than ``enough``, or ``tries`` times."""
    best = await measure()
    while best >= enough and tries > 1:
        best, tries = min(best, await measure()), tries - 1
    return best

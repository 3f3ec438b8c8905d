"""The one clock a bridge needs: seconds that only grow. Any clock of the controller serves as one."""

from __future__ import annotations

import time
from typing import Protocol


class Ticks(Protocol):
    """What deadlines and the age of readings are measured by."""

    def monotonic(self) -> float:
        """Seconds that only grow, unmoved by steps of the system's clock."""
        ...


class SinceBoot:
    """Seconds since boot, counting suspended time where the system can tell (Linux).

    An unlock that waited through a laptop's sleep is as late as its guest finds it.
    """

    def monotonic(self) -> float:
        """The seconds."""
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boottime is None else time.clock_gettime(boottime)

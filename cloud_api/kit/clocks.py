"""The pair of clocks that services take: business for room time, wire for expiry and time-outs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from store_link.clock import BusinessClock, Clock, WireClock


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks. ``business`` is what rooms, holds and stays live by; see store_link.clock."""

    business: Clock
    wire: Clock = field(default_factory=WireClock)

    @classmethod
    def of(cls, offset_file: Path | None) -> Clocks:
        """Real clocks; business time is offset by ``offset_file`` where there is one."""
        wire = WireClock()
        return cls(BusinessClock(offset_file, wire), wire)

    @property
    def now(self) -> datetime:
        """Business time."""
        return self.business.now()

    @property
    def real(self) -> datetime:
        """Wire time."""
        return self.wire.now()

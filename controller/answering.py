"""The way by which the store answers whoever waits: what commands need of the link."""

from __future__ import annotations

from typing import Protocol

from store_link.messages import CommandAck


class Uplink(Protocol):
    """What commands need of the link."""

    @property
    def nonce(self) -> str | None:
        """Of the present connection; None while there is none."""
        ...

    async def send_ack(self, instance: str, ack: CommandAck) -> None:
        """The fast path to the process that waits; lost if the link is."""
        ...

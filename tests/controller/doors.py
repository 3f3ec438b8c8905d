"""A store whose first door has a code reader, and phones that show passes before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ulid import ULID

from firmware_bridge.virtual import StreamLine
from firmware_bridge.virtual.rig import Rig, RigFile
from store_link.clock import from_ms
from store_link.messages import Desired, EventKind
from store_link.passes import issue, pin_hmac
from tests.controller.cloud import until
from tests.controller.world import IO, MINUTE, RELAY, World

SCANNER = "hzgrow.gm65"


class DoorWorld(World):
    """``role`` of the reader: ``keypad`` where PINs can be typed on it."""

    role = "reader"
    more: dict[str, tuple[str, str]] = {}  # noqa: RUF012  line -> board and profile

    def __init__(self, directory: Path, host: str, port: int) -> None:
        super().__init__(directory, host, port)
        boards = {
            "rs485-1": ("relay", RELAY),
            "rs485-2": ("io", IO),
            "scanner-1": ("scan", SCANNER),
        } | self.more
        self.rig = Rig(
            RigFile.model_validate(
                {
                    "lines": {
                        line: {"boards": [{"id": key, "profile": profile}]}
                        for line, (key, profile) in boards.items()
                    }
                }
            ),
            links=directory / "dev",
        )

    def document(self, *stays: dict[str, Any], **changes: Any) -> Desired:
        plain = super().document(*stays, **changes).model_dump()
        plain["boards"] += ({"id": "scan", "profile": SCANNER, "port": "scanner-1"},)
        plain["bindings"] += (
            {
                "id": "reader1",
                "board": "scan",
                "capability": "input.code",
                "role": self.role,
                "rooms": ["r1"],
            },
        )
        plain["doors"][0]["reader"] = "reader1"
        return Desired.model_validate(plain)

    # -- phones

    def show(self, text: str) -> None:
        """Hold a code before the reader."""
        self.rig.scan("scan", text)

    def raw(self, data: bytes) -> None:
        """Let these bytes come from the reader."""
        line = self.rig.lines["scanner-1"]
        assert isinstance(line, StreamLine)
        line.send([data])

    def make_pass(self, grant: str, **changes: Any) -> str:
        """A pass of room r1, issued now for an hour; instants in business ms."""
        now = self.now()
        fields: dict[str, Any] = {
            "store": self.store,
            "grant": grant,
            "rooms": [0],
            "not_before": now,
            "expires": now + 60 * MINUTE,
            "rotating": True,
        }
        fields |= changes
        fields["not_before"] = from_ms(fields["not_before"])
        fields["expires"] = from_ms(fields["expires"])
        return issue(fields.pop("key", self.cloud.pass_key), **fields)

    def pin(self, grant: str, pin: str) -> dict[str, str]:
        """What the document carries of a PIN."""
        return {"grant": grant, "hmac": pin_hmac(self.cloud.mac.secret, grant, pin)}

    # -- looking

    def accesses(self) -> list[dict[str, Any]]:
        return self.cloud.of(EventKind.ACCESS)

    async def access(self, number: int) -> dict[str, Any]:
        """The ``number``-th entry or refusal (from 1) that the cloud has heard of."""
        await until(lambda: len(self.accesses()) >= number, 30, f"access event {number}")
        return self.accesses()[number - 1]


def new_grant() -> str:
    return str(ULID())

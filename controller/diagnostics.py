"""The diagnostics bundle: what somebody far away needs to see what is wrong here, and no secret.

Asked for by a command that names who agreed; ``KAIMEN_EDGE_DIAGNOSTICS=off`` refuses it here. Guests are
in it as grants struck out, staff as ids: a store knows no names.
"""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller import __version__, logs
from controller.identity import Identity
from controller.inspect import doctor, tail
from controller.masking import masked
from controller.report import Reporter
from controller.state import StoreState
from controller.timekeeper import Timekeeper, kernel_synced
from store_link.clock import Clock

MAX_BYTES = 200 << 10
EVENTS, COMMANDS, LINES = 150, 60, 300


class Diagnostics:
    """``await bundle()``: bytes of masked JSON, at most ``MAX_BYTES``."""

    def __init__(
        self,
        identity: Identity,
        state_dir: Path,
        ports: Mapping[str, str],
        *,
        state: StoreState,
        reporter: Reporter,
        timekeeper: Timekeeper,
        wire: Clock,
        acked: Callable[[], int],
    ) -> None:
        self._identity = identity
        self._dir = state_dir
        self._ports = ports
        self._state = state
        self._reporter = reporter
        self._time = timekeeper
        self._wire = wire
        self._acked = acked
        self._began = time.monotonic()

    async def bundle(self) -> bytes:
        """Gather it. The newest events, commands and lines of the log; fewer where it would be too long."""
        report = await self._reporter.build("none", "none", self._acked())
        found = await asyncio.to_thread(self._from_disk)
        facts = {
            "made_at": datetime.now(UTC).isoformat(),
            "version": __version__,
            "python": platform.python_version(),
            "machine": platform.platform(),
            "up_s": round(time.monotonic() - self._began),
            "memory_kb": _memory_kb(),
            "store": self._identity.store,
            "cloud": self._identity.cloud,
            "broker": {
                "host": self._identity.mqtt.host,
                "port": self._identity.mqtt.port,
                "tls": self._identity.mqtt.tls,
            },
            "ports": dict(self._ports),
            "clock": {
                "quality": self._time.read().quality.value,
                "kernel_synced": kernel_synced(),
                "mark": self._time.mark().as_json(),
            },
            "report": report.model_dump(mode="json", exclude={"boot", "nonce"}),
            "document": self._document(),
            **found,
        }
        text = b""
        for share in (1.0, 0.5, 0.2, 0.0):
            some = {
                **facts,
                "events": found["events"][: round(EVENTS * share)],
                "commands": found["commands"][: round(COMMANDS * share)],
                "log": found["log"][-round(LINES * share) or LINES :] if share else [],
            }
            text = json.dumps(masked(some), ensure_ascii=False, indent=1).encode()
            if len(text) <= MAX_BYTES:
                break
        return text[:MAX_BYTES]

    def _from_disk(self) -> dict[str, Any]:
        usage = shutil.disk_usage(self._dir)
        now = self._wire.now()
        return {
            "disk": {"free_mb": usage.free >> 20, "of_mb": usage.total >> 20},
            "doctor": [
                {"good": one.good, "text": one.text} for one in doctor(self._dir, self._ports, now)
            ],
            **tail(self._dir, EVENTS, COMMANDS),
            "log": logs.last(LINES),
        }

    def _document(self) -> dict[str, Any] | None:
        desired = self._state.desired
        if desired is None:
            return None
        counted = ("rooms", "doors", "stays", "pins", "revoked", "schedules", "staff")
        return {
            "epoch": desired.epoch,
            "rev": desired.rev,
            "counts": {name: len(getattr(desired, name)) for name in counted},
            "boards": [board.model_dump() for board in desired.boards],
            "bindings": [binding.model_dump() for binding in desired.bindings],
        }


def _memory_kb() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = next((line for line in lines if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(found.split()[1])

"""What can be written of what happened, in one transaction: changes and their events, together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.models import Model
from ulid import ULID

from controller.holds import OverrideRecord
from controller.journal.models import (
    CommandEntry,
    DesiredEntry,
    GrantUse,
    KeyValue,
    OutboxEntry,
    OverrideEntry,
    StayEntry,
)
from controller.stay import StayRecord
from controller.timekeeper import Now
from store_link.messages import AckState, Command, EventKind, Reason, StayState

# What may be left out where room is short: no door, no stay and no money hangs on it.
LESSER = frozenset({EventKind.DEVICE, EventKind.POWER, EventKind.CLOCK_STEP, EventKind.BOOT})


class Tx:
    """What can be written in one transaction. Nothing outside is awaited inside one."""

    def __init__(
        self, db: BaseDBAsyncClient, now: Now, historical: bool, *, tight: bool = False
    ) -> None:
        self._db = db
        self._now = now
        self._historical = historical
        self._tight = tight
        self.left_out = 0
        self.events = 0

    async def event(self, kind: EventKind, body: BaseModel | dict[str, Any]) -> None:
        """Put an event behind all others; one of the lesser kinds is left out where room is short."""
        if self._tight and kind in LESSER:
            self.left_out += 1
            return
        plain = body if isinstance(body, dict) else body.model_dump(mode="json")
        row = {
            "id": str(ULID()),
            "at": self._now.ms,
            "clock": self._now.quality.value,
            "kind": kind.value,
            "body": plain,
            "historical": self._historical,
        }
        self.events += await self._insert(OutboxEntry, row, "NOTHING")

    async def put_stay(self, stay: StayRecord) -> None:
        """Write a stay as it is now."""
        await self._replace(StayEntry, asdict(stay))

    async def drop_events(self, upto: int) -> None:
        """Forget events that were acknowledged long ago."""
        await OutboxEntry.filter(seq__lte=upto).using_db(self._db).delete()

    async def drop_old(self, before: int, listed: Iterable[str]) -> None:
        """Forget commands received, and stays ended, before ``before`` (ms); not stays ``listed``."""
        await CommandEntry.filter(received_at__lt=before).using_db(self._db).delete()
        old = StayEntry.filter(state=StayState.ENDED.value, ended_at__lt=before)
        await old.exclude(id__in=list(listed)).using_db(self._db).delete()

    async def drop_uses(self, before: int) -> None:
        """Forget how often grants without a stay here opened a door, where that was before ``before`` (ms)."""
        await self._db.execute_query(
            'DELETE FROM "grant_use" WHERE max("first_at", coalesce("last_at", 0)) < ?'
            ' AND "grant" NOT IN (SELECT "grant" FROM "stay")',
            [before],
        )

    async def drop_stays(self, ids: Iterable[str]) -> None:
        """Forget ended stays."""
        await StayEntry.filter(id__in=list(ids)).using_db(self._db).delete()

    async def take_command(
        self, command: Command, grant: str | None, at_ms: int, state: str = "received"
    ) -> bool:
        """Write a command down as ``received`` or ``executing``; False if its id was seen before."""
        row: dict[str, Any] = {
            "id": command.id,
            "action": command.action.value,
            "target": command.target,
            "grant": grant,
            "by": command.by,
            "state": state,
            "reply_to": command.reply_to,
            "received_at": at_ms,
            "evidence": {},
        }
        return await self._insert(CommandEntry, row, "NOTHING") == 1

    async def command_executing(self, command: str) -> None:
        """The last word before the act."""
        await CommandEntry.filter(id=command).using_db(self._db).update(state="executing")

    async def command_opened(self, command: str) -> None:
        """Its door opened; what the board shows of it is still to come."""
        await CommandEntry.filter(id=command).using_db(self._db).update(state="opened")

    async def command_final(
        self, command: str, state: AckState, reason: Reason | None, evidence: dict[str, Any]
    ) -> None:
        """How it ended."""
        await (
            CommandEntry.filter(id=command)
            .using_db(self._db)
            .update(state=state.value, reason=reason and reason.value, evidence=evidence)
        )

    async def use_grant(self, grant: str) -> None:
        """Count one entry by ``grant``."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        if use is None:
            at = self._now.ms
            _ = await GrantUse.create(
                using_db=self._db, grant=grant, uses=1, first_at=at, last_at=at
            )
        else:
            row = GrantUse.filter(grant=grant).using_db(self._db)
            await row.update(uses=use.uses + 1, last_at=self._now.ms)

    async def return_grant(self, grant: str) -> None:
        """Take back a use that opened nothing, or may have opened nothing."""
        use = await GrantUse.get_or_none(grant=grant, using_db=self._db)
        if use is not None and use.uses > 0:
            row = GrantUse.filter(grant=grant).using_db(self._db)
            await row.update(uses=use.uses - 1, last_at=None)

    async def put_override(self, override: OverrideRecord) -> None:
        """Write an override, in the place of one of the same binding."""
        await self._replace(OverrideEntry, asdict(override))

    async def drop_override(self, binding: str) -> None:
        """End an override."""
        await OverrideEntry.filter(binding=binding).using_db(self._db).delete()

    async def put_desired(self, epoch: int, rev: int, payload: bytes) -> None:
        """Keep the document that is applied from now on."""
        row = {"id": 1, "epoch": epoch, "rev": rev, "payload": payload}
        await self._replace(DesiredEntry, row)

    async def put(self, key: str, value: Any) -> None:
        """Keep a small fact."""
        await self._replace(KeyValue, {"key": key, "value": json.dumps(value)})

    async def drop(self, key: str) -> None:
        """Forget a small fact."""
        await KeyValue.filter(key=key).using_db(self._db).delete()

    async def _replace(self, model: type[Model], row: dict[str, Any]) -> None:
        """Insert or overwrite a whole row."""
        key = model._meta.pk_attr
        fresh = ", ".join(f'"{name}" = excluded."{name}"' for name in row if name != key)
        await self._insert(model, row, f"UPDATE SET {fresh}")

    async def _insert(self, model: type[Model], row: dict[str, Any], on_conflict: str) -> int:
        """One statement, where Tortoise takes four; how many rows it changed. Names are our own."""
        meta = model._meta
        values = [meta.fields_map[name].to_db_value(value, model) for name, value in row.items()]
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        into = f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({marks})'  # noqa: S608
        query = f'{into} ON CONFLICT ("{meta.pk_attr}") DO {on_conflict}'
        changed, _ = await self._db.execute_query(query, values)
        return changed

"""What runs later around alarms: a signal that changed or lasted, an alarm nobody took up.

Importing this module registers the handlers.
"""

from __future__ import annotations

from cloud_api.alarms import service
from cloud_api.kit.alarm_signals import LOOK
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob


async def _look(cloud: Cloud, job: DueJob) -> None:
    signal_id, _, version = job.ref.rpartition(".")
    async with cloud.db.write() as session:
        await service.look(session, signal_id, int(version), cloud.clocks)


async def _escalate(cloud: Cloud, job: DueJob) -> None:
    body = job.body
    async with cloud.db.write() as session:
        await service.escalate(
            session, body["alarm"], body["times"], body["after_min"], cloud.clocks
        )


register(LOOK, _look)
register(service.ESCALATE, _escalate)

"""What of devices follows a change elsewhere: staff's keys go with their right to work."""

from __future__ import annotations

from cloud_api.devices import staff_keys
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.staff.service import RIGHTS_CHANGED


async def rights_changed(cloud: Cloud, job: DueJob) -> None:
    """Every store of the merchant hears which keys are still good."""
    async with cloud.db.write() as session:
        await staff_keys.changed(session, job.merchant_id, cloud.clocks)


register(RIGHTS_CHANGED, rights_changed)

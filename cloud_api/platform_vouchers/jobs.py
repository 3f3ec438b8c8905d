"""What runs later around platforms: each night's comparison of records. Importing registers it.

What finds out how a verification ended needs orders: groupbuy/jobs.py.
"""

from __future__ import annotations

from cloud_api.kit.due_jobs import register
from cloud_api.kit.recurring import every_day
from cloud_api.ledger.verify import check
from cloud_api.platform_vouchers import books, matching

register(matching.MATCH, matching.every_night)
register(matching.MATCH_ONE, matching.match_job)
every_day(matching.MATCH, lambda _settings: "04:40")
check("platform_vouchers", books.check)

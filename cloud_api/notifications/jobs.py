"""What runs later around notices: an event that is told, a delivery that is tried, a login looked at.

Importing this module registers the handlers.
"""

from __future__ import annotations

from cloud_api.auth.service import LOGGED_IN
from cloud_api.kit.due_jobs import register
from cloud_api.kit.notices import NOTICE
from cloud_api.notifications import fanout, logins, sending

register(NOTICE, fanout.tell)
register(fanout.SEND, sending.send)
register(LOGGED_IN, logins.look)

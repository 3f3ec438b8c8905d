"""The rows of the role matrix about running the office: statistics, the log of acts, backups."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import Row, needs
from cloud_api.staff.permissions import (
    AUDIT_EXPORT,
    AUDIT_READ,
    BACKUP_READ,
    BACKUP_RUN,
    BRAND_EDIT,
    CUSTOMER_DELETE,
    ORDER_EXPORT,
    REPORT_READ,
    STAFF_EDIT,
    STAFF_READ,
)

OFFICE: Final[dict[str, Row]] = {
    # statistics
    "GET /api/v1/console/reports/summary": needs(REPORT_READ),
    "GET /api/v1/console/reports/figures/{figure}/rows": needs(REPORT_READ),
    "GET /api/v1/console/reports/guests/{segment}": needs(REPORT_READ),
    "GET /api/v1/console/reports/advice": needs(REPORT_READ),
    "POST /api/v1/console/reports/exports": needs(REPORT_READ, ORDER_EXPORT),
    "GET /console/stats": needs(REPORT_READ),
    "GET /console/stats/rows/{figure}": needs(REPORT_READ),
    "GET /console/stats/guests/{segment}": needs(REPORT_READ),
    # keys and webhooks for other software
    "GET /api/v1/console/api-keys": needs(STAFF_READ),
    "POST /api/v1/console/api-keys": needs(STAFF_EDIT, fresh=True),
    "POST /api/v1/console/api-keys/{key_id}/revoke": needs(STAFF_EDIT),
    "GET /api/v1/console/webhooks": needs(STAFF_READ),
    "POST /api/v1/console/webhooks": needs(STAFF_EDIT, fresh=True),
    "POST /api/v1/console/webhooks/{webhook_id}/rotate": needs(STAFF_EDIT, fresh=True),
    "POST /api/v1/console/webhooks/{webhook_id}/stop": needs(STAFF_EDIT),
    "POST /api/v1/console/webhooks/{webhook_id}/start": needs(STAFF_EDIT),
    "POST /api/v1/console/webhooks/{webhook_id}/delete": needs(STAFF_EDIT),
    "POST /api/v1/console/webhooks/{webhook_id}/test": needs(STAFF_EDIT),
    "GET /api/v1/console/webhooks/{webhook_id}/deliveries": needs(STAFF_READ),
    "POST /api/v1/console/webhooks/deliveries/{delivery_id}/replay": needs(STAFF_EDIT),
    "GET /console/api-keys": needs(STAFF_READ),
    "GET /console/api-keys/new": needs(STAFF_EDIT),
    "GET /console/webhooks": needs(STAFF_READ),
    "GET /console/webhooks/new": needs(STAFF_EDIT),
    "GET /console/webhooks/{webhook_id}": needs(STAFF_READ),
    # how long what is kept
    "GET /api/v1/console/retention": needs(CUSTOMER_DELETE),
    "POST /api/v1/console/retention/preview": needs(CUSTOMER_DELETE),
    "PUT /api/v1/console/retention": needs(CUSTOMER_DELETE, fresh=True),
    "GET /console/retention": needs(CUSTOMER_DELETE),
    # how the merchant looks
    "GET /api/v1/console/brand": needs(BRAND_EDIT),
    "PUT /api/v1/console/brand": needs(BRAND_EDIT),
    "POST /api/v1/console/brand/reset": needs(BRAND_EDIT),
    "POST /api/v1/console/brand/undo": needs(BRAND_EDIT),
    "POST /api/v1/console/brand/ramp": needs(BRAND_EDIT),
    "PUT /api/v1/console/brand/logos/{shape}": needs(BRAND_EDIT),
    "DELETE /api/v1/console/brand/logos/{shape}": needs(BRAND_EDIT),
    "GET /console/brand": needs(BRAND_EDIT),
    # the log of acts, backups
    "GET /api/v1/console/audit": needs(AUDIT_READ),
    "GET /api/v1/console/audit/export": needs(AUDIT_EXPORT, fresh=True),
    "GET /api/v1/console/backups": needs(BACKUP_READ),
    "POST /api/v1/console/backups": needs(BACKUP_RUN, fresh=True),
    "POST /api/v1/console/backups/verify": needs(BACKUP_RUN),
    "GET /console/audit": needs(AUDIT_READ),
    "GET /console/audit/{entry_id}": needs(AUDIT_READ),
    "GET /console/backups": needs(BACKUP_READ),
}

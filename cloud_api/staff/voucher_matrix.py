"""The rows of the role matrix about group-buy, vouchers and platform vouchers at the console: who may use each route."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import ANYONE, PERSON, Row, needs
from cloud_api.staff.permissions import (
    CAMPAIGN_EDIT,
    CAMPAIGN_READ,
    ORDER_CANCEL,
    PAYMENT_ACCOUNTS,
    VOUCHER_EXTEND,
    VOUCHER_REDEEM,
)

VOUCHERS: Final[dict[str, Row]] = {
    "GET /api/v1/console/campaigns": needs(CAMPAIGN_READ),
    "POST /api/v1/console/campaigns": needs(CAMPAIGN_EDIT),
    "GET /api/v1/console/campaigns/{campaign_id}": needs(CAMPAIGN_READ),
    "PUT /api/v1/console/campaigns/{campaign_id}": needs(CAMPAIGN_EDIT),
    "POST /api/v1/console/campaigns/{campaign_id}/{turn}": needs(CAMPAIGN_EDIT),
    "POST /api/v1/console/vouchers/look": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/vouchers/redeem": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/vouchers/{voucher_id}/extend": needs(VOUCHER_EXTEND),
    "GET /api/v1/console/redemptions": needs(CAMPAIGN_READ),
    "POST /api/v1/console/redemptions/{redemption_id}/undo": needs(VOUCHER_REDEEM),
    "GET /api/v1/console/groupbuy/report": needs(CAMPAIGN_READ),
    "GET /api/v1/console/groupbuy/report.{form}": needs(CAMPAIGN_READ),
    "GET /console/campaigns": needs(CAMPAIGN_READ),
    "GET /console/campaigns/new": needs(CAMPAIGN_EDIT),
    "GET /console/campaigns/{campaign_id}": needs(CAMPAIGN_READ, CAMPAIGN_EDIT),
    "GET /console/groupbuy/report": needs(CAMPAIGN_READ),
    "GET /console/redeem": needs(VOUCHER_REDEEM),
    "GET /g/{token}/poster.png": ANYONE,
    "GET /platform-code": PERSON,
    "GET /platform-vouchers/{use_id}": PERSON,
    "GET /console/redeem/platform": needs(VOUCHER_REDEEM),
    "GET /console/platform-vouchers": needs(VOUCHER_REDEEM),
    "GET /console/platforms": needs(PAYMENT_ACCOUNTS),
    "GET /console/platforms/new": needs(PAYMENT_ACCOUNTS),
    "GET /console/platforms/{account_id}": needs(PAYMENT_ACCOUNTS),
    "GET /api/v1/platform-vouchers/ways": ANYONE,
    "POST /api/v1/platform-vouchers/look": PERSON,
    "POST /api/v1/platform-vouchers/redeem": PERSON,
    "GET /api/v1/platform-vouchers/{use_id}": PERSON,
    "POST /api/v1/platform-vouchers/{use_id}/withdraw": PERSON,
    "POST /api/v1/console/platform-vouchers/look": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-vouchers/redeem": needs(VOUCHER_REDEEM),
    "GET /api/v1/console/platform-vouchers": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-vouchers/{use_id}/confirm": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-vouchers/{use_id}/refuse": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-vouchers/{use_id}/settle": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-vouchers/{use_id}/undo": needs(VOUCHER_REDEEM, ORDER_CANCEL),
    "GET /api/v1/console/platform-differences": needs(VOUCHER_REDEEM),
    "POST /api/v1/console/platform-differences/{difference_id}/solve": needs(VOUCHER_REDEEM),
    "GET /api/v1/console/platform-accounts": needs(PAYMENT_ACCOUNTS),
    "POST /api/v1/console/platform-accounts": needs(PAYMENT_ACCOUNTS, fresh=True),
    "PATCH /api/v1/console/platform-accounts/{account_id}": needs(PAYMENT_ACCOUNTS, fresh=True),
    "POST /api/v1/console/platform-accounts/{account_id}/check": needs(PAYMENT_ACCOUNTS),
    "GET /api/v1/console/platform-accounts/{account_id}/deals": needs(CAMPAIGN_READ),
    "POST /api/v1/console/platform-accounts/{account_id}/deals": needs(CAMPAIGN_EDIT),
    "PUT /api/v1/console/platform-accounts/{account_id}/deals/{deal_id}": needs(CAMPAIGN_EDIT),
}

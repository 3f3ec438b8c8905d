"""The rows of the role matrix about money at the console: which one permission opens each route."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.permissions import (
    BALANCE_EDIT,
    CASH_TAKE,
    CUSTOMER_READ,
    INVOICE_ISSUE,
    MONEY_CLOSE,
    ORDER_REFUND,
    PRICE_EDIT,
    REPORT_READ,
)

MONEY: Final[dict[str, str]] = {
    "GET /api/v1/console/refund-requests": ORDER_REFUND,
    "POST /api/v1/console/refund-requests/{request_id}/approve": ORDER_REFUND,
    "POST /api/v1/console/refund-requests/{request_id}/decline": ORDER_REFUND,
    "POST /api/v1/console/refund-requests/{request_id}/pass-up": ORDER_REFUND,
    "GET /api/v1/console/invoices": INVOICE_ISSUE,
    "POST /api/v1/console/invoices/{request_id}/issue": INVOICE_ISSUE,
    "POST /api/v1/console/invoices/{request_id}/refuse": INVOICE_ISSUE,
    "GET /console/invoices": INVOICE_ISSUE,
    "GET /api/v1/console/stuck-refunds": ORDER_REFUND,
    "GET /api/v1/console/stuck-refunds/{refund_id}": ORDER_REFUND,
    "POST /api/v1/console/stuck-refunds/{refund_id}/retry": ORDER_REFUND,
    "POST /api/v1/console/stuck-refunds/{refund_id}/by-hand": ORDER_REFUND,
    "POST /api/v1/console/orders/{order_id}/cash": CASH_TAKE,
    "POST /api/v1/console/orders/{order_id}/refunds/{number}/cash": CASH_TAKE,
    "POST /api/v1/console/orders/{order_id}/deposit/claims": ORDER_REFUND,
    "POST /api/v1/console/orders/{order_id}/deposit/claims/{claim_id}/decide": ORDER_REFUND,
    "GET /api/v1/console/stores/{store_id}/deposit-rules": PRICE_EDIT,
    "PUT /api/v1/console/stores/{store_id}/deposit-rules": PRICE_EDIT,
    "GET /api/v1/console/topup-plans": BALANCE_EDIT,
    "POST /api/v1/console/topup-plans": BALANCE_EDIT,
    "PUT /api/v1/console/topup-plans/{plan_id}": BALANCE_EDIT,
    "PUT /api/v1/console/balance-rule": BALANCE_EDIT,
    "GET /api/v1/console/members/{account_id}/balance": CUSTOMER_READ,
    "POST /api/v1/console/members/{account_id}/balance/adjust": BALANCE_EDIT,
    "POST /api/v1/console/members/{account_id}/balance/pay-out": BALANCE_EDIT,
    "GET /api/v1/console/ledger/stores/{store_id}/statement": REPORT_READ,
    "GET /api/v1/console/ledger/stores/{store_id}/entries.csv": REPORT_READ,
    "POST /api/v1/console/ledger/stores/{store_id}/close": MONEY_CLOSE,
    "GET /api/v1/console/ledger/stores/{store_id}/drawer": REPORT_READ,
    "POST /api/v1/console/ledger/stores/{store_id}/drawer/counts": MONEY_CLOSE,
    "POST /api/v1/console/ledger/stores/{store_id}/drawer/to-bank": MONEY_CLOSE,
    "GET /console/refunds": ORDER_REFUND,
    "GET /console/stuck-refunds": ORDER_REFUND,
    "GET /console/refunds/{request_id}": ORDER_REFUND,
    "GET /console/finance": REPORT_READ,
    "GET /console/plans": BALANCE_EDIT,
    "GET /console/deposits": PRICE_EDIT,
    "GET /console/members/{account_id}/balance": CUSTOMER_READ,
}

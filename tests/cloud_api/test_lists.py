"""No list of the published API grows without bound: it is read in pages, or its nature bounds it."""

from __future__ import annotations

from typing import Any

from tests.cloud_api.published import document

MOST = 100
# Lists without pages, and what bounds each. A new list belongs here only with such a reason.
BOUNDED = {
    "/console/platform-accounts": "platform_vouchers/accounts.py MOST",
    "/console/platform-accounts/{account_id}/deals": "platform_vouchers/deals.py MOST",
    "/platform-vouchers/ways": "one for each access, platform_vouchers/accounts.py MOST",
    "/auth/logins": "one's own logins, forgotten when they end",
    "/console/alarm-rules": "one per kind of alarm",
    "/console/api-keys": "the merchant's keys, of which it may have so many",
    "/console/backups": "the last runs",
    "/console/blocked-customers": "the newest 200",
    "/console/cleaning/sheet": "one line per person who cleaned that month",
    "/console/cleaning/tasks": "the oldest 200",
    "/console/invoices": "invoices/service.py LISTED",
    "/console/logins": "logins of the merchant's staff",
    "/console/member-levels": "the merchant's levels",
    "/console/notifications/channels": "the merchant's channels",
    "/console/notifications/templates": "one per kind of notice",
    "/console/order-exports": "the last 20",
    "/console/payment-accounts": "the merchant's accounts",
    "/console/reconciliation": "the last days of each account",
    "/console/refund-requests": "the latest 100",
    "/groupbuy/recommendations": "three, groupbuy/recommend.py MOST",
    "/me/levels": "one per house where one is a member",
    "/console/reports/advice": "one per rule, reports/advice.py",
    "/console/reports/figures/{figure}/rows": "whole days from the newest on until there are so many",
    "/console/reports/guests/{segment}": "the 200 who spent most, reports/guests.py MOST",
    "/console/retention": "one per kind, retention/kinds.py",
    "/console/roles": "the merchant's roles",
    "/console/staff-keys": "the merchant's cards and codes",
    "/console/staff/invitations": "open ones, which run out",
    "/console/stores/{store_id}/deposit-rules": "the store's rooms",
    "/console/stores/{store_id}/doors": "the store's doors",
    "/console/stores/{store_id}/rooms": "the store's rooms",
    "/console/stores/{store_id}/schedules": "the store's schedules",
    "/console/stores/{store_id}/stickers": "the store's doors",
    "/console/stuck-refunds": "the latest 100",
    "/console/tickets": "the latest 100",
    "/console/webhooks": "webhooks/service.py MOST",
    "/console/topup-plans": "the merchant's plans",
    "/me/balances": "one per merchant",
    "/me/coupons": "the newest 200",
    "/me/exports": "the last 10",
    "/me/tickets": "the latest 100",
    "/me/waitlist": "the next 50",
    "/orders/{order_id}/refund-requests": "of one order",
    "/stores/{store_id}/media": "the store's pictures, of which it may have so many",
    "/stores/{store_id}/reviews": "a page of them, from a cursor",
    "/stores/{store_id}/rooms": "the store's rooms",
    "/stores/{store_id}/topup-plans": "the merchant's plans",
}


def test_every_list_has_a_limit() -> None:
    api = document()

    def schema(of: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in of:
            of = api["components"]["schemas"][of["$ref"].rsplit("/", 1)[1]]
        return of

    paged, unpaged = set(), set()
    for path, operations in api["paths"].items():
        answer = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in answer:
            continue
        found = schema(answer["application/json"].get("schema", {}))
        if found.get("type") != "array" and "items" not in found.get("properties", {}):
            continue
        limits = [
            one["schema"].get("maximum")
            for one in operations["get"].get("parameters", [])
            if one["name"] == "limit"
        ]
        short = path.removeprefix("/api/v1")
        if not limits:
            unpaged.add(short)
            continue
        paged.add(short)
        assert limits[0] is not None, f"{short}: its limit has no maximum"
        assert limits[0] <= MOST, short
    assert {"/orders", "/console/orders", "/console/alarms", "/console/audit"} <= paged
    assert unpaged <= set(BOUNDED), f"unbounded: {sorted(unpaged - set(BOUNDED))}"

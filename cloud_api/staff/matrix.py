"""The role matrix: every route of the cloud and who may use it, in one table.

``staff_actor`` and ``platform_actor`` enforce it: a console route that is in no row is refused. The
services ask again for what depends on the request. A test walks every route × every role and fails
for a route without a row.

A new route? Add its line below, ``"METHOD /path/{as_declared}"`` with the prefix:

- ``ANYONE``: no login; shows nothing that is somebody's.
- ``PROVES``: no login; the request itself proves who sends it (a provider's signature, a store's
  certificate, a token of its own).
- ``PERSON``: whoever is logged in, about their own things.
- ``STAFF``: every member of staff. ``needs(PERMISSION, …)``: those with all of these permissions;
  ``fresh=True`` for dangerous acts: the second factor, where there is one, within ten minutes.
- ``PLATFORM``: administrators of the installation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cloud_api.staff.money_matrix import MONEY
from cloud_api.staff.permissions import (
    ALARM_HANDLE,
    ALARM_READ,
    AUDIT_EXPORT,
    AUDIT_READ,
    BACKUP_READ,
    BACKUP_RUN,
    CAMPAIGN_EDIT,
    CAMPAIGN_READ,
    COUPON_EDIT,
    DEVICE_BULK,
    DEVICE_CONTROL,
    DEVICE_ENROL,
    DEVICE_READ,
    DOOR_OPEN_CLEANING,
    DOOR_OPEN_REMOTE,
    MONEY_RECONCILE,
    NOTICE_EDIT,
    NOTICE_READ,
    ORDER_CANCEL,
    ORDER_CREATE,
    ORDER_EXPORT,
    ORDER_READ,
    ORDER_REFUND,
    ORDER_WAIVE,
    PAYMENT_ACCOUNTS,
    PRICE_EDIT,
    REPORT_READ,
    ROOM_MODE,
    STAFF_EDIT,
    STAFF_READ,
    STORE_EDIT,
    STORE_READ,
    TICKET_HANDLE,
    VOUCHER_EXTEND,
    VOUCHER_REDEEM,
)


@dataclass(frozen=True, slots=True)
class Row:
    """Who may use a route. ``needs`` and ``fresh`` are of staff."""

    who: Literal["anyone", "proves", "person", "staff", "platform"]
    needs: frozenset[str] = frozenset()
    fresh: bool = False


def needs(*permissions: str, fresh: bool = False) -> Row:
    """Staff with all of these permissions."""
    return Row("staff", frozenset(permissions), fresh)


ANYONE: Final = Row("anyone")
PROVES: Final = Row("proves")
PERSON: Final = Row("person")
STAFF: Final = Row("staff")
PLATFORM: Final = Row("platform")

_PUBLIC: Final[dict[str, Row]] = {
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
    "GET /metrics": PROVES,
    "GET /api/v1/openapi.json": ANYONE,
    # stores, rooms, prices
    "GET /api/v1/stores": ANYONE,
    "GET /api/v1/stores/{store_id}": ANYONE,
    "GET /api/v1/stores/{store_id}/rooms": ANYONE,
    "GET /api/v1/stores/{store_id}/availability": ANYONE,
    "GET /api/v1/stores/{store_id}/media": ANYONE,
    "GET /media/{media_id}/{name}": ANYONE,
    "GET /api/v1/rooms/{room_id}": ANYONE,
    "GET /api/v1/rooms/{room_id}/availability": ANYONE,
    "POST /api/v1/quotes": ANYONE,
    "GET /api/v1/rooms/{room_id}/menu": ANYONE,
    "GET /api/v1/doors/{token}": ANYONE,
    "GET /api/v1/events": ANYONE,  # a store's hints; without a store one's own
    # group-buy
    "GET /api/v1/groupbuy/campaigns": ANYONE,
    "GET /api/v1/groupbuy/campaigns/{campaign_id}": ANYONE,
    "GET /api/v1/groupbuy/teams/{token}": ANYONE,  # whoever has the link
    # who proves it otherwise
    "POST /api/v1/payments/{provider}/{account}/notify": PROVES,
    "POST /edge/v1/enroll": PROVES,
    "GET /edge/v1/desired": PROVES,
    "GET /api/v1/rooms/{room_id}/booking-rules": ANYONE,
    "POST /edge/v1/diagnostics/{bundle}": PROVES,
    # logging in
    "POST /api/v1/auth/code": ANYONE,
    "POST /api/v1/auth/login": ANYONE,
    "POST /api/v1/auth/password-login": ANYONE,
    "POST /api/v1/auth/setup": PROVES,
    "POST /api/v1/auth/logout": ANYONE,
    "POST /api/v1/invitations/look": PROVES,
    # pages
    "GET /": ANYONE,
    "GET /s/{store_id}": ANYONE,
    "GET /s/{store_id}/rooms": ANYONE,
    "GET /rooms/{room_id}": ANYONE,
    "GET /rooms/{room_id}/book": ANYONE,
    "GET /quotes/{quote_id}": ANYONE,
    "GET /d/{token}": ANYONE,
    "GET /scan": ANYONE,
    "GET /pay/back": ANYONE,  # leads on to a page of this site; shows nothing
    "POST /pay/back": ANYONE,
    "GET /login": ANYONE,
    "POST /me/settings": ANYONE,
    "POST /logout": ANYONE,
    "GET /invite": ANYONE,
    "GET /console/login": ANYONE,
    "POST /console/logout": ANYONE,
    "GET /console/setup": ANYONE,
    "POST /console/acting/end": ANYONE,
}

_PEOPLE: Final[dict[str, Row]] = {
    # group-buy and vouchers
    "POST /api/v1/groupbuy/campaigns/{campaign_id}/orders": PERSON,
    "POST /api/v1/groupbuy/teams/{token}/join": PERSON,
    "GET /api/v1/groupbuy/orders": PERSON,
    "GET /api/v1/groupbuy/orders/{order_id}": PERSON,
    "POST /api/v1/groupbuy/orders/{order_id}/pay": PERSON,
    "POST /api/v1/groupbuy/orders/{order_id}/check-payment": PERSON,
    "POST /api/v1/groupbuy/orders/{order_id}/cancel": PERSON,
    "GET /api/v1/me/vouchers": PERSON,
    "GET /api/v1/me/vouchers/{voucher_id}": PERSON,
    "POST /api/v1/me/vouchers/{voucher_id}/gift": PERSON,
    "POST /api/v1/me/vouchers/{voucher_id}/refund": PERSON,
    "POST /api/v1/gifts/{token}/take": PERSON,
    "POST /api/v1/vouchers/redeem": PERSON,
    "GET /api/v1/auth/me": PERSON,
    "GET /api/v1/auth/security": PERSON,
    "POST /api/v1/auth/password": PERSON,
    "POST /api/v1/auth/second-factor": PERSON,
    "POST /api/v1/auth/totp": PERSON,
    "POST /api/v1/auth/totp/confirm": PERSON,
    "POST /api/v1/auth/totp/disable": PERSON,
    "POST /api/v1/auth/recovery-codes": PERSON,
    "GET /api/v1/auth/logins": PERSON,
    "POST /api/v1/auth/logins/revoke-others": PERSON,
    "POST /api/v1/auth/logins/{login_id}/revoke": PERSON,
    "POST /api/v1/invitations/accept": PERSON,
    # notices
    "GET /api/v1/me/notices": PERSON,
    "POST /api/v1/me/notices/read": PERSON,
    "POST /api/v1/me/wechat-consents": PERSON,
    # one's own data
    "POST /api/v1/me/export": PERSON,
    "GET /api/v1/me/exports": PERSON,
    "GET /api/v1/me/exports/{export_id}": PERSON,
    "POST /api/v1/me/delete": PERSON,
    "GET /me/privacy": PERSON,
    "POST /me/privacy/export": PERSON,
    "POST /me/privacy/delete": PERSON,
    # coupons
    "GET /api/v1/me/coupons": PERSON,
    "POST /api/v1/coupons/claim": PERSON,
    # orders
    "POST /api/v1/orders": PERSON,
    "GET /api/v1/orders": PERSON,
    "GET /api/v1/orders/{order_id}": PERSON,
    "POST /api/v1/orders/{order_id}/pay": PERSON,
    "POST /api/v1/orders/{order_id}/check-payment": PERSON,
    "POST /api/v1/orders/{order_id}/close-payment": PERSON,
    "POST /api/v1/orders/{order_id}/cancel": PERSON,
    "POST /api/v1/orders/{order_id}/refund-requests": PERSON,
    "GET /api/v1/orders/{order_id}/refund-requests": PERSON,
    "POST /api/v1/orders/{order_id}/refund-requests/{request_id}/withdraw": PERSON,
    "POST /api/v1/orders/{order_id}/deposit/claims/{claim_id}/object": PERSON,
    "GET /api/v1/me/balances": PERSON,
    "GET /api/v1/stores/{store_id}/topup-plans": PERSON,
    "POST /api/v1/topups": PERSON,
    "POST /api/v1/orders/{order_id}/finish": PERSON,
    "GET /api/v1/orders/{order_id}/finish/quote": PERSON,
    "POST /api/v1/orders/{order_id}/share": PERSON,
    "POST /api/v1/orders/{order_id}/share/revoke": PERSON,
    "POST /api/v1/orders/{order_id}/friends/{guest_id}/remove": PERSON,
    "POST /api/v1/shares/{token}/join": PERSON,
    "POST /api/v1/stores/{store_id}/waitlist": PERSON,
    "GET /api/v1/me/waitlist": PERSON,
    "POST /api/v1/me/waitlist/{entry_id}/take": PERSON,
    "POST /api/v1/me/waitlist/{entry_id}/leave": PERSON,
    "GET /me/waitlist": PERSON,
    "POST /api/v1/orders/{order_id}/review": PERSON,
    "GET /api/v1/stores/{store_id}/reviews": ANYONE,
    "POST /api/v1/tickets": PERSON,
    "GET /api/v1/me/tickets": PERSON,
    "GET /api/v1/me/tickets/{ticket_id}": PERSON,
    "POST /api/v1/me/tickets/{ticket_id}/messages": PERSON,
    "POST /api/v1/me/tickets/{ticket_id}/close": PERSON,
    "GET /me/tickets": PERSON,
    "GET /me/tickets/{ticket_id}": PERSON,
    "GET /orders/{order_id}/help": PERSON,
    "GET /orders/{order_id}/review": PERSON,
    "GET /rooms/{room_id}/wait": ANYONE,
    "GET /orders/{order_id}/friends": PERSON,
    "GET /orders/{order_id}/friends.svg": PERSON,
    "GET /join/{token}": PERSON,
    "POST /api/v1/orders/{order_id}/change/quote": PERSON,
    "POST /api/v1/orders/{order_id}/change": PERSON,
    "GET /api/v1/orders/{order_id}/extend/quote": PERSON,
    "POST /api/v1/orders/{order_id}/extend": PERSON,
    "POST /api/v1/orders/{order_id}/changes/{change_id}/pay": PERSON,
    "POST /api/v1/orders/{order_id}/changes/{change_id}/drop": PERSON,
    "GET /api/v1/orders/{order_id}/pass": PERSON,
    "POST /api/v1/doors/{token}/unlock": PERSON,
    # pages
    "GET /me": PERSON,
    "GET /me/notices": PERSON,
    "GET /me/balance": PERSON,
    "GET /orders/{order_id}/refund": PERSON,
    "GET /orders": PERSON,
    "GET /orders/{order_id}": PERSON,
    "GET /orders/{order_id}/pay": PERSON,
    "GET /orders/{order_id}/extend": PERSON,
    "GET /orders/{order_id}/change": PERSON,
    "GET /orders/{order_id}/changes/{change_id}": PERSON,
    "GET /orders/{order_id}/pay/go": PERSON,
    "GET /orders/{order_id}/pay/code.svg": PERSON,
    "GET /orders/{order_id}/stay": PERSON,
    "GET /orders/{order_id}/pass": PERSON,
    "GET /orders/{order_id}/pass.svg": PERSON,
    "GET /console/security": PERSON,
    "GET /console/security/qr.svg": PERSON,
    "GET /console/second-factor": PERSON,
}

_CONSOLE: Final[dict[str, Row]] = {
    # group-buy
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
    "GET /api/v1/console/me": STAFF,
    "GET /api/v1/console/events": STAFF,
    # the log of acts, backups
    "GET /api/v1/console/audit": needs(AUDIT_READ),
    "GET /api/v1/console/audit/export": needs(AUDIT_EXPORT, fresh=True),
    "GET /api/v1/console/backups": needs(BACKUP_READ),
    "POST /api/v1/console/backups": needs(BACKUP_RUN, fresh=True),
    "POST /api/v1/console/backups/verify": needs(BACKUP_RUN),
    "GET /console/audit": needs(AUDIT_READ),
    "GET /console/audit/{entry_id}": needs(AUDIT_READ),
    "GET /console/backups": needs(BACKUP_READ),
    # stores and rooms
    "GET /api/v1/console/stores": needs(STORE_READ),
    "GET /api/v1/console/stores/{store_id}/doors": needs(STORE_READ),
    "GET /api/v1/console/stores/{store_id}/stickers": needs(STORE_READ),
    "GET /api/v1/console/stores/{store_id}/timeline": needs(ORDER_READ),
    "PATCH /api/v1/console/stores/{store_id}": needs(STORE_EDIT),
    "POST /api/v1/console/stores": needs(STORE_EDIT),
    "GET /api/v1/console/stores/{store_id}": needs(STORE_READ),
    "GET /api/v1/console/stores/{store_id}/rooms": needs(STORE_READ),
    "POST /api/v1/console/stores/{store_id}/rooms": needs(STORE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/room-order": needs(STORE_EDIT),
    "PATCH /api/v1/console/rooms/{room_id}": needs(STORE_EDIT),
    "POST /api/v1/console/rooms/{room_id}/retire": needs(STORE_EDIT),
    "POST /api/v1/console/rooms/{room_id}/restore": needs(STORE_EDIT),
    "POST /api/v1/console/stores/{store_id}/media": needs(STORE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/media-order": needs(STORE_EDIT),
    "PUT /api/v1/console/media/{media_id}/poster": needs(STORE_EDIT),
    "PATCH /api/v1/console/media/{media_id}": needs(STORE_EDIT),
    "DELETE /api/v1/console/media/{media_id}": needs(STORE_EDIT),
    "POST /api/v1/console/rooms/{room_id}/mode": needs(ROOM_MODE),
    # rules of booking
    "GET /api/v1/console/stores/{store_id}/booking-rules": needs(STORE_READ),
    "PUT /api/v1/console/stores/{store_id}/booking-rules": needs(STORE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/rooms/{room_id}/booking-rules": needs(STORE_EDIT),
    "GET /console/booking-rules": needs(STORE_READ),
    "GET /console/book": needs(ORDER_CREATE, STORE_READ),
    "GET /api/v1/console/tickets": needs(TICKET_HANDLE),
    "GET /api/v1/console/tickets/{ticket_id}": needs(TICKET_HANDLE),
    "POST /api/v1/console/tickets/{ticket_id}/messages": needs(TICKET_HANDLE),
    "POST /api/v1/console/tickets/{ticket_id}/close": needs(TICKET_HANDLE),
    "POST /api/v1/console/reviews/{review_id}/reply": needs(TICKET_HANDLE),
    "POST /api/v1/console/reviews/{review_id}/hide": needs(TICKET_HANDLE),
    "GET /console/tickets": needs(TICKET_HANDLE),
    "GET /console/tickets/{ticket_id}": needs(TICKET_HANDLE),
    "GET /console/reviews": needs(ORDER_READ),
    # prices
    "GET /api/v1/console/stores/{store_id}/prices": needs(STORE_READ),
    "PUT /api/v1/console/stores/{store_id}/price-rule": needs(PRICE_EDIT),
    "POST /api/v1/console/stores/{store_id}/tariffs": needs(PRICE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/tariffs/{thing_id}": needs(PRICE_EDIT),
    "DELETE /api/v1/console/stores/{store_id}/tariffs/{thing_id}": needs(PRICE_EDIT),
    "POST /api/v1/console/stores/{store_id}/slots": needs(PRICE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/slots/{thing_id}": needs(PRICE_EDIT),
    "DELETE /api/v1/console/stores/{store_id}/slots/{thing_id}": needs(PRICE_EDIT),
    "POST /api/v1/console/stores/{store_id}/packages": needs(PRICE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/packages/{thing_id}": needs(PRICE_EDIT),
    "DELETE /api/v1/console/stores/{store_id}/packages/{thing_id}": needs(PRICE_EDIT),
    "POST /api/v1/console/stores/{store_id}/extras": needs(PRICE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/extras/{thing_id}": needs(PRICE_EDIT),
    "DELETE /api/v1/console/stores/{store_id}/extras/{thing_id}": needs(PRICE_EDIT),
    "GET /api/v1/console/member-levels": needs(PRICE_EDIT),
    "POST /api/v1/console/member-levels": needs(PRICE_EDIT),
    "PUT /api/v1/console/member-levels/{level_id}": needs(PRICE_EDIT),
    # coupons of the house
    "GET /api/v1/console/coupons": needs(COUPON_EDIT),
    "POST /api/v1/console/coupons": needs(COUPON_EDIT),
    "GET /api/v1/console/coupons/{coupon_id}": needs(COUPON_EDIT),
    "POST /api/v1/console/coupons/{coupon_id}/stop": needs(COUPON_EDIT),
    "POST /api/v1/console/coupons/{coupon_id}/issue": needs(COUPON_EDIT),
    # doors and devices
    "POST /api/v1/console/doors/{door_id}/unlock": needs(DOOR_OPEN_REMOTE),
    "POST /api/v1/console/doors/{door_id}/unlock-to-clean": needs(DOOR_OPEN_CLEANING),
    "PATCH /api/v1/console/doors/{door_id}": needs(STORE_EDIT),
    "GET /api/v1/console/stores/{store_id}/devices": needs(DEVICE_READ),
    "GET /api/v1/console/commands/{command_id}": needs(DEVICE_READ),
    "POST /api/v1/console/bindings/{binding_id}/set": needs(DEVICE_CONTROL),
    "POST /api/v1/console/bindings/{binding_id}/clear": needs(DEVICE_CONTROL),
    "POST /api/v1/console/bindings/{binding_id}/climate": needs(DEVICE_CONTROL),
    "POST /api/v1/console/bindings/{binding_id}/say": needs(DEVICE_CONTROL),
    "POST /api/v1/console/stores/{store_id}/bulk": needs(DEVICE_BULK),
    "POST /api/v1/console/stores/{store_id}/enrolment-codes": needs(DEVICE_ENROL, fresh=True),
    # what a store does by itself, staff's keys, diagnostics
    "GET /api/v1/console/stores/{store_id}/schedules": needs(STORE_READ),
    "POST /api/v1/console/stores/{store_id}/schedules": needs(STORE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/schedules/{schedule_id}": needs(STORE_EDIT),
    "DELETE /api/v1/console/schedules/{schedule_id}": needs(STORE_EDIT),
    "PUT /api/v1/console/stores/{store_id}/scenes": needs(STORE_EDIT),
    "PUT /api/v1/console/rooms/{room_id}/scenes": needs(STORE_EDIT),
    "PUT /api/v1/console/bindings/{binding_id}/times": needs(STORE_EDIT),
    "GET /api/v1/console/staff-keys": needs(STAFF_READ),
    "POST /api/v1/console/staff-keys": needs(STAFF_EDIT, fresh=True),
    "DELETE /api/v1/console/staff-keys/{key_id}": needs(STAFF_EDIT),
    "POST /api/v1/console/stores/{store_id}/diagnostics": needs(DEVICE_ENROL, fresh=True),
    "GET /api/v1/console/diagnostics/{bundle}": needs(DEVICE_ENROL, fresh=True),
    # orders
    "GET /api/v1/console/orders": needs(ORDER_READ),
    "GET /api/v1/console/orders/{order_id}": needs(ORDER_READ),
    "POST /api/v1/console/order-exports": needs(ORDER_EXPORT),
    "GET /api/v1/console/order-exports": needs(ORDER_EXPORT),
    "GET /api/v1/console/order-exports/{export_id}": needs(ORDER_EXPORT),
    "GET /api/v1/console/order-exports/{export_id}/file": needs(ORDER_EXPORT),
    "POST /api/v1/console/orders/{order_id}/cancel": needs(ORDER_CANCEL),
    "POST /api/v1/console/orders": needs(ORDER_CREATE),
    "POST /api/v1/console/orders/{order_id}/confirm": needs(ORDER_CREATE),
    "POST /api/v1/console/orders/{order_id}/block-customer": needs(ORDER_CANCEL),
    "GET /api/v1/console/blocked-customers": needs(ORDER_CANCEL),
    "POST /api/v1/console/blocked-customers/{blocked_id}/lift": needs(ORDER_CANCEL),
    "POST /api/v1/console/orders/{order_id}/change/quote": needs(ORDER_CREATE),
    "POST /api/v1/console/orders/{order_id}/change": needs(ORDER_CREATE),
    "POST /api/v1/console/orders/{order_id}/extend": needs(ORDER_CREATE),
    "POST /api/v1/console/orders/{order_id}/overtime/waive": needs(ORDER_WAIVE),
    "POST /api/v1/console/orders/{order_id}/finish": needs(DEVICE_CONTROL),
    "POST /api/v1/console/orders/{order_id}/refunds/{number}/by-hand": needs(ORDER_REFUND),
    "POST /api/v1/console/orders/{order_id}/refunds/{number}/retry": needs(ORDER_REFUND),
    # payment accounts
    "GET /api/v1/console/payment-accounts": needs(PAYMENT_ACCOUNTS),
    "POST /api/v1/console/payment-accounts": needs(PAYMENT_ACCOUNTS, fresh=True),
    "POST /api/v1/console/payment-accounts/order": needs(PAYMENT_ACCOUNTS),
    "PATCH /api/v1/console/payment-accounts/{account_id}": needs(PAYMENT_ACCOUNTS, fresh=True),
    "POST /api/v1/console/payment-accounts/{account_id}/check": needs(PAYMENT_ACCOUNTS),
    "GET /console/payments": needs(PAYMENT_ACCOUNTS),
    "GET /console/payments/new": needs(PAYMENT_ACCOUNTS),
    "GET /console/payments/{account_id}": needs(PAYMENT_ACCOUNTS),
    # bills of payment providers against our books
    "GET /api/v1/console/reconciliation": needs(REPORT_READ),
    "GET /api/v1/console/reconciliation/{bill_id}": needs(REPORT_READ),
    "POST /api/v1/console/reconciliation/{bill_id}/read-again": needs(MONEY_RECONCILE),
    "POST /api/v1/console/reconciliation/differences/{difference_id}/resolve": needs(
        MONEY_RECONCILE
    ),
    "GET /console/reconciliation": needs(REPORT_READ),
    "GET /console/reconciliation/{bill_id}": needs(REPORT_READ),
    # alarms and notices
    "GET /api/v1/console/alarms": needs(ALARM_READ),
    "GET /api/v1/console/alarms/{alarm_id}": needs(ALARM_READ),
    "POST /api/v1/console/alarms/{alarm_id}/acknowledge": needs(ALARM_HANDLE),
    "POST /api/v1/console/alarms/{alarm_id}/resolve": needs(ALARM_HANDLE),
    "GET /api/v1/console/alarm-rules": needs(ALARM_READ),
    "PUT /api/v1/console/alarm-rules/{kind}": needs(NOTICE_EDIT),
    "GET /api/v1/console/notifications/channels": needs(NOTICE_READ),
    "PUT /api/v1/console/notifications/channels": needs(NOTICE_EDIT, fresh=True),
    "POST /api/v1/console/notifications/channels": needs(NOTICE_EDIT, fresh=True),
    "DELETE /api/v1/console/notifications/channels/{channel_id}": needs(NOTICE_EDIT, fresh=True),
    "POST /api/v1/console/notifications/channels/{channel_id}/test": needs(NOTICE_EDIT),
    "GET /api/v1/console/notifications/templates": needs(NOTICE_READ),
    "PUT /api/v1/console/notifications/templates": needs(NOTICE_EDIT),
    "POST /api/v1/console/notifications/templates/preview": needs(NOTICE_READ),
    "GET /api/v1/console/notifications/rules": needs(NOTICE_READ),
    "PUT /api/v1/console/notifications/rules": needs(NOTICE_EDIT),
    "PUT /api/v1/console/notifications/rules/{event}": needs(NOTICE_EDIT),
    "PUT /api/v1/console/notifications/templates/{event}": needs(NOTICE_EDIT),
    "PUT /api/v1/console/notifications/settings": needs(NOTICE_EDIT),
    "GET /api/v1/console/notifications/log": needs(NOTICE_READ),
    # people
    "GET /api/v1/console/staff": needs(STAFF_READ),
    "POST /api/v1/console/staff": needs(STAFF_EDIT, fresh=True),
    "PATCH /api/v1/console/staff/{staff_id}": needs(STAFF_EDIT, fresh=True),
    "POST /api/v1/console/staff/{staff_id}/deactivate": needs(STAFF_EDIT, fresh=True),
    "GET /api/v1/console/staff/invitations": needs(STAFF_READ),
    "POST /api/v1/console/staff/invitations": needs(STAFF_EDIT, fresh=True),
    "POST /api/v1/console/staff/invitations/{invitation_id}/revoke": needs(STAFF_EDIT),
    "GET /api/v1/console/roles": needs(STAFF_READ),
    "POST /api/v1/console/roles": needs(STAFF_EDIT, fresh=True),
    "PATCH /api/v1/console/roles/{key}": needs(STAFF_EDIT, fresh=True),
    "DELETE /api/v1/console/roles/{key}": needs(STAFF_EDIT, fresh=True),
    "GET /api/v1/console/logins": needs(STAFF_EDIT),
    "POST /api/v1/console/logins/{login_id}/revoke": needs(STAFF_EDIT),
    "PUT /api/v1/console/second-factor": needs(STAFF_EDIT, fresh=True),
    # pages
    "GET /console": STAFF,  # who may not see rooms is led to the first page of theirs
    "GET /console/board": needs(STORE_READ),
    "GET /console/rooms/{room_id}": needs(STORE_READ),
    "GET /console/stickers": needs(STORE_READ),
    "GET /console/alarms": needs(ALARM_READ),
    "GET /console/alarms/rules": needs(ALARM_READ),
    "GET /console/alarms/rules/{kind}": needs(ALARM_READ, NOTICE_EDIT),
    "GET /console/notifications": needs(NOTICE_READ),
    "GET /console/notifications/log": needs(NOTICE_READ),
    "GET /console/notifications/templates": needs(NOTICE_READ),
    "GET /console/notifications/events/{event}": needs(NOTICE_READ),
    "GET /console/notifications/channels/new": needs(NOTICE_EDIT),
    "GET /console/notifications/channels/{channel_id}": needs(NOTICE_EDIT),
    "GET /console/stores/{store_id}/stickers": needs(STORE_READ),
    "GET /console/stores/{store_id}/stickers.pdf": needs(STORE_READ),
    "GET /console/prices": needs(PRICE_EDIT),
    "GET /console/house": needs(STORE_EDIT),
    "GET /console/house/rooms/{room_id}": needs(STORE_EDIT),
    "GET /console/house/stores/{store_id}/rooms/new": needs(STORE_EDIT),
    "GET /console/coupons": needs(COUPON_EDIT),
    "GET /console/overtime": needs(PRICE_EDIT, STORE_EDIT),
    "GET /console/schedules": needs(STORE_EDIT),
    "GET /console/schedules/new": needs(STORE_EDIT),
    "GET /console/schedules/{schedule_id}": needs(STORE_EDIT),
    "GET /console/scenes": needs(STORE_EDIT),
    "GET /console/keys": needs(STAFF_READ),
    "GET /console/keys/new": needs(STAFF_EDIT),
    "GET /console/keys/{key_id}": needs(STAFF_EDIT, fresh=True),
    "GET /console/controllers": needs(DEVICE_READ),
    "GET /console/doors/{door_id}/sticker.svg": needs(STORE_READ),
    "GET /console/orders": needs(ORDER_READ),
    "GET /console/order-exports": needs(ORDER_EXPORT),
    "GET /console/orders/{order_id}": needs(ORDER_READ),
    "GET /console/staff": needs(STAFF_READ),
    "GET /console/staff/new": needs(STAFF_EDIT),
    "GET /console/staff/{staff_id}": needs(STAFF_READ),
    "GET /console/roles": needs(STAFF_READ),
    "GET /console/roles/new": needs(STAFF_EDIT),
    "GET /console/roles/{key}": needs(STAFF_READ),
}

_PLATFORM: Final[dict[str, Row]] = {
    "GET /api/v1/platform/me": PLATFORM,
    "GET /api/v1/platform/merchants": PLATFORM,
    "POST /api/v1/platform/merchants": PLATFORM,
    "POST /api/v1/platform/merchants/{merchant_id}/suspend": PLATFORM,
    "POST /api/v1/platform/merchants/{merchant_id}/resume": PLATFORM,
    "POST /api/v1/platform/merchants/{merchant_id}/impersonate": PLATFORM,
    "POST /api/v1/platform/impersonations/{impersonation_id}/end": PLATFORM,
    "GET /platform": PLATFORM,
}

_MONEY: Final = {route: needs(permission) for route, permission in MONEY.items()}

MATRIX: Final[dict[str, Row]] = {**_PUBLIC, **_PEOPLE, **_CONSOLE, **_MONEY, **_PLATFORM}


def row_of(method: str, path: str) -> Row | None:
    """The row of a route, by its declared path; None where it has none."""
    return MATRIX.get(f"{'GET' if method == 'HEAD' else method} {path}")


def missing(method: str, path: str) -> str:
    """What to do about a route without a row."""
    return (
        f'{method} {path} is in no row of the role matrix: add "{method} {path}": … '
        "to cloud_api/staff/matrix.py (its first lines tell how)"
    )

"""The address of every page of the customer's in the town: what is weighed, looked at and photographed."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer
from cloud_api.orders import share
from cloud_api.pricing.service import quote
from tests.web.furnished import furnish
from tests.web.town import Visitor


def pages_of(visitor: Visitor) -> dict[str, str]:
    """By name. Makes what some of them need: a price, an invitation."""
    site, town = visitor.site, visitor.town
    shop, orders = site.shop, town.orders
    who = Customer(account_id=town.guest.id, login_id="pages", ip="")
    room = shop.rooms[1]
    begins = site.now.replace(minute=0, second=0, microsecond=0) + timedelta(days=2, hours=2)
    ends = begins + timedelta(hours=2)

    async def prepare(session: AsyncSession) -> tuple[str, str, dict[str, str]]:
        made = await quote(session, who, room.id, begins, ends, site.cloud.clocks)
        link = await share.open_link(session, who, orders["ready"].id, site.cloud.clocks)
        return made.id, link.token, await furnish(session, town, site.cloud.clocks)

    quoted, invitation, things = site.write(prepare)
    weekly = urlencode({"from": begins.isoformat(), "to": ends.isoformat()})

    def order(name: str, page: str = "") -> str:
        return f"/orders/{orders[name].id}{page}"

    return {
        "stores": "/",
        "stores-none": "/?q=zzz",
        "store": f"/s/{shop.store.id}",
        "store-offline": f"/s/{town.far.store.id}",
        "room": f"/rooms/{room.id}",
        "book": f"/rooms/{room.id}/book?day={(site.now + timedelta(days=1)).date().isoformat()}",
        "confirm": f"/quotes/{quoted}",
        "weekly": f"/rooms/{room.id}/weekly?{weekly}",
        "wait": f"/rooms/{room.id}/wait",
        "pay": order("unpaid", "/pay"),
        "orders": "/orders",
        "order-unpaid": order("unpaid"),
        "order-ready": order("ready"),
        "order-paid": order("ready", "?paid=1"),
        "order-in-use": order("in_use"),
        "order-done": order("done"),
        "order-cancelled": order("cancelled"),
        "stay": order("in_use", "/stay"),
        "extend": order("in_use", "/extend"),
        "change": order("ready", "/change"),
        "friends": order("ready", "/friends"),
        "join": f"/join/{invitation}",
        "help": order("in_use", "/help"),
        "review": order("done", "/review"),
        "refund": order("done", "/refund"),
        "invoice": order("done", "/invoice"),
        "door-open": f"/d/{shop.doors[0].token}",
        "door-other-room": f"/d/{shop.doors[1].token}",
        "door-store-offline": f"/d/{town.far.doors[0].token}",
        "scan": "/scan",
        "offline": "/offline",
        "groupbuy": "/groupbuy",
        "campaign": f"/groupbuy/{things['campaign']}",
        "group-order": f"/groupbuy/orders/{things['group_order']}",
        "voucher": f"/me/vouchers/{things['voucher']}",
        "store-reviews": f"/s/{shop.store.id}/reviews",
        "orders-none": "/orders?state=done&cursor=0",
        "orders-unpaid": "/orders?state=unpaid",
        "me": "/me",
        "balance": "/me/balance",
        "topup": f"/me/balance?store={shop.store.id}",
        "coupons": "/me/coupons",
        "vouchers": "/me/vouchers",
        "group-orders": "/groupbuy/orders",
        "notices": "/me/notices",
        "notice-choices": "/me/notices/choices",
        "waitlist": "/me/waitlist",
        "tickets": "/me/tickets",
        "privacy": "/me/privacy",
        "logins": "/me/logins",
    }

"""The simulator of Meituan and Dianping as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from simulators.mall.book import Deal, Shelf
from simulators.mall.desk import build
from simulators.meituan import gates, relay
from simulators.meituan.receipts import MeituanDesk
from store_link.clock import Clock, WireClock

SHOP = "6eb50f3547e1195d43eb447b8ab62449"
WINDOW_S = 600.0
DIGITS = 10


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str,
    admin_token: str = "",
    business: Clock | None = None,
    wire: Clock | None = None,
) -> FastAPI:
    """``public_url`` is where merchants reach it. Its books are in memory.

    ``account()`` is an access to the technical platform; ``others`` hold those to 北极星 and the relay.
    """
    del state_dir, business
    clock = wire or WireClock()
    desk = MeituanDesk(
        "美团团购",
        Shelf(lambda: clock.now().timestamp(), DIGITS, WINDOW_S),
        {
            "developer_id": "119358",
            "sign_key": "mt-demo-sign-key-0123456789",
            "app_auth_token": "mt-demo-app-auth-token-of-the-store",
            "base_url": public_url,
        },
        public_url,
        shop=SHOP,
        others={
            "dianping": {
                "app_key": "1000069",
                "app_secret": "dp-demo-secret-0123456789",
                "session": "dp-demo-session-0123456789",
                "base_url": public_url,
            },
            "relay": {
                "email": "shop@example.com",
                "password": "relay-demo",
                "base_url": public_url,
            },
        },
    )
    if admin_token:
        desk.admin_token = admin_token
    desk.shelf.put_up(Deal("993507001", "棋牌室四人三小时", 5900, 13800))
    desk.shelf.put_up(Deal("993507002", "通宵八小时", 12800, 26800))
    return build(desk, gates.router, relay.router)

"""The simulator of Douyin life services as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from simulators.douyin.api import DouyinDesk, router
from simulators.mall.book import Deal, Shelf
from simulators.mall.desk import build
from store_link.clock import Clock, WireClock

CLIENT_KEY = "aw1kaimendemo000"
POI = "6601136930455291912"
WINDOW_S = 3600.0
DIGITS = 12


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str,
    admin_token: str = "",
    business: Clock | None = None,
    wire: Clock | None = None,
) -> FastAPI:
    """``public_url`` is where merchants reach it. Its books are in memory."""
    del state_dir, business
    clock = wire or WireClock()
    desk = DouyinDesk(
        "抖音团购",
        Shelf(lambda: clock.now().timestamp(), DIGITS, WINDOW_S),
        {
            "client_key": CLIENT_KEY,
            "client_secret": "dy-demo-secret-0123456789abcdef",
            "account_id": "7034567890123456789",
            "base_url": public_url,
        },
        public_url,
    )
    if admin_token:
        desk.admin_token = admin_token
    desk.shelf.put_up(Deal("1234500001", "四人棋牌三小时", 5800, 12800))
    desk.shelf.put_up(Deal("1234500002", "工作日下午四小时", 6600, 15200))
    return build(desk, router)

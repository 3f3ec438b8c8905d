"""The simulator of WeChat Pay as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from simulators.counter.app import build
from simulators.wechatpay import api, jssdk, oauth
from simulators.wechatpay.house import APPID, MINI_APPID, WechatDesk
from simulators.wechatpay.voice import voice
from store_link.clock import Clock


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str,
    mode: str = "both",
    admin_token: str | None = None,
    business: Clock | None = None,
    wire: Clock | None = None,
) -> FastAPI:
    """``public_url`` is where payers and merchants reach it; ``mode`` as in WechatDesk."""
    desk = WechatDesk(
        state_dir,
        public_url=public_url,
        mode=mode,
        admin_token=admin_token,
        business=business,
        wire=wire,
    )
    app = build(desk, voice(desk), api.router)
    app.include_router(oauth.router)
    app.include_router(jssdk.router)
    app.state.jssdk = jssdk.Account(desk, APPID, desk.app_secret)
    app.state.apps = oauth.Apps(desk, {APPID: desk.app_secret, MINI_APPID: desk.mini_secret})
    return app

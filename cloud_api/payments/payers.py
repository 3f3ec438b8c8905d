"""Who pays, for the channels that must know it: WeChat's own sheet wants the payer's openid.

An openid is learned by a code (auth/wechat_oauth.py). It names who uses WeChat on this phone now, which may
be another than last time: so it is kept for two hours, sealed, in a cookie of that browser and login, and
nowhere else until a payment is opened with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cloud_api.auth.csrf import set_cookie
from cloud_api.auth.wechat_oauth import WechatApp
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import Conflict
from cloud_api.payments.found_out import found_out
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.providers.base import Channel, Payer
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount

COOKIE: Final = "kaimen_payer"
LIFE: Final = timedelta(hours=2)
MOST: Final = 4  # apps: a guest is with one or two merchants at a time
_CONTEXT: Final = "cookie.payer"
_ASKS: Final = frozenset({Channel.JSAPI, Channel.MINI})


def known(cookies: Mapping[str, str], login_id: str, now: datetime) -> dict[str, str]:
    """App → openid, as this browser's cookie has them for this login; ``now`` is wire time."""
    try:
        held = json.loads(vault().open(cookies.get(COOKIE, ""), _CONTEXT))
        mine = held["login"] == login_id and datetime.fromisoformat(held["until"]) > now
        return dict(held["apps"]) if mine else {}
    except (ValueError, KeyError, TypeError):
        return {}


def keep(
    cookies: Mapping[str, str],
    login_id: str,
    app: str,
    openid: str,
    now: datetime,
    *,
    secure: bool,
) -> str:
    """The Set-Cookie value that keeps one more."""
    apps = known(cookies, login_id, now)
    apps.pop(app, None)
    kept = dict([*apps.items(), (app, openid)][-MOST:])
    held = {"login": login_id, "until": (now + LIFE).isoformat(), "apps": kept}
    sealed = vault().seal(json.dumps(held), _CONTEXT)
    return set_cookie(COOKIE, sealed, max_age_s=int(LIFE.total_seconds()), secure=secure)


def asks(channel: str) -> bool:
    """Whether a channel must know who pays."""
    return channel in _ASKS


def app_of(account: ProviderAccount, channel: str) -> WechatApp | None:
    """The app whose openid the channel wants; None where there is none, or its secret is not known."""
    if account.provider != "wechat" or not asks(channel):
        return None
    try:
        found = WechatPayAccount.model_validate_json(account.credentials)
    except ValueError:
        return None
    return found.mini_app if channel == Channel.MINI else found.page_app


def can_ask(account: ProviderAccount, channel: str) -> bool:
    """Whether the channel works: it asks for nobody, or we can find out who it is."""
    return not asks(channel) or found_out(
        f"{account.provider}: {channel} has its app",
        account.credentials,
        lambda: app_of(account, channel) is not None,
    )


def fitting(account: ProviderAccount, channel: str, payer: Payer | None) -> Payer | None:
    """The payer as the account's app knows them. Raises Conflict ``payment.payer_unknown``."""
    app = app_of(account, channel)
    if app is None:
        return payer
    openid = "" if payer is None else payer.openid or payer.known.get(app.appid, "")
    if not openid:
        raise Conflict(
            "payment.payer_unknown",
            "微信还没告诉我们是谁在付，返回再进一次，或换一种付法",
            provider=account.provider,
            app=app.appid,
        )
    return Payer(openid, "" if payer is None else payer.ip)

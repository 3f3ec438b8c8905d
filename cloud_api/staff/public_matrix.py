"""The rows of the role matrix that need no login: what is shown to everybody, and who proves it otherwise."""

from __future__ import annotations

from typing import Final

from cloud_api.staff.matrix_rows import ANYONE, PROVES, Row

PUBLIC: Final[dict[str, Row]] = {
    "GET /healthz": ANYONE,
    "GET /readyz": ANYONE,
    "GET /metrics": PROVES,
    "GET /api/v1/openapi.json": ANYONE,
    "GET /media/{media_id}/{name}": ANYONE,
    "GET /manifest.webmanifest": ANYONE,
    "GET /sw.js": ANYONE,
    "GET /me/passes": ANYONE,  # of nobody, nothing
    "GET /offline": ANYONE,  # shows what the phone itself keeps
    "POST /api/v1/quotes": ANYONE,
    "GET /api/v1/doors/{token}": ANYONE,
    "GET /api/v1/events": ANYONE,  # a store's hints; without a store one's own
    "GET /api/v1/groupbuy/campaigns": ANYONE,
    "GET /api/v1/wechat/share-config": ANYONE,  # signs addresses of this site alone
    "GET /api/v1/groupbuy/campaigns/{campaign_id}": ANYONE,
    "GET /api/v1/groupbuy/teams/{token}": ANYONE,  # whoever has the link
    # who proves it otherwise
    "POST /api/v1/payments/{provider}/{account}/notify": PROVES,
    "POST /edge/v1/enroll": PROVES,
    "POST /edge/v1/renew": PROVES,
    "GET /edge/v1/desired": PROVES,
    "POST /edge/v1/diagnostics/{bundle}": PROVES,
    # logging in
    "POST /api/v1/auth/code": ANYONE,
    "POST /api/v1/auth/login": ANYONE,
    "POST /api/v1/auth/bind": ANYONE,
    "POST /api/v1/auth/password-login": ANYONE,
    "POST /api/v1/auth/setup": PROVES,
    "POST /api/v1/auth/logout": ANYONE,
    "POST /api/v1/invitations/look": PROVES,
    # pages
    "GET /": ANYONE,
    "GET /s/{store_id}": ANYONE,
    "GET /s/{store_id}/rooms": ANYONE,
    "GET /s/{store_id}/reviews": ANYONE,
    "GET /rooms/{room_id}": ANYONE,
    "GET /rooms/{room_id}/book": ANYONE,
    "GET /rooms/{room_id}/weekly": ANYONE,  # asks who is not logged in to log in
    "GET /quotes/{quote_id}": ANYONE,
    "GET /d/{token}": ANYONE,
    "GET /scan": ANYONE,
    "GET /groupbuy": ANYONE,
    "GET /groupbuy/{campaign_id}": ANYONE,
    "GET /groupbuy/{campaign_id}/poster.png": ANYONE,
    "GET /g/{token}": ANYONE,  # whoever has the link
    "GET /g/{token}/code.svg": ANYONE,
    "GET /gifts/{token}": ANYONE,
    "GET /pay/back": ANYONE,  # leads on to a page of this site; shows nothing
    "POST /pay/back": ANYONE,
    "GET /login": ANYONE,
    "GET /login/bind": ANYONE,
    "GET /oauth/{provider}/start": ANYONE,
    "GET /oauth/{provider}/login": ANYONE,
    "POST /me/settings": ANYONE,
    "POST /logout": ANYONE,
    "GET /invite": ANYONE,
    "GET /console/login": ANYONE,
    "POST /console/logout": ANYONE,
    "GET /console/setup": ANYONE,
    "POST /console/acting/end": ANYONE,
}

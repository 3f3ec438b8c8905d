"""The language somebody chooses: kept in this browser, and with the account that is logged in."""

from __future__ import annotations

from starlette.responses import Response

from cloud_api.auth import service as auth
from cloud_api.auth.csrf import set_cookie
from cloud_api.kit.i18n import COOKIE, chosen
from cloud_api.web.pages import Visit

_YEAR_S = 365 * 86400


async def speak(seen: Visit, lang: str, answer: Response) -> Response:
    """``answer`` in whose browser ``lang`` is kept; as it is where that is none of ours."""
    language = chosen(lang)
    if language is None:
        return answer
    cloud = seen.cloud
    if seen.account is not None and seen.account.locale != language:
        async with cloud.db.write() as session:
            await auth.set_locale(session, seen.account.id, language)
    kept = set_cookie(COOKIE, language, max_age_s=_YEAR_S, secure=cloud.settings.cookie_secure)
    answer.headers.append("Set-Cookie", kept)
    return answer

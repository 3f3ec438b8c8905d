"""Going to another's authorize page and coming back: who went, what for, and where to go on.

The address carries a random ``state`` and nothing else. What it stands for is sealed into a cookie of the
browser that went, so that an answer made for one browser is worth nothing in another, and nothing about a
person stands in an address.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from cloud_api.auth.csrf import set_cookie
from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError

LIFE: Final = timedelta(minutes=10)
_NAME: Final = "kaimen_oauth_"
_CONTEXT: Final = "cookie.oauth_ticket"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One way out and back. ``purpose`` is the caller's word; ``back`` a path of this site.

    ``login_id`` is the login that went, empty for somebody not logged in. ``until`` is wire time.
    """

    purpose: str
    provider: str
    app: str
    back: str
    login_id: str
    state: str
    until: str

    def cookie(self, *, secure: bool) -> str:
        """The Set-Cookie value that goes out with the redirect."""
        sealed = vault().seal(json.dumps(asdict(self)), _CONTEXT)
        life = int(LIFE.total_seconds())
        return set_cookie(_name(self.state), sealed, max_age_s=life, secure=secure)


def ticket(
    now: datetime, *, purpose: str, provider: str, app: str, back: str, login_id: str = ""
) -> Ticket:
    """A new one. ``back`` must be checked to be a path of ours; ``now`` is wire time."""
    until = (now + LIFE).isoformat()
    return Ticket(purpose, provider, app, back, login_id, secrets.token_hex(16), until)


def redeem(
    cookies: Mapping[str, str], state: str, now: datetime, *, purpose: str, login_id: str = ""
) -> Ticket:
    """The ticket that came back. Raises KaimenError ``oauth.state``: of another browser, another login
    or another purpose, changed, or too old.
    """
    wrong = KaimenError("oauth.state", "授权已过期，请返回再试一次", status=400, field="state")
    sealed = cookies.get(_name(state), "") if state.isalnum() else ""
    try:
        known = Ticket(**json.loads(vault().open(sealed, _CONTEXT)))
    except (ValueError, TypeError):
        raise wrong from None
    mine = (known.state, known.purpose, known.login_id) == (state, purpose, login_id)
    if not mine or datetime.fromisoformat(known.until) <= now:
        raise wrong
    return known


def used(state: str, *, secure: bool) -> str:
    """The Set-Cookie value that takes a ticket away once it is back."""
    return set_cookie(_name(state), "", max_age_s=0, secure=secure)


def _name(state: str) -> str:
    return f"{_NAME}{state[:8]}"

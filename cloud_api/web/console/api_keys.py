"""Keys of other software: which there are and what each opens, a new one, one that is stopped."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import api_keys
from cloud_api.staff.audit_view import names
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.models import ApiKey
from cloud_api.staff.permissions import GROUPS, NAMES, STAFF_EDIT
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Choice, Column, Empty, Filter, Listing
from cloud_api.web.view_models.software import ApiKeyForm, ApiKeyRow, ApiKeysPage

PATH: Final = "/console/api-keys"
HERE: Final = "api-keys"
router = APIRouter(prefix=PATH, include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def all_keys(request: Request, seen: Seen, who: Who) -> Response:
    """Those that open something, or those that were stopped, the newest first. Needs staff.read."""
    wish = asked(request, names=("state",), sorts=("created",), path=PATH)
    stopped = wish.get("state") == "stopped"
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await api_keys.listed(session, who)
        makers = await names(session, [key.created_by for key in found])
    here = seen.at(frame.tz)
    may = STAFF_EDIT in who.permissions
    make = (_("新建密钥"), f"{PATH}/new") if may else ("", "")
    listing = Listing(
        path=PATH,
        caption=_("API 密钥"),
        columns=(
            Column(_("名字")),
            Column(_("状态")),
            Column(_("能做什么")),
            Column(_("上次用")),
            Column(""),
        ),
        rows=tuple(
            _row(here, frame, key, makers[key.created_by])
            for key in found
            if stopped == (key.revoked_at is not None)
        ),
        filters=(
            Filter(
                "state",
                "chips",
                _("状态"),
                "stopped" if stopped else "",
                (Choice("", _("在用")), Choice("stopped", _("已停用"))),
            ),
        ),
        query=wish.query,
        empty=Empty(_("别的软件要读订单、管设备，先给它一把密钥"), *make),
    )
    return console_page(
        here, who, frame, "console/api_keys.html", ApiKeysPage(listing, may), here=HERE
    )


@router.get("/new")
async def new_key(seen: Seen, who: Who) -> Response:
    """The form for a new one: what a key may do, as far as this person may. Needs staff.edit."""
    who.need(STAFF_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
    may = api_keys.MAY & who.permissions
    groups = tuple((name, tuple(one for one in group if one[0] in may)) for name, group in GROUPS)
    model = ApiKeyForm(tuple(one for one in groups if one[1]), frame.store_choices)
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/api_key_form.html", model, here=HERE)


def _row(here: Visit, frame: Frame, key: ApiKey, maker: str) -> ApiKeyRow:
    given = frozenset(map(str, key.permissions))
    return ApiKeyRow(
        id=key.id,
        name=key.name,
        start=key.start,
        permissions=tuple(_(name) for one, name in NAMES.items() if one in given),
        stores=frame.names_of(key.store_ids),
        made_by=maker,
        made_at=here.local(key.created_at),
        used_at=None if key.last_used_at is None else here.local(key.last_used_at),
        active=key.revoked_at is None,
    )

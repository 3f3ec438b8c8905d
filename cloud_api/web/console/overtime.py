"""What overtime costs in one's stores: a form each, saved through the JSON API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders.overtime import rule_of
from cloud_api.pricing.overtime import OFF, price
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import PRICE_EDIT, STORE_EDIT
from cloud_api.stores.models import Store
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.overtime import OvertimeRuleForm, OvertimeRulesPage

router = APIRouter(prefix="/console/overtime", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
_EXAMPLE_S, _EXAMPLE_HOURLY_FEN = 19 * 60, 4000


@router.get("")
async def rules(seen: Seen, who: Who) -> Response:
    """The rules of all one's stores. Needs price.edit and store.edit."""
    who.need(PRICE_EDIT)
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        model = OvertimeRulesPage(tuple(_form(store) for store in frame.stores))
    here = seen.at(frame.tz)
    return console_page(here, who, frame, "console/overtime.html", model, here="overtime")


def _form(store: Store) -> OvertimeRuleForm:
    return OvertimeRuleForm(
        store_name=store.name,
        action=f"/api/v1/console/stores/{store.id}",
        mode=store.overtime_mode,
        free_minutes=store.overtime_free_minutes,
        unit_minutes=store.overtime_unit_minutes,
        unit_fen=store.overtime_unit_fen,
        per_cent=store.overtime_per_cent,
        cap_fen=store.overtime_cap_fen,
        resting_w=store.resting_w,
        example=_example(store),
    )


def _example(store: Store) -> str:
    if store.overtime_mode == OFF:
        return _("现在超时只记录，不收费")
    priced = price(rule_of(store), _EXAMPLE_S, _EXAMPLE_HOURLY_FEN)
    return _("按现在的规则，¥40 一小时的包间超时 19 分钟收 {sum}").format(
        sum=yuan(priced.amount_fen)
    )

"""Reconciliation for the owner: each day balanced, or why not; what is left is closed with a note."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.payments import bill_desk
from cloud_api.payments.bill_models import BillDifference
from cloud_api.payments.providers import PROVIDERS
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import MONEY_RECONCILE
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.console.listing import asked
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models import Column, Empty, Listing
from cloud_api.web.view_models.reconciliation import BillLineRow, BillPage, BillsPage, GapRow

router = APIRouter(prefix="/console/reconciliation", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
PATH: Final = "/console/reconciliation"
_STATES: Final = {"waiting": "等账单", "balanced": "对上了", "open": "有差异"}
_TONES: Final = {"waiting": "is-booked", "balanced": "is-free", "open": "is-offline"}
_WHY: Final = {
    "missing_here": "收款方有，我们没有",
    "missing_there": "我们有，账单上没有",
    "amount": "金额不一样",
    "state": "收款方已完成，我们还没有",
}
_KINDS: Final = {"payment": "收款", "refund": "退款"}
_ENDS: Final = {"open": "待处理", "healed": "自己对上了", "resolved": "已处理"}


@router.get("")
async def all_bills(request: Request, seen: Seen, who: Who) -> Response:
    """The days, newest first. Needs report.read."""
    wish = asked(request, names=("state",), sorts=("day",), path=PATH)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await bill_desk.list_bills(session, who, state=_state(wish.get("state")))
    here = seen.at(frame.tz)
    model = BillsPage(
        Listing(
            path=PATH,
            caption=_("每天的对账"),
            columns=(
                Column(_("日期")),
                Column(_("结果")),
                Column(_("账户")),
                Column(_("账单收款"), number=True),
            ),
            rows=tuple(_row(read) for read in found),
            query=wish.query,
            sort=wish.sort,
            empty=Empty(_("有了线上收款，第二天上午自动对账，结果会出现在这里")),
        )
    )
    return console_page(
        here, who, frame, "console/reconciliation.html", model, here="reconciliation"
    )


@router.get("/{bill_id}")
async def one_bill(bill_id: str, seen: Seen, who: Who) -> Response:
    """The report of a day. Needs report.read."""
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        read, gaps = await bill_desk.get_bill(session, who, bill_id)
    here = seen.at(frame.tz)
    bill = read.bill
    rows = (
        (_("收款"), bill.theirs_paid_fen, bill.ours_paid_fen),
        (_("退款"), bill.theirs_refunded_fen, bill.ours_refunded_fen),
    )
    model = BillPage(
        id=bill.id,
        title=f"{PROVIDERS[bill.provider].label} · {bill.day:%Y-%m-%d}",
        word=_(_STATES[bill.state]),
        tone=_TONES[bill.state],
        line=_line(bill.state, bill.open_differences, bill.lines, bill.healed),
        sums=tuple((name, yuan(theirs), yuan(ours), theirs == ours) for name, theirs, ours in rows),
        facts=(
            (_("账户"), read.account),
            (_("账单笔数"), str(bill.lines)),
            (_("手续费"), yuan(bill.fee_fen)),
        ),
        read_at=None if bill.read_at is None else here.local(bill.read_at),
        can_act=MONEY_RECONCILE in who.permissions,
        gaps=Listing(
            path=f"{PATH}/{bill.id}",
            caption=_("差异"),
            columns=(
                Column(_("单号")),
                Column(_("哪里不一样")),
                Column(_("处理")),
                Column(""),
            ),
            rows=tuple(_gap(here, gap) for gap in gaps),
            empty=Empty(_("没有差异")),
        ),
    )
    return console_page(
        here, who, frame, "console/reconciliation_day.html", model, here="reconciliation"
    )


def _state(given: str) -> str:
    return given if given in _STATES else ""


def _line(state: str, left: int, lines: int, healed: int) -> str:
    if state == "waiting":
        return _("收款方还没有给出这一天的账单，会自动再取")
    if state == "open":
        return _("还有 {n} 处要人看").format(n=left)
    told = _("账单上的 {n} 笔都对上了").format(n=lines)
    return told + (_("，其中 {n} 笔是对账时补上的").format(n=healed) if healed else "")


def _row(read: bill_desk.Read) -> BillLineRow:
    bill = read.bill
    return BillLineRow(
        id=bill.id,
        href=f"{PATH}/{bill.id}",
        day=f"{bill.day:%Y-%m-%d}",
        name=f"{PROVIDERS[bill.provider].label} · {read.account}",
        word=_(_STATES[bill.state]),
        tone=_TONES[bill.state],
        note=_("{n} 处").format(n=bill.open_differences) if bill.open_differences else "",
        paid_fen=bill.theirs_paid_fen,
        refunded_fen=bill.theirs_refunded_fen,
        fee_fen=bill.fee_fen,
    )


def _gap(seen: Visit, gap: BillDifference) -> GapRow:
    order = (gap.pays or "").partition(":")
    return GapRow(
        id=gap.id,
        number=gap.number,
        kind=_(_KINDS[gap.kind]),
        why=_(_WHY[gap.category]),
        theirs="—" if gap.theirs_fen is None else yuan(gap.theirs_fen),
        ours="—" if gap.ours_fen is None else yuan(gap.ours_fen),
        word=_(_ENDS[gap.state]),
        note=gap.note,
        open=gap.state == "open",
        href=f"/console/orders/{order[2]}" if order[0] == "order" else "",
        at=seen.local(gap.ended_at or gap.found_at),
    )

"""What invoices keep of a person. One that was made out is of the books; a wish for one goes."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.invoices.models import InvoiceRequest
from cloud_api.invoices.service import STATES
from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register


class _Invoices:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        query = scoped(Customer(account_id), InvoiceRequest).order_by(col(InvoiceRequest.id))
        return [
            Section(
                "invoices",
                "发票",
                [
                    {
                        "抬头": one.title,
                        "税号": one.tax_no,
                        "邮箱": one.email,
                        "金额_分": one.amount_fen,
                        "状态": STATES[one.state],
                        "发票号": one.number,
                        "时间": one.created_at,
                    }
                    for one in (await session.exec(query)).all()
                ],
            )
        ]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        for one in (await session.exec(scoped(Customer(account_id), InvoiceRequest))).all():
            one.email = ""
            if one.state != "issued":
                one.title, one.tax_no = "", ""
            if one.state == "asked":
                one.state, one.decided_at = "withdrawn", clocks.now
            session.add(one)


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.rows(session, InvoiceRequest, "invoices")


register("invoices", _Invoices())
merging.register("invoices", _merge)

"""``kaimen-cloud init`` and ``platform-admin``: the first people of an installation.

The context's object runs an act on this installation.
"""

from typing import Annotated

import typer
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth import phones
from cloud_api.auth import service as auth
from cloud_api.auth.models import Account, Password
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import vault
from cloud_api.merchants.models import Merchant
from cloud_api.staff import platform
from cloud_api.staff.models import StaffMember

app = typer.Typer(no_args_is_help=True, help="Who may make, suspend and help merchants.")
Phone = Annotated[str, typer.Argument(help="The phone number.")]


async def first_owner(
    session: AsyncSession, cloud: Cloud, *, merchant: str, phone: str, owner: str
) -> list[str]:
    """A merchant with its owner, or the one that is there: what to tell whoever runs the command."""
    known = scoped(System(), Merchant).where(col(Merchant.name) == merchant)
    found = (await session.exec(known)).first()
    if found is None:
        made, member = await platform.make_merchant(
            session, System(), name=merchant, phone=phone, owner=owner, clocks=cloud.clocks
        )
        told = [f"Made {merchant} ({made.id}) with its owner {owner}."]
        return [*told, *await _way_in(session, cloud, member.account_id)]
    told = [f"{merchant} is there already ({found.id}); nothing was changed."]
    query = (
        scoped(System(), StaffMember)
        .join(Account, col(Account.id) == col(StaffMember.account_id))
        .where(
            col(StaffMember.merchant_id) == found.id,
            col(StaffMember.role) == "owner",
            col(StaffMember.active),
            col(Account.phone_index) == vault().index(phones.normal(phone)),
        )
    )
    owning = (await session.exec(query)).first()
    if owning is None or await session.get(Password, owning.account_id) is not None:
        return told
    return [*told, *await _way_in(session, cloud, owning.account_id)]


async def _way_in(session: AsyncSession, cloud: Cloud, account_id: str) -> list[str]:
    code = await auth.new_setup_code(session, account_id, cloud.clocks.real)
    return [
        "The owner opens this once, within 24 hours, and sets a password:",
        f"  {cloud.settings.public_url}/console/setup#{code}",
        f"or types this code at {cloud.settings.public_url}/console/setup:  {code}",
    ]


@app.command("add")
def add(
    context: typer.Context,
    phone: Phone,
    name: Annotated[str, typer.Option(help="Their name, which merchants see.")] = "平台管理员",
) -> None:
    """Make somebody an administrator; prints a link that logs them in once."""

    async def act(cloud: Cloud) -> list[str]:
        async with cloud.db.write() as session:
            admin, account = await platform.add_admin(session, phone, name, cloud.clocks)
            told = [f"{admin.name} is an administrator now; /platform wants a second factor."]
            return [*told, *await _way_in(session, cloud, account.id)]

    for line in context.obj(act):
        typer.echo(line)


@app.command("remove")
def remove(context: typer.Context, phone: Phone) -> None:
    """No administrator any more: their logins, also at merchants' consoles, end at once."""

    async def act(cloud: Cloud) -> str:
        async with cloud.db.write() as session:
            admin = await platform.remove_admin(session, phone, cloud.clocks)
        return f"{admin.name} is no administrator any more."

    typer.echo(context.obj(act))

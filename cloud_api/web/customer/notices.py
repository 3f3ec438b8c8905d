"""A customer's messages: what they were told, the newest first."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.kit.i18n import gettext as _
from cloud_api.notifications import choices, inbox
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.notices import ChoiceRow, ChoicesPage, MessageRow, MessagesPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/me/notices/choices")
async def chosen(seen: Seen) -> Response:
    """What one wants to be told of outside the app."""
    person = seen.customer
    async with seen.cloud.db.read() as session:
        said = await choices.choices(session, person.account_id)
    model = ChoicesPage(
        tuple(
            ChoiceRow(kind, _(choices.NAMES[kind][0]), _(choices.NAMES[kind][1]), wanted)
            for kind, wanted in said.items()
        )
    )
    return page(seen, "customer/notice_choices.html", model, shell=seen.shell())


@router.get("/me/notices")
async def messages(seen: Seen, cursor: str = "") -> Response:
    """One's messages; who opens the page has seen them."""
    person = seen.customer
    async with seen.cloud.db.read() as session:
        found, following = await inbox.inbox(session, person.account_id, cursor=cursor or None)
        fresh = await inbox.unread(session, person.account_id)
    if fresh:
        async with seen.cloud.db.write() as session:
            await inbox.mark_read(seen.cloud, session, person.account_id)
    base = seen.cloud.settings.public_url.rstrip("/")
    model = MessagesPage(
        rows=tuple(
            MessageRow(
                title=one.title,
                body=one.body,
                href=_path(str(one.values.get("link") or ""), base),
                at=seen.local(one.created_at),
                fresh=one.read_at is None,
            )
            for one in found
        ),
        more_href=f"/me/notices?cursor={following}" if following else "",
    )
    return page(seen, "customer/notices.html", model, shell=seen.shell())


def _path(link: str, base: str) -> str:
    """The page behind a link of ours; nothing for any other."""
    return link.removeprefix(base) if link.startswith(base + "/") else ""

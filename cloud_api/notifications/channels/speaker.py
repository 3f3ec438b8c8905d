"""The speaker in a room: a clip of the profile's closed list, said by a command to the store.

A command is worth ten seconds and never repeated, so a guest is not told twice; a store that is offline
says nothing, and nothing is said later.
"""

from __future__ import annotations

from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import service as devices
from cloud_api.devices.models import Binding, Board
from cloud_api.devices.profiles import clips
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome
from cloud_api.stores.models import Store

CLIPS: Final[dict[str, str]] = {
    "order.starting_soon": "welcome",
    "order.ending_soon": "ends_in_15",
    "order.ended": "time_is_over",
    "overtime.due": "time_is_over",
}
"""What is said at an event where the merchant chose nothing else. What a name stands for is recorded
in the device; which names there are says its profile."""


async def clips_of(
    session: AsyncSession, merchant_id: str, store_id: str | None = None
) -> tuple[str, ...]:
    """What the speakers of a merchant's stores (or of one store) can say, each clip once."""
    query = (
        select(col(Board.profile))
        .join(Binding, col(Binding.board_id) == col(Board.id))
        .where(col(Binding.merchant_id) == merchant_id, col(Binding.capability) == "speaker.say")
        .distinct()
    )
    if store_id is not None:
        query = query.where(col(Binding.store_id) == store_id)
    profiles = sorted((await session.exec(query)).all())
    return tuple(dict.fromkeys(clip for profile in profiles for clip in clips(profile)))


class SpeakerCredentials(base.Credentials):
    """None: the speaker hangs in the store."""


class Speaker:
    """Addressed to a room; ``letter.template`` names the clip."""

    kind = "speaker"
    name = "包间语音"
    addressed: base.Addressed = "room"
    needs_template = False
    idempotent = False
    credentials = SpeakerCredentials

    async def send(self, cloud: Cloud, credentials: SpeakerCredentials, letter: Letter) -> Outcome:
        """Command the room's speaker; what the store answers is in the command's own log."""
        del credentials
        clip = letter.template or CLIPS.get(letter.event)
        if clip is None or letter.store_id is None:
            return base.failed("no_clip")
        async with cloud.db.write() as session:
            query = scoped(System(), Binding).where(
                col(Binding.store_id) == letter.store_id, col(Binding.capability) == "speaker.say"
            )
            speakers = [
                one
                for one in (await session.exec(query)).all()
                if letter.room_id in [str(room) for room in one.rooms]
            ]
            if not speakers:
                return base.failed("no_speaker")
            board = await session.get_one(Board, speakers[0].board_id)
            if clip not in clips(board.profile):
                return base.failed("no_clip")
            store = await session.get_one(Store, letter.store_id)
            try:
                command = await devices.create_command(
                    session,
                    System(),
                    store=store,
                    target=speakers[0].id,
                    action="say",
                    args={"clip": clip},
                    why=f"notice {letter.event}",
                    order_id=None,
                    clocks=cloud.clocks,
                    instance=cloud.waiters.instance,
                )
            except KaimenError as error:
                return base.failed(error.code)
            return base.sent(command.id)

"""What a room's speaker may be told to say, and how long notices are kept."""

from __future__ import annotations

from typing import Any

import pytest
from sqlmodel import select

from cloud_api.devices.models import Binding, Board, DeviceCommand
from cloud_api.kit.errors import KaimenError
from cloud_api.notifications import template_service
from cloud_api.notifications.inbox import KEPT
from cloud_api.notifications.models import Delivery, Notice, NoticeRule, WechatConsent
from cloud_api.notifications.schemas import RuleIn, TemplateIn
from cloud_api.staff.service import actor_of
from cloud_api.worker import forget_old
from tests.cloud_api.factories import make_staff
from tests.cloud_api.notifications.test_delivery import (  # noqa: F401  the fixture
    Scene,
    scene,
)


async def with_speaker(scene: Scene) -> None:  # noqa: F811
    own: dict[str, Any] = {
        "merchant_id": scene.shop.merchant.id,
        "store_id": scene.shop.store.id,
        "created_at": scene.cloud.clocks.real,
    }
    async with scene.cloud.db.write() as session:
        board = Board(name="音箱", profile="dy.sv17f", port="speaker-1", **own)
        session.add(board)
        await session.flush()
        session.add(
            Binding(
                board_id=board.id,
                name="音箱",
                capability="speaker.say",
                role="speaker",
                rooms=[scene.shop.room.id],
                **own,
            )
        )


async def test_the_rooms_speaker_gets_a_command_for_a_clip_it_has(scene: Scene):  # noqa: F811
    await with_speaker(scene)
    await scene.channel("speaker")
    async with scene.cloud.db.write() as session:
        for event in ("order.extended", "order.ended"):
            session.add(
                NoticeRule(
                    merchant_id=scene.shop.merchant.id,
                    event=event,
                    channels=["speaker"],
                    updated_at=scene.cloud.clocks.real,
                )
            )
    await scene.own("order.ended", "speaker", provider_template="welcome")
    await scene.tell("order.ended")
    assert await scene.log() == [("speaker", "sent", None, 1)]
    await scene.tell("order.extended")  # no words were chosen, and ours are none
    assert ("speaker", "failed", "no_clip", 1) in await scene.log()
    async with scene.cloud.db.read() as session:
        command = (await session.exec(select(DeviceCommand))).one()
    assert (command.action, command.by, command.args) == ("say", "system", {"clip": "welcome"})


async def test_a_speaker_is_chosen_only_for_what_one_can_say(scene: Scene):  # noqa: F811
    async with scene.cloud.db.write() as session:
        member = await make_staff(session, scene.shop, scene.cloud.clocks.now)
    owner = actor_of(member, None)

    async def words(clip: str) -> None:
        async with scene.cloud.db.write() as session:
            asked = TemplateIn(event="order.extended", channel="speaker", provider_template=clip)
            await template_service.set_templates(session, owner, [asked], scene.cloud.clocks)

    async def rule(event: str) -> None:
        async with scene.cloud.db.write() as session:
            asked = RuleIn(event=event, channels=["speaker"])
            await template_service.set_rules(session, owner, [asked], None, scene.cloud.clocks)

    for act in (words("welcome"), rule("order.ended")):
        with pytest.raises(KaimenError, match=r"template\.no_speaker"):
            await act
    await with_speaker(scene)
    with pytest.raises(KaimenError, match=r"template\.clip") as caught:
        await words("hurrah")
    assert caught.value.field == "provider_template"
    assert "ends_in_15" in caught.value.extra["clips"]
    with pytest.raises(KaimenError, match=r"template\.clip") as caught:
        await rule("order.extended")
    assert caught.value.field == "channels"
    await words("welcome")
    await rule("order.extended")
    await rule("order.ended")
    await rule("order.ending_soon")


async def test_notices_go_with_their_log_when_their_time_is_over(scene: Scene):  # noqa: F811
    await scene.channel("wecom")
    await scene.tell("order.new", to="role:owner", key="old")
    async with scene.cloud.db.write() as session:
        for used in (scene.cloud.clocks.real, None):
            session.add(
                WechatConsent(
                    merchant_id=scene.shop.merchant.id,
                    account_id=scene.guest.id,
                    appid="wx1",
                    openid="o",
                    template_id="t",
                    created_at=scene.cloud.clocks.real,
                    used_at=used,
                )
            )

    async def counts() -> tuple[int, int, int]:
        async with scene.cloud.db.read() as session:
            every = [
                (await session.exec(select(t))).all() for t in (Notice, Delivery, WechatConsent)
            ]
        return len(every[0]), len(every[1]), len(every[2])

    await forget_old(scene.cloud)
    assert await counts() == (1, 1, 2)
    for clock in (scene.wire, scene.business):
        clock.pass_time(KEPT.total_seconds() - 60)
    await scene.tell("order.new", to="role:owner", key="new")
    for clock in (scene.wire, scene.business):
        clock.pass_time(60)
    await forget_old(scene.cloud)
    assert await counts() == (1, 1, 1)

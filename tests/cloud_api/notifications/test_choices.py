"""What a guest wants to be told of outside the app, on both engines: kept, obeyed, exported, forgotten."""

from __future__ import annotations

import httpx

from cloud_api.kit.notices import EVENTS, FOR_CUSTOMERS
from cloud_api.notifications import choices
from cloud_api.notifications.personal import _Notices
from tests.cloud_api.factories import bearer, make_login
from tests.cloud_api.notifications.test_delivery import Scene, scene  # noqa: F401  a fixture


def test_every_event_belongs_to_a_choice_or_is_always_sent():
    assert {choices.kind_of(event) for event in FOR_CUSTOMERS} == {*choices.NAMES, ""}
    assert {choices.kind_of(event) for event in EVENTS - FOR_CUSTOMERS} == {""}
    assert [e for e in sorted(FOR_CUSTOMERS) if not choices.kind_of(e)] == ["order.pay_link"]


async def test_a_no_holds_for_its_kind_alone_and_never_for_the_inbox(
    scene: Scene,  # noqa: F811
    client: httpx.AsyncClient,
):
    await scene.channel("sms_gateway")
    async with scene.cloud.db.write() as session:
        token = await make_login(session, scene.guest.id, scene.cloud.clocks.real)
    there, mine = "/api/v1/me/notice-choices", bearer(token)
    assert (await client.get(there)).status_code == 401
    everything = {"booking": True, "time": True, "offers": True}
    assert (await client.get(there, headers=mine)).json()["choices"] == everything
    wrong = await client.put(there, json={"kind": "ads", "wanted": True}, headers=mine)
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (
        422, "notice.kind", "kind",
    )  # fmt: skip
    for wanted in (False, True, False):
        body = {"kind": "booking", "wanted": wanted}
        said = await client.put(there, json=body, headers=mine)
        assert said.json()["choices"] == everything | {"booking": wanted}
    await scene.tell("order.ready", key="1")
    await scene.tell("overtime.due", key="2")
    await scene.tell("order.pay_link", key="3")
    assert [notice.event for notice in await scene.notices()] == [
        "order.ready", "overtime.due", "order.pay_link",
    ]  # fmt: skip
    assert len(await scene.log()) == 2  # without the first: the control is that the others went
    personal = _Notices()
    async with scene.cloud.db.write() as session:
        told = {s.name: s.rows for s in await personal.export(session, scene.guest.id)}
        assert told["notice_choices"][0] == {"哪一类": "订单进展", "要不要": "不要"}
        await personal.forget(session, scene.guest.id, scene.cloud.clocks)
        assert await choices.choices(session, scene.guest.id) == everything

"""From a signal to an alarm and back: damping, passing on, one of a kind, and who may see to it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from cloud_api.alarms import service, watch
from cloud_api.alarms.models import Alarm, AlarmEvent, AlarmRule
from cloud_api.audit.models import AuditEntry
from cloud_api.devices.models import StoreCredential
from cloud_api.kit import due_jobs
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Forbidden, KaimenError, NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import NOTICE
from cloud_api.staff.permissions import ALARM_HANDLE, ALARM_READ
from cloud_api.worker import register_jobs
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, make_staff, make_store, staff


@dataclass
class Scene:
    cloud: Cloud
    shop: Shop
    wire: ManualClock
    business: ManualClock
    told: list[dict[str, Any]] = field(default_factory=list)

    async def say(
        self, active: bool, kind: str = "store.offline", subject: str = "store:s"
    ) -> None:
        async with self.cloud.db.write() as session:
            await signal(
                session,
                merchant_id=self.shop.merchant.id,
                store_id=self.shop.store.id,
                kind=kind,
                subject=subject,
                active=active,
                data={},
                at=self.cloud.clocks.real,
            )

    async def passes(self, seconds: float) -> None:
        self.wire.pass_time(seconds)
        self.business.pass_time(seconds)
        await self.quiet()

    async def quiet(self) -> None:
        while await due_jobs.run_due(self.cloud):
            pass

    async def alarms(self) -> list[Alarm]:
        async with self.cloud.db.read() as session:
            return list((await session.exec(select(Alarm).order_by(col(Alarm.id)))).all())

    async def events(self) -> list[str]:
        async with self.cloud.db.read() as session:
            found = await session.exec(select(AlarmEvent).order_by(col(AlarmEvent.seq)))
            return [event.kind for event in found.all()]

    def heard(self, event: str) -> list[str]:
        return [one["to"] for one in self.told if one["event"] == event]


@pytest.fixture
async def scene(
    cloud: Cloud, shop: Shop, wire: ManualClock, business: ManualClock, monkeypatch
) -> Scene:
    register_jobs()
    made = Scene(cloud, shop, wire, business)

    async def hear(_cloud: Cloud, job: DueJob) -> None:
        made.told.append(job.body)

    monkeypatch.setitem(due_jobs._handlers, NOTICE, hear)
    return made


async def test_what_lasts_is_raised_and_what_passes_is_not(scene: Scene):
    """A store that is away for half a minute is nobody's business; for a minute it is."""
    await scene.say(True)
    await scene.passes(30)
    await scene.say(False)
    await scene.passes(60)
    assert await scene.alarms() == []
    await scene.say(True)
    await scene.passes(59)
    assert await scene.alarms() == []
    await scene.passes(1)
    [alarm] = await scene.alarms()
    assert (alarm.kind, alarm.state, alarm.severity) == ("store.offline", "open", "critical")
    assert alarm.raised_at - alarm.since == timedelta(seconds=60)
    assert scene.heard("alarm.raised") == ["staff:alarm.handle"]
    await scene.say(False)
    await scene.quiet()
    [alarm] = await scene.alarms()
    assert (alarm.state, alarm.resolved_by) == ("resolved", "signal")
    assert scene.heard("alarm.resolved") == ["staff:alarm.read"]
    assert await scene.events() == ["raised", "resolved"]


async def test_it_is_passed_on_until_somebody_takes_it(scene: Scene):
    await scene.say(True)
    await scene.passes(60)
    await scene.passes(599)
    assert scene.heard("alarm.escalated") == []
    await scene.passes(1)
    assert scene.heard("alarm.escalated") == ["role:manager"]
    await scene.passes(20 * 60)
    assert scene.heard("alarm.escalated") == ["role:manager", "role:owner"]
    assert (await scene.alarms())[0].level == 2
    await scene.passes(3600)
    assert len(scene.heard("alarm.escalated")) == 2


async def test_who_takes_it_stops_the_passing_on(scene: Scene):
    await scene.say(True)
    await scene.passes(60)
    [alarm] = await scene.alarms()
    async with scene.cloud.db.write() as session:
        member = await make_staff(session, scene.shop, scene.cloud.clocks.now)
    who = staff(member, frozenset({ALARM_READ, ALARM_HANDLE}))
    async with scene.cloud.db.write() as session:
        await service.acknowledge(session, who, alarm.id, scene.cloud.clocks)
    async with scene.cloud.db.write() as session:  # twice is fine
        taken = await service.acknowledge(session, who, alarm.id, scene.cloud.clocks)
    assert (taken.state, taken.acknowledged_by) == ("acknowledged", who.ref)
    await scene.passes(7200)
    assert scene.heard("alarm.escalated") == []
    async with scene.cloud.db.read() as session:
        acts = (await session.exec(select(AuditEntry.action))).all()
    assert list(acts) == ["alarm.acknowledge"]
    await scene.say(False)
    await scene.quiet()
    assert (await scene.alarms())[0].state == "resolved"


async def test_what_flaps_is_one_alarm_told_once(scene: Scene):
    await scene.say(True)
    await scene.passes(60)
    for times in (2, 3):
        await scene.say(False)
        await scene.passes(30)
        await scene.say(True)
        await scene.passes(60)
        [alarm] = await scene.alarms()
        assert (alarm.state, alarm.times) == ("open", times)
    assert len(scene.heard("alarm.raised")) == 1
    await scene.passes(600)  # this time it stays: the next in line hears of it
    assert scene.heard("alarm.escalated") == ["role:manager"]
    await scene.say(False)
    await scene.passes(601)
    await scene.say(True)
    await scene.passes(60)
    assert len(await scene.alarms()) == 2  # so much later it is another one
    assert len(scene.heard("alarm.raised")) == 2


async def test_the_database_holds_one_open_alarm_of_a_kind(scene: Scene):
    await scene.say(True)
    await scene.passes(60)
    [alarm] = await scene.alarms()
    twin = {**alarm.model_dump(), "id": new_id()}
    with pytest.raises(IntegrityError):
        async with scene.cloud.db.write() as session:
            session.add(Alarm(**twin))
    async with scene.cloud.db.write() as session:  # a resolved one may stand beside it
        session.add(Alarm(**twin | {"id": new_id(), "state": "resolved"}))


async def test_a_merchants_own_rule_counts(scene: Scene):
    async with scene.cloud.db.write() as session:
        session.add(
            AlarmRule(
                merchant_id=scene.shop.merchant.id,
                kind="store.offline",
                severity="info",
                raise_after_s=300,
                steps=[{"after_min": 0, "to": "role:owner", "channels": ["email"]}],
                updated_at=scene.cloud.clocks.real,
            )
        )
    await scene.say(True)
    await scene.passes(299)
    assert await scene.alarms() == []
    await scene.passes(1)
    [alarm] = await scene.alarms()
    assert alarm.severity == "info"
    assert [(one["to"], one["channels"]) for one in scene.told] == [("role:owner", ["email"])]


async def test_a_kind_that_is_switched_off_raises_nothing(scene: Scene):
    async with scene.cloud.db.write() as session:
        session.add(
            AlarmRule(
                merchant_id=scene.shop.merchant.id,
                kind="store.offline",
                enabled=False,
                severity="info",
                raise_after_s=0,
                updated_at=scene.cloud.clocks.real,
            )
        )
    await scene.say(True)
    await scene.passes(600)
    assert await scene.alarms() == []


async def test_closing_by_hand_needs_a_word_and_lets_it_come_again(scene: Scene):
    await scene.say(True, "door.unlock_failed", "door:d")
    await scene.quiet()
    [alarm] = await scene.alarms()
    async with scene.cloud.db.write() as session:
        member = await make_staff(session, scene.shop, scene.cloud.clocks.now)
    who = staff(member, frozenset({ALARM_READ, ALARM_HANDLE}))
    async with scene.cloud.db.write() as session:
        with pytest.raises(KaimenError, match="why"):
            await service.resolve(session, who, alarm.id, " ", scene.cloud.clocks)
        await service.resolve(session, who, alarm.id, "换了电池", scene.cloud.clocks)
    await scene.quiet()
    assert (await scene.alarms())[0].resolved_by == who.ref
    await scene.passes(5)
    await scene.say(True, "door.unlock_failed", "door:d")
    await scene.quiet()
    assert [one.state for one in await scene.alarms()] == ["resolved", "open"]


async def test_nobody_sees_or_takes_what_is_not_theirs(scene: Scene):
    await scene.say(True)
    await scene.passes(60)
    [alarm] = await scene.alarms()
    async with scene.cloud.db.write() as session:
        other = await make_store(session, scene.cloud.clocks.now, name="别家")
        stranger = staff(
            await make_staff(session, other, scene.cloud.clocks.now),
            frozenset({ALARM_READ, ALARM_HANDLE}),
        )
        mine = await make_staff(session, scene.shop, scene.cloud.clocks.now)
        elsewhere = await make_staff(session, scene.shop, scene.cloud.clocks.now, store_ids=["x"])
    branch = staff(elsewhere, frozenset({ALARM_READ, ALARM_HANDLE}))
    async with scene.cloud.db.write() as session:
        for who in (stranger, branch):
            assert await service.find(session, who) == ([], None)
            assert await service.count_open(session, who) == 0
            with pytest.raises(NotFound):
                await service.acknowledge(session, who, alarm.id, scene.cloud.clocks)
        reader = staff(mine, frozenset({ALARM_READ}))
        assert [one.id for one in (await service.find(session, reader))[0]] == [alarm.id]
        assert await service.count_open(session, reader) == 1
        with pytest.raises(Forbidden):
            await service.acknowledge(session, reader, alarm.id, scene.cloud.clocks)
        with pytest.raises(Forbidden):
            await service.find(session, staff(mine, frozenset()))


async def test_a_dead_job_and_a_certificate_that_runs_out_are_seen(scene: Scene, tmp_path):
    now = scene.cloud.clocks.real
    async with scene.cloud.db.write() as session:
        job = DueJob(
            merchant_id=scene.shop.merchant.id, kind="test.dead", ref="r", run_at=now, dead_at=now
        )
        credential = StoreCredential(
            merchant_id=scene.shop.merchant.id,
            store_id=scene.shop.store.id,
            serial="01",
            mqtt_user="u",
            certificate="",
            mac_kid="k",
            mac_key="m",
            created_at=now,
            expires_at=now + timedelta(days=13),
        )
        session.add_all([job, credential])
    await watch.look(scene.cloud)
    await scene.quiet()
    found = {alarm.kind: alarm for alarm in await scene.alarms()}
    assert set(found) == {"job.dead", "certificate.expiring"}
    assert found["certificate.expiring"].store_id == scene.shop.store.id
    async with scene.cloud.db.write() as session:
        job.done_at = credential.revoked_at = now
        credential.expires_at = now + timedelta(days=365)
        credential.revoked_at = None
        session.add_all([job, credential])
    await watch.look(scene.cloud)
    await scene.quiet()
    assert {alarm.state for alarm in await scene.alarms()} == {"resolved"}


async def test_a_full_disk_is_seen(scene: Scene, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: type("U", (), {"free": 5, "total": 100})
    )
    await watch.look(scene.cloud)
    await scene.passes(60)
    [alarm] = await scene.alarms()
    assert (alarm.kind, alarm.data["detail"]) == ("disk.low", "5%")

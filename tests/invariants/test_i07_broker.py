"""I7 on the broker: a store's credentials open its own topics alone, and a revoked one opens none.

On the real NATS server with the configuration an installation has. The negative control runs the
same probes against a server whose users may do everything, and finds every leak.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_id
from cloud_api.store_channel import enrolment
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link import topics
from store_link.link import (
    Backoff,
    Endpoint,
    LinkError,
    MqttLink,
    SubscriptionRefused,
    Tls,
    Will,
)
from tests.cloud_api.conftest import (  # noqa: F401  fixtures
    _vault,
    business,
    cloud,
    db,
    now,
    shop,
    sqlite_templates,
    sqlite_url,
)
from tests.cloud_api.factories import Shop, make_store
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.conftest import (  # noqa: F401  fixtures
    broker,
    channel,
    clocks,
    run_channel,
    settings,
    store,
)
from tests.cloud_api.store_channel.store_side import DEADLINE_S, StoreSide, until

SETTLED_S = 0.3  # long against the millisecond in which this broker delivers


@pytest.fixture
def db_url(sqlite_url: str) -> str:  # noqa: F811
    """The broker is what is tested: one engine will do."""
    return sqlite_url


class Spy:
    """A bare client with a store's certificate: hears what it can get."""

    def __init__(self, port: int, tls: Tls, username: str | None = None, will: str = "") -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self.link = MqttLink(
            Endpoint("127.0.0.1", port, tls=tls, username=username),
            on_message=self._hear,
            will=(lambda _nonce: Will(will, b"will", retain=True)) if will else None,
            backoff=Backoff(base_s=0.05, cap_s=0.1),
        )

    async def _hear(self, topic: str, raw: bytes, retained: bool) -> None:
        self.heard.append((topic, raw, retained))

    async def subscribe(self, wanted: str) -> bool:
        try:
            await self.link.subscribe([wanted])
        except SubscriptionRefused:
            return False
        return True


@pytest.fixture
async def two(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    tmp_path: Path,
) -> tuple[StoreSide, StoreSide]:
    """Controllers of two stores, of different merchants."""
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now, name="别家")
    made = [
        await StoreSide.enrol(cloud, one.store.id, tmp_path / "stores", broker.mqtt_port)
        for one in (shop, other)
    ]
    await asyncio.sleep(SETTLED_S)  # the server has read its users
    return made[0], made[1]


@contextlib.asynccontextmanager
async def spying(side: StoreSide, **options: str) -> AsyncIterator[Spy]:
    spy = Spy(side.port, side.tls, **options)
    await spy.link.start()
    await spy.link.wait_up(DEADLINE_S)
    try:
        yield spy
    finally:
        await spy.link.stop()


async def leaks(two: tuple[StoreSide, StoreSide], cloud: Cloud, broker: StoreBroker) -> set[str]:  # noqa: F811
    """All that the first store can do that is not its own; each named."""
    mine, theirs = two
    files = office_of(cloud).authority.cloud_client(cloud.clocks.real)
    found: set[str] = set()
    async with (
        spying(mine) as thief,
        spying(theirs) as victim,
        spying(theirs) as victim_too,
    ):
        watch = Spy(broker.mqtt_port, Tls(files.ca, files.cert, files.key))
        await watch.link.start()
        await watch.link.wait_up(DEADLINE_S)
        await watch.link.subscribe([topics.ingest_filter()])
        await victim.subscribe(topics.store_filter(theirs.store))
        foreign, own = topics.root(theirs.store), topics.root(mine.store)
        wanted = (
            topics.store_filter(theirs.store),
            f"{foreign}/down/#",
            f"{foreign}/up/#",
            f"{own}/up/#",
            "#",
            "+/#",
            "km/1/#",
            "$MQTT/#",
            "$MQTT/sub/#",
            "$MQTT/sub/+",
            "$MQTT/msgs/#",
            "$JS/#",
            "$SYS/#",
        )
        found |= {f"subscribe {one}" for one in wanted if await thief.subscribe(one)}
        said = (
            f"{foreign}/up/event",
            f"{foreign}/up/presence",
            f"{foreign}/down/command",
            f"{own}/down/command",
        )
        for one in said:
            with contextlib.suppress(LinkError):
                await thief.link.publish(one, b"forged", timeout_s=1)
        with contextlib.suppress(LinkError):
            await thief.link.publish(f"{foreign}/down/desired", b"forged", retain=True, timeout_s=1)
        await watch.link.publish(topics.command(theirs.store), b"secret")
        await until(lambda: any(raw == b"secret" for _, raw, _ in victim.heard))
        await asyncio.sleep(SETTLED_S)
        await victim_too.subscribe(topics.store_filter(theirs.store))  # anything retained?
        await asyncio.sleep(SETTLED_S)
        found |= {f"read {topic}" for topic, raw, _ in thief.heard if raw == b"secret"}
        for ear in (victim, victim_too, watch):
            found |= {f"wrote {topic}" for topic, raw, _ in ear.heard if raw == b"forged"}
        await watch.link.stop()
    return found


async def test_a_store_reads_and_writes_nothing_but_its_own(
    cloud: Cloud,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    assert await leaks(two, cloud, broker) == set()


async def test_the_probes_find_leaks_where_users_may_do_everything(
    cloud: Cloud,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    """The negative control."""
    rights = re.compile(r"permissions: \{.*\} \}")
    open_to_all = rights.sub('permissions: { publish: ">", subscribe: ">" } }', _users(broker))
    assert open_to_all.count('publish: ">"') == 3
    broker.users_file.write_text(open_to_all)
    broker.restart()
    found = await leaks(two, cloud, broker)
    foreign, own = topics.root(two[1].store), topics.root(two[0].store)
    assert f"subscribe {foreign}/down/#" in found
    assert f"read {foreign}/down/command" in found
    assert f"wrote {foreign}/up/event" in found
    assert f"wrote {foreign}/down/desired" in found
    assert f"subscribe {own}/up/#" in found


async def test_a_will_reaches_no_foreign_topic(
    cloud: Cloud,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    """A controller's will is published by the broker itself: the rights count there too."""
    mine, theirs = two
    async with spying(theirs) as victim:
        await victim.subscribe(topics.store_filter(theirs.store))
        async with spying(mine, will=topics.desired(theirs.store)) as thief:
            thief.link.drop()
            await asyncio.sleep(SETTLED_S)
        assert victim.heard == []
    async with spying(theirs) as later:
        await later.subscribe(topics.store_filter(theirs.store))
        await asyncio.sleep(SETTLED_S)
        assert later.heard == []


async def test_a_user_name_is_worth_nothing_beside_a_certificate(
    cloud: Cloud,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    mine, theirs = two
    for name in (theirs.enrolled.mqtt_user, "cloud.kaimen.internal"):
        async with spying(mine, username=name) as thief:
            assert not await thief.subscribe(topics.store_filter(theirs.store))
            assert not await thief.subscribe("km/1/+/+/up/event")


async def test_without_a_certificate_of_ours_nobody_connects(
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
    tmp_path: Path,
) -> None:
    from datetime import UTC, datetime

    ca = two[0].tls.ca
    forged = load_authority(tmp_path / "another", datetime.now(UTC)).cloud_client(datetime.now(UTC))
    for tls in (Tls(ca), Tls(ca, forged.cert, forged.key)):
        spy = Spy(broker.mqtt_port, tls)
        await spy.link.start()
        with pytest.raises(TimeoutError):
            await spy.link.wait_up(0.7)
        await spy.link.stop()


async def test_the_servers_own_port_admits_nobody(
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    """Users of certificates have no password, and an empty one equals it: an open door on that port."""
    for user in ("cloud.kaimen.internal", two[0].enrolled.mqtt_user):
        with socket.create_connection(("127.0.0.1", broker.client_port), timeout=5) as plain:
            assert plain.recv(4096).startswith(b"INFO")
            login = f'CONNECT {{"verbose":true,"user":"{user}","pass":""}}\r\nPING\r\n'
            plain.sendall(login.encode())
            assert b"Authorization Violation" in plain.recv(4096)


async def test_a_replaced_controller_is_thrown_out_and_the_others_stay(
    cloud: Cloud,  # noqa: F811
    channel: Channel,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
    broker: StoreBroker,  # noqa: F811
    tmp_path: Path,
) -> None:
    old, other = two
    await old.connect()
    await other.connect()
    nonce = other.link.nonce
    new = await StoreSide.enrol(cloud, old.store, tmp_path / "stores", broker.mqtt_port)
    assert new.enrolled.replaced == (old.enrolled.mqtt_user,)
    await until(lambda: old.link.nonce is None)
    await asyncio.sleep(SETTLED_S)
    assert old.link.nonce is None  # it tried again, and was refused
    assert other.link.nonce == nonce
    assert channel.link.up
    await new.connect()
    for side in (old, other, new):
        await side.close()


async def test_a_revoked_store_comes_in_no_more_even_after_a_restart(
    cloud: Cloud,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
) -> None:
    mine, theirs = two
    async with cloud.db.write() as session:
        users = await enrolment.revoke(session, mine.store, cloud.clocks)
    for user in users:
        await office_of(cloud).admin.revoke(user)
    broker.restart()
    spy = Spy(broker.mqtt_port, mine.tls)
    await spy.link.start()
    with pytest.raises(TimeoutError):
        await spy.link.wait_up(0.7)
    await spy.link.stop()
    async with spying(theirs):
        pass


async def test_the_users_file_is_put_right_from_the_database(
    cloud: Cloud,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    two: tuple[StoreSide, StoreSide],
    channel: Channel,  # noqa: F811
) -> None:
    """Whoever looks first: the channel itself does at its start, and every 30 s."""
    right = _users(broker)
    stranger = f"{new_id().lower()}.store.kaimen.internal"
    await broker.admin.ensure_store(stranger, two[0].store)
    await broker.admin.revoke(two[1].enrolled.mqtt_user)
    await channel.sync_broker()
    assert _users(broker) == right
    assert two[1].enrolled.mqtt_user in right
    assert stranger not in right


def _users(broker: StoreBroker) -> str:  # noqa: F811
    return broker.users_file.read_text()

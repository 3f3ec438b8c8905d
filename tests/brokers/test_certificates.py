"""A broker's certificate is made anew while doors are being opened: nobody is interrupted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from cloud_api.store_channel.office import renew_certificates
from tests.brokers.parties import Cloud, Controller, until
from tests.brokers.sites import Site

Enter = Callable[..., Awaitable[Controller]]


def on_disk(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "broker.pem").read_bytes())


def shown(site: Site) -> set[int]:
    """The serials of the certificates that the servers show to whoever comes now; none while one is slow."""
    hosts, port = site.address(cloud=False)
    nodes = [host.partition(":") for host in hosts.split(",")]
    try:
        pems = [
            ssl.get_server_certificate((host, int(own or port)), timeout=5)
            for host, _, own in nodes
        ]
    except OSError:  # a handshake that a busy machine gave no time
        return set()
    return {x509.load_pem_x509_certificate(pem.encode()).serial_number for pem in pems}


async def test_it_is_renewed_in_time_under_a_load_of_unlocks(
    site: Site, store: Controller, cloud: Cloud, enter: Enter
) -> None:
    """It lived for 825 days from the first start, and then every store was shut out at once.

    The worker looks every 30 s. What is signed anew says the same names; servers read it on SIGHUP.
    """
    settings, now = site.settings(), datetime.now(UTC)
    files = settings.nats_users_file or (settings.mosquitto_crl_file,)
    folders = [file.parent for file in files if file is not None]
    assert renew_certificates(settings, site.authority, now) == [], "not due"
    for folder in folders:  # as if it had been made long ago
        names = on_disk(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        said = [str(name.value) for name in names.value]
        (folder / "broker.pem").unlink()
        cluster = len(folders) > 1
        site.authority.issue_broker(folder, said, now - timedelta(days=800), cluster=cluster)
    aged = {on_disk(folder).serial_number for folder in folders}

    await until(lambda: cloud.presence.online(store.store), "presence")
    nonce, outcomes, over = store.side.nonce, [], asyncio.Event()

    async def guests() -> None:
        while not over.is_set():
            outcomes.append((await cloud.unlock(store.store))[1])
            await asyncio.sleep(0.01)

    tapping = asyncio.create_task(guests())
    try:
        renewed = await asyncio.to_thread(renew_certificates, settings, site.authority, now)
        assert renewed == folders
        fresh = {on_disk(folder).serial_number for folder in folders}
        assert not fresh & aged
        while await asyncio.to_thread(shown, site) != fresh:
            assert not tapping.done()
            await asyncio.sleep(0.05)
        newcomer = await enter(await site.enrol())  # believes the new one
        assert newcomer.side.up
        since = len(outcomes)
        await until(lambda: len(outcomes) > since + 3, "doors opened after it")
    finally:
        over.set()
        await tapping
    assert store.side.nonce == nonce, "its connection was cut"
    assert set(outcomes) == {"done"}, outcomes
    assert renew_certificates(settings, site.authority, now) == []

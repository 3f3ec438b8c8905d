"""Services of the compose file that test_first_guest.py does not need: the broker's loop, profile ``scale``."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cloud_api.store_channel.authority import load_authority
from demo.processes import listens
from tests.deploy.compose import ROOT
from tests.deploy.machine import Machine
from tests.support.mosquitto import ensure_mosquitto
from tests.support.nats import find_nats_server
from tests.support.ports import free_port
from tests.support.web_front import ensure

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(300)]


def test_a_broker_reads_its_list_again_without_being_told(machine: Callable[..., Machine]):
    """The cloud is in another container: a loop beside the broker sees the new file.

    Also one that is written the moment the broker listens: who looks takes a second for each look.
    """
    ensure_mosquitto()
    here = machine()
    here.run("broker-files")
    slow = here.folder / "slow"
    slow.mkdir()
    look = slow / "cksum"
    look.write_text(f'#!/bin/sh\nsleep 1\nexec {shutil.which("cksum")} "$@"\n')
    look.chmod(0o755)
    path = f"{slow}:{os.environ['PATH']}"
    broker = here.start("mosquitto", lambda: listens(int(here.ports["8884"])), PATH=path)
    before = broker.log.read_text()
    crl = here.folder / "broker" / "crl.pem"
    crl.write_text(crl.read_text() + "\n")
    deadline = time.monotonic() + 60
    while "Reloading" not in broker.log.read_text()[len(before) :]:
        assert time.monotonic() < deadline, broker.tail()
        time.sleep(0.1)
    assert broker.running


def test_profile_scale_lets_stores_in_while_nodes_are_missing(machine: Callable[..., Machine]):
    """Files for three nodes are written, one node starts with its own, HAProxy finds it.

    HAProxy ended at its start where one node of three had no name, as after a reboot with a dead node, and
    went on speaking to the address that a node had had before it was made anew.
    """
    here = machine(KAIMEN_BROKER_ADMIN="nats", KAIMEN_BROKER_HOSTS="nats-1,nats-2,nats-3")
    written = here.run("broker-files-scale").split()
    assert [word for word in written if word.endswith("nats.conf")] == [
        str(here.folder / "broker" / node / "nats.conf") for node in ("nats-1", "nats-2", "nats-3")
    ]
    config = here.folder / "broker" / "nats-1" / "nats.conf"
    config.write_text(config.read_text().replace("port: 6222", f"port: {here.ports['6222']}"))
    node = here.start(
        "nats-1",
        lambda: listens(int(here.ports["8884"])),
        PATH=f"{find_nats_server().parent}:/usr/bin:/bin",
    )
    assert node.running

    file, program = ROOT / "deploy" / "haproxy.cfg", str(ensure("haproxy"))
    as_it_is = subprocess.run(
        [program, "-c", "-f", file], capture_output=True, text=True, check=False, timeout=60
    )
    assert as_it_is.returncode == 0, as_it_is.stderr  # none of the names is known here
    text, door = file.read_text(), free_port()
    # Only nats-1 has an address here; the engine's name server is not there to be asked.
    text = text.replace("nats-1:8884", f"127.0.0.1:{here.ports['8884']}")
    text = text.replace("bind :8883", f"bind 127.0.0.1:{door}")
    (here.folder / "haproxy.cfg").write_text(text)
    command = [program, "-db", "-f", str(here.folder / "haproxy.cfg")]
    here.child("haproxy", command, {}, lambda: listens(door))
    # What comes out at the other end is the node's own TLS, untouched.
    ours = load_authority(here.folder / "data", datetime.now(UTC)).folder / "ca.pem"
    deadline = time.monotonic() + 30
    while (said := _greeted(door, ours)) != "kaimen-broker":
        assert time.monotonic() < deadline, said
        time.sleep(0.2)


def _greeted(port: int, ca: Path) -> str:
    """The name in the certificate of whoever answers."""
    context = ssl.create_default_context(cafile=str(ca))
    try:
        plain = socket.create_connection(("127.0.0.1", port), timeout=3)
        with plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            told = secure.getpeercert() or {}
            return "kaimen-broker" if "kaimen-broker" in str(told["subject"]) else str(told)
    except OSError as error:
        return repr(error)

"""Each service's command with its environment, as the compose file has them, as real processes.

Hosts and folders of containers are replaced by this machine's; everything else is the file's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.processes import Child, answers, listens
from tests.deploy.compose import ROOT, made_env, services
from tests.support.nats import find_nats_server
from tests.support.ports import free_port

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(300)]

BIN = Path(sys.executable).parent


class Machine:
    """The services of the file, on this machine."""

    def __init__(self, folder: Path, database_url: str, **env: str) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in ("8000", "8001", "8883", "8884", "6222")}
        self.services = services(made_env(folder) | env)
        self.database_url = database_url
        self.children: list[Child] = []
        for name in ("data", "broker", "state"):
            (folder / name).mkdir()

    def here(self, text: str) -> str:
        """A text of the file with this machine's folders and ports."""
        for name in ("data", "broker", "state"):
            if text == f"/{name}" or text.startswith(f"/{name}/"):
                text = text.replace(f"/{name}", str(self.folder / name))
        return self.ports.get(text, text)

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment; hosts are this machine."""
        env = {
            key: ",".join(self.here(part) for part in str(value).split(","))
            for key, value in self.services[name].get("environment", {}).items()
        }
        assert env["KAIMEN_DATABASE_URL"].startswith("postgresql+asyncpg://kaimen:")
        return env | {"KAIMEN_DATABASE_URL": self.database_url, "KAIMEN_MQTT_HOST": "127.0.0.1"}

    def command(self, name: str) -> list[str]:
        """The service's command line."""
        words = [self.here(str(word)) for word in self.services[name]["command"]]
        entry = self.services[name].get("entrypoint")
        if entry is None:
            return [str(BIN / "kaimen-cloud"), *words]
        scripts = [word.replace("/run-", f"{ROOT}/deploy/run-") for word in entry]
        return [*scripts, *words]

    def run(self, name: str) -> str:
        """A service that ends; its output."""
        done = subprocess.run(
            self.command(name),
            env={**os.environ, **self.environment(name)},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        config = self.folder / "broker" / "mosquitto.conf"
        if os.geteuid() == 0 and config.exists():  # in its container it is no root
            config.write_text(f"user root\n{config.read_text()}")
        return done.stdout

    def start(self, name: str, ready: Callable[[], bool], **env: str) -> Child:
        """A service that stays."""
        child = self.begin(name, **env)
        child.wait_until(ready, "it was ready")
        return child

    def begin(self, name: str, **env: str) -> Child:
        """A service that stays; it is not waited for."""
        whole = self.environment(name) if "KAIMEN_SECRETS" in str(self.services[name]) else {}
        child = Child(name, self.command(name), whole | env, self.folder / f"{name}.log")
        self.children.append(child)
        child.start()
        return child

    def healthy(self, name: str) -> bool:
        """The service's own health check, run here."""
        test: list[Any] = self.services[name]["healthcheck"]["test"]
        words = [str(word) for word in test[1:]]
        asked = re.search(r":(\d+)/", " ".join(words))
        assert asked is not None, words
        if not listens(int(self.ports[asked[1]])):  # a check is a process: not before it can answer
            return False
        for port in ("8000", "8001"):
            words = [word.replace(f":{port}/", f":{self.ports[port]}/") for word in words]
        if words[0] == "python":
            words[0] = sys.executable
        return subprocess.run(words, check=False, capture_output=True, timeout=20).returncode == 0


@pytest.fixture
def machine(
    make_pg_database: Callable[..., str], tmp_path: Path
) -> Iterator[Callable[..., Machine]]:
    """Makes one machine; its services are stopped afterwards."""
    made: list[Machine] = []

    def make(**env: str) -> Machine:
        made.append(Machine(tmp_path, make_pg_database(), **env))
        return made[-1]

    yield make
    for one in made:
        for child in reversed(one.children):
            child.stop()


def test_one_machine_with_mosquitto(machine: Callable[..., Machine]):
    """migrate and broker-files end well; broker, API and worker are healthy by their own checks."""
    if shutil.which("mosquitto") is None:
        pytest.skip("no Mosquitto on this machine")
    here = machine()
    assert "revision" in here.run("migrate")
    assert "mosquitto.conf" in here.run("broker-files")
    here.start("mosquitto", lambda: listens(int(here.ports["8884"])))
    api = here.begin("api-1")
    here.start("worker", lambda: here.healthy("worker"))
    api.wait_until(lambda: here.healthy("api-1"), "it was ready")
    url = f"http://127.0.0.1:{here.ports['8000']}"
    refused = httpx.get(f"{url}/metrics", trust_env=False)
    assert refused.status_code == 401
    assert "strict-transport-security" in httpx.get(f"{url}/healthz", trust_env=False).headers
    api.stop()
    assert not answers(f"{url}/healthz")


def test_a_broker_reads_its_list_again_without_being_told(machine: Callable[..., Machine]):
    """The cloud is in another container: a loop beside the broker sees the new file."""
    if shutil.which("mosquitto") is None:
        pytest.skip("no Mosquitto on this machine")
    here = machine()
    here.run("broker-files")
    broker = here.start("mosquitto", lambda: listens(int(here.ports["8884"])))
    before = broker.log.read_text()
    crl = here.folder / "broker" / "crl.pem"
    crl.write_text(crl.read_text() + "\n")
    deadline = time.monotonic() + 60
    while "Reloading" not in broker.log.read_text()[len(before) :]:
        assert time.monotonic() < deadline, broker.tail()
        time.sleep(0.1)
    assert broker.running


def test_the_nodes_of_profile_scale_start(machine: Callable[..., Machine]):
    """Files for three nodes are written; a node starts with its own and serves MQTT."""
    here = machine(KAIMEN_BROKER_ADMIN="nats", KAIMEN_BROKER_HOSTS="nats-1,nats-2,nats-3")
    written = here.run("broker-files-scale").split()
    assert [word for word in written if word.endswith("nats.conf")] == [
        str(here.folder / "broker" / node / "nats.conf") for node in ("nats-1", "nats-2", "nats-3")
    ]
    config = here.folder / "broker" / "nats-1" / "nats.conf"
    config.write_text(config.read_text().replace("port: 6222", f"port: {here.ports['6222']}"))
    path = f"{find_nats_server().parent}:{os.environ['PATH']}"
    node = here.start("nats-1", lambda: listens(int(here.ports["8884"])), PATH=path)
    assert node.running

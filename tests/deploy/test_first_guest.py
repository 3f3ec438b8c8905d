"""docs/deploy.md followed line by line: from make-env to the first paid guest, then an upgrade under his nose.

What cannot be here is an engine for containers, a name in DNS and an editor. Everything else is what it
will be: Caddy with HTTPS in front of two APIs, a worker, PostgreSQL, Mosquitto, a controller on virtual
boards, a gateway for SMS and a payment provider that sign. A line of the page that is not known here
fails: nobody can change the page and leave the test behind.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cloud_api.stores.media_routes import upload_limit
from demo.processes import Child, answers, listens
from tests.deploy.compose import ROOT, amount
from tests.deploy.machine import BIN, Machine
from tests.deploy.test_docs import COMMANDS
from tests.processes.cluster import eventually
from tests.support.mosquitto import ensure_mosquitto
from tests.support.ports import free_port
from tests.support.web_front import ensure

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.timeout(600)]

GUEST = "+8613912340001"
FIRST = "docker compose up -d --wait"
UPGRADE = (
    "for service in api-1 api-2 worker; do docker compose up -d --no-deps --wait $service; done"
)
# Not for this machine: an engine, an editor, the store's own computer (tests/deploy/test_edge_scripts.py),
# a firewall, the other broker (test_services.py).
NOT_HERE = re.compile(
    r"git |vi |docker compose build|ufw |python3 -m venv|/opt/kaimen/bin/|echo 'rs485"
)


class Operator:
    """Who types what the page says."""

    def __init__(self, here: Machine, parts: dict[str, str]) -> None:
        self.here, self.parts = here, parts  # parts: what runs outside of the machine
        self.said: dict[str, str] = {}
        self.code = ""
        self.running: dict[str, Child] = {}

    def types(self, line: str) -> None:
        """One line. Raises AssertionError for one that is not known."""
        line = line.replace("kaimen.example.cn", f"localhost:{self.here.ports['443']}")
        line = line.replace("7KQM-2XPD-9RT4", self.code or "no-code-yet")
        words = shlex.split(line)
        if NOT_HERE.match(line) or line.startswith("deploy/make-env"):
            return  # make-env was run for this very machine, see compose.made_env
        if line == FIRST:
            self.up()
        elif line == UPGRADE:
            self.upgrade()
        elif words[:4] == ["docker", "compose", "exec", "worker"]:
            self._tool("worker", words[4:])
        elif words[:4] == ["docker", "compose", "run", "--rm"]:
            self._once(words[4:])
        elif line.startswith("docker compose --profile store run --rm --entrypoint kaimen-edge"):
            self._tool("controller", ["kaimen-edge", *words[9:]])
        elif line == "docker compose --profile store up -d controller":
            self._start("controller", lambda: self.here.healthy("controller"))
        elif words[0] == "cp":
            self._store_file(ROOT / words[1])
        else:
            raise AssertionError(f"docs/deploy.md says what this test cannot do: {line}")

    def up(self) -> None:
        """Everything of profile ``single``, as its conditions order it; nothing where it runs."""
        if self.running:
            return
        here = self.here
        here.run("migrate")
        here.run("broker-files")
        with ThreadPoolExecutor() as pool:
            self._start("mosquitto", lambda: listens(int(here.ports["8884"])))
            started = [
                pool.submit(self._start, name, partial(here.healthy, name))
                for name in ("worker", "api-1", "api-2")
            ]
            for one in started:
                one.result()
        self.running["caddy"] = caddy(here)

    def upgrade(self) -> None:
        """Each process ends politely and begins again, while people look at pages through Caddy."""
        seen: list[int | str] = []
        ending = threading.Event()

        def look() -> None:
            with browser(self.here) as people:
                while not ending.is_set():
                    try:
                        seen.append(people.get("/api/v1/stores").status_code)
                    except httpx.HTTPError as error:
                        seen.append(repr(error))
                    time.sleep(0.05)

        people = threading.Thread(target=look, daemon=True)
        people.start()
        for name in ("api-1", "api-2", "worker"):
            self.running[name].stop()
            self.running[name].start()
            self.running[name].wait_until(partial(self.here.healthy, name), "it was ready")
        ending.set()
        people.join(30)
        assert len(seen) > 20
        assert set(seen) == {200}, seen

    def first_backup(self, words: list[str], env: dict[str, str]) -> None:
        """The worker makes one by itself when it first starts, before anybody has typed anything for it."""

        def made() -> bool:
            code, said = self.here.tried(words[0], "backups", env=env)
            return code == 0 and ".kmb" in said

        def done() -> bool:  # it sweeps what is old, and only then says that it has ended
            code, said = self.here.tried(*words, env=env)
            assert code == 0 or "正在备份" in said, said
            self.said["backup"] = said
            return code == 0

        eventually(made, 90, "the first backup")
        eventually(done, 90, "the first backup's end")

    def _start(self, name: str, ready: Callable[[], bool]) -> None:
        self.running[name] = self.here.start(name, ready, **self._around(name))

    def _around(self, name: str) -> dict[str, str]:
        """The name in DNS, and that whoever asks us by it believes our certificate."""
        if name == "controller":
            return {"SSL_CERT_FILE": str(root_of(self.here)), "TMPDIR": str(self.here.folder)}
        return {"KAIMEN_STORE_MQTT_HOST": "localhost"} if name != "mosquitto" else {}

    def _tool(self, service: str, words: list[str]) -> None:
        env = self.here.environment(service) | self._around(service)
        words = [str(BIN / words[0]), *(self.here.here(word) for word in words[1:])]
        if words[1] == "backup":
            self.first_backup(words, env)
            return
        self.said[words[1]] = said = self.here.tool(*words, env=env)
        if words[1] == "enrol-code":
            self.code = said.strip()

    def _once(self, words: list[str]) -> None:
        if words[0] == "-v":
            mounted, inside = words[1].split(":")[:2]
            at = {inside: str(self.here.folder / mounted)}
            self._tool(words[2], ["kaimen-cloud", *(at.get(word, word) for word in words[3:])])
        else:
            assert words == ["migrate"], words
            assert "is at revision" in self.here.run("migrate")

    def _store_file(self, example: Path) -> None:
        """As the page says: the example, with what the payment provider gave."""
        plan = yaml.safe_load(example.read_text("utf-8"))
        assert plan["provider"] == "cashier"
        plan["credentials"] = json.loads(Path(self.parts["account"]).read_text())
        text = yaml.safe_dump(plan, allow_unicode=True)
        (self.here.folder / "store.yaml").write_text(text, encoding="utf-8")


def caddy(here: Machine) -> Child:
    """Caddy with the installation's own file; it makes its certificate by its own authority."""
    text = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    for host, port in (("api-1", here.ports["8000"]), ("api-2", here.second)):
        assert f"{host}:8000" in text
        text = text.replace(f"{host}:8000", f"127.0.0.1:{port}")
    ours = f"http_port {here.ports['80']}\nhttps_port {here.ports['443']}"
    (here.folder / "Caddyfile").write_text(f"{{\nadmin off\nskip_install_trust\n{ours}\n}}\n{text}")
    place = here.folder / "caddy"
    env = here.environment("caddy") | {
        name: str(place) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    }
    command = [str(ensure("caddy")), "run", "--config", str(here.folder / "Caddyfile")]

    def ready() -> bool:
        return root_of(here).exists() and listens(int(here.ports["443"]))

    return here.child("caddy", command, env, ready)


def root_of(here: Machine) -> Path:
    """The certificate of Caddy's own authority, which a public one stands for elsewhere."""
    return here.folder / "caddy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def browser(here: Machine, **headers: str) -> httpx.Client:
    """Somebody on the internet."""
    context = ssl.create_default_context(cafile=str(root_of(here)))
    return httpx.Client(
        base_url=f"https://localhost:{here.ports['443']}", verify=context, timeout=30,
        trust_env=False, headers=headers,
    )  # fmt: skip


@pytest.fixture
def page(machine: Callable[..., Machine], tmp_path: Path) -> Operator:
    """The operator, with an SMS gateway and a payment provider out there."""
    ensure_mosquitto()
    sms, till = free_port(), free_port()
    here = machine(
        KAIMEN_HOST="localhost",
        KAIMEN_SMS_URL=f"http://127.0.0.1:{sms}/send",
        KAIMEN_SMS_KEY="k" * 64,
    )
    python = [str(BIN / "python"), "-m"]
    key = {"KAIMEN_SMS_KEY": "k" * 64}
    here.child(
        "sms", [*python, "simulators.sms", "--port", str(sms)], key,
        lambda: answers(f"http://127.0.0.1:{sms}/messages"),
    )  # fmt: skip
    folder = tmp_path / "cashier"
    folder.mkdir()
    here.child(
        "cashier", [*python, "simulators.cashier", "--port", str(till), "--state", str(folder)],
        {"SSL_CERT_FILE": str(root_of(here))}, lambda: answers(f"http://127.0.0.1:{till}/healthz"),
    )  # fmt: skip
    return Operator(
        here, {"sms": f"http://127.0.0.1:{sms}", "account": str(folder / "account.json")}
    )


def test_the_page_leads_to_a_paid_guest_and_through_an_upgrade(page: Operator) -> None:
    for line in COMMANDS:
        if line == UPGRADE:
            the_first_guest(page)
            what_caddy_lets_through(page.here)
        page.types(line)
    assert {"init", "add-store", "enrol-code", "enroll", "check"} <= set(page.said)
    assert "caddy" in page.running
    assert "All is as it should be" in page.said["rehearse"]
    assert re.search(
        r"rows +\d{3,} in \d+ tables, as many as were backed up", page.said["rehearse"]
    )
    assert "keys.json, audit-keys.json, authority/ca.key" in page.said["rehearse"]
    assert re.search(r"backup +ok", page.said["check"])
    what_each_needs(page)
    # The first owner and the first store are made once.
    init = ("init", "--merchant", "雀友会", "--phone", "13800000001", "--owner", "陈店长")
    env = page.here.environment("worker")
    assert "nothing was changed" in page.here.tool(str(BIN / "kaimen-cloud"), *init, env=env)
    add = ("add-store", str(page.here.folder / "store.yaml"), "--merchant", "雀友会")
    again = page.here.tool(str(BIN / "kaimen-cloud"), *add, env=env, fails=True)
    assert "is there already" in again


def what_each_needs(page: Operator) -> None:
    """After all of that, each service has half of its limit left; PostgreSQL is not of this page's children."""
    needs = {
        name: (page.here.memory(name), amount(page.here.services[name]["mem_limit"]))
        for name in page.running
    }
    print({name: f"{used >> 20} of {limit >> 20} MB" for name, (used, limit) in needs.items()})
    assert {"api-1", "api-2", "worker", "caddy", "mosquitto", "controller"} <= set(needs)
    for name, (used, limit) in needs.items():
        assert used < limit / 2, f"{name} has {used >> 20} MB of {limit >> 20}"


def the_first_guest(page: Operator) -> None:
    """Scans, logs in, books from this minute, pays, taps: the boards' lock pulses once, the table has power."""
    here = page.here
    door = re.search(r"竹间门  https://localhost:\d+/d/(\S{20,})", page.said["add-store"])
    assert door is not None, page.said["add-store"]
    assert "大门  https://" in page.said["add-store"]
    with browser(here) as http:
        assert http.get(f"/d/{door[1]}", follow_redirects=True).status_code == 200
        http.cookies.clear()  # from here on as an app does it

        def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
            headers = {"idempotency-key": uuid.uuid4().hex}
            answer = http.post(f"/api/v1{path}", json=body, headers=headers)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json() if answer.content else {}
            return found

        post("/auth/code", {"phone": GUEST})
        told = httpx.get(f"{page.parts['sms']}/messages", params={"phone": GUEST}, trust_env=False)
        code = re.search(r"\d{6}", told.json()[0]["text"])
        assert code is not None
        token = post("/auth/login", {"phone": GUEST, "code": code.group()})["token"]
        http.headers["authorization"] = f"Bearer {token}"
        store = http.get("/api/v1/stores").json()["items"][0]["id"]
        room = http.get(f"/api/v1/stores/{store}/rooms").json()["items"][0]["id"]
        begins = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        wanted = {
            "room_id": room, "starts_at": begins.isoformat(),
            "ends_at": (begins + timedelta(hours=2)).isoformat(),
        }  # fmt: skip
        order = post("/orders", {"quote_id": post("/quotes", wanted)["id"]})
        paying = post(f"/orders/{order['id']}/pay", {"provider": "cashier", "channel": "page"})
        with following(here, token) as heard:
            pressed = httpx.post(paying["redirect_url"], data={"do": "pay"}, trust_env=False)
            assert pressed.status_code == 303
            eventually(
                lambda: http.get(f"/api/v1/orders/{order['id']}").json()["state"] == "ready", 60,
                "the money",
            )  # fmt: skip
            eventually(lambda: heard, 10, "the news through Caddy, at once")

        def opened() -> bool:
            answer = http.post(
                f"/api/v1/doors/{door[1]}/unlock",
                json={},
                headers={"idempotency-key": uuid.uuid4().hex},
            )
            return bool(answer.json().get("state") == "done")

        eventually(opened, 60, "the door")
        eventually(
            lambda: http.get(f"/api/v1/orders/{order['id']}").json()["state"] == "in_use",
            30,
            "the stay",
        )


class following:  # noqa: N801  used as a function
    """An open stream of events through Caddy; gives the list of what came, as it comes."""

    def __init__(self, here: Machine, token: str) -> None:
        self._http = browser(here, authorization=f"Bearer {token}")
        self.heard: list[str] = []
        self._opened = threading.Event()

    def __enter__(self) -> list[str]:
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._opened.wait(20), "Caddy keeps the stream back"
        return self.heard

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _listen(self) -> None:
        try:
            with self._http.stream("GET", "/api/v1/events") as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert "content-encoding" not in answer.headers
                for line in answer.iter_lines():
                    self._opened.set()
                    if line.startswith("data: "):
                        self.heard.append(line)
        except (httpx.HTTPError, RuntimeError, OSError):
            return  # closed


def what_caddy_lets_through(here: Machine) -> None:
    """HTTPS alone, headers, what is not for everybody, how long a body may be."""
    inside = httpx.get(f"http://127.0.0.1:{here.ports['8000']}/metrics", trust_env=False)
    assert inside.status_code == 401, "inside it wants its token"
    plain = httpx.get(f"http://localhost:{here.ports['80']}/healthz", trust_env=False)
    assert plain.status_code in {301, 308}
    assert plain.headers["location"].startswith("https://localhost")
    with browser(here) as http:
        for hidden in ("/metrics", "/readyz", "/%6detrics"):
            assert http.get(hidden).status_code == 404, hidden
        home = http.get("/healthz")
        assert home.headers["strict-transport-security"].startswith("max-age=31536000")
        assert "default-src 'self'" in home.headers["content-security-policy"]
        assert "uvicorn" not in str(home.headers)
        zipped = http.get("/", headers={"accept-encoding": "gzip"}, follow_redirects=True)
        assert zipped.headers["content-encoding"] == "gzip"
        # A photo of some megabytes reaches the API, which asks who it is; anything else does not.
        photo = os.urandom(3 << 20)
        for path in UPLOADS:
            assert http.post(path, content=photo).status_code in {401, 403}, path
        long = http.post("/api/v1/quotes", content=photo)
        assert long.status_code >= 400, "whoever is first says no"
        assert long.status_code != 401
    # Who asks is who Caddy saw, whatever they say of themselves: guessing codes is slowed by address.
    refused = 0
    for turn in range(14):
        with browser(here, **{"x-forwarded-for": f"203.0.113.{turn}"}) as liar:
            body = {"code": "AAAA-AAAA-AAAA", "csr": "x" * 64}
            refused += liar.post("/edge/v1/enroll", json=body).status_code == 429
    assert refused >= 1, "an address of one's own choice counts as another"


UPLOADS = (
    "/api/v1/me/photos",
    "/api/v1/console/stores/01ABC/media",
    "/api/v1/console/campaigns/01ABC/media",
    "/api/v1/console/campaigns/01ABC/media/01DEF/poster",
    "/api/v1/console/media/01ABC/poster",
    "/api/v1/console/cleaning/tasks/01ABC/photos",
    "/api/v1/console/brand/logos/square",
)


def test_caddy_and_the_api_agree_on_what_may_be_long(machine: Callable[..., Machine]) -> None:
    """A photo of two megabytes was refused by Caddy, with an empty page, where the API takes ten."""
    from cloud_api.settings import Settings

    here = machine()
    names = {k.removeprefix("KAIMEN_").lower(): v for k, v in here.environment("worker").items()}
    wide = upload_limit(Settings.model_validate(names))
    text = (ROOT / "deploy" / "Caddyfile").read_text("utf-8")
    pattern = re.search(r"@small not path_regexp (\S+)", text)
    assert pattern is not None
    for path in UPLOADS:
        assert wide("POST", path) is not None, path
        assert re.fullmatch(pattern[1].strip("^$"), path), path
    for path in ("/api/v1/quotes", "/api/v1/console/stores/01ABC", "/api/v1/console/brand"):
        assert wide("POST", path) is None
        assert not re.fullmatch(pattern[1].strip("^$"), path)

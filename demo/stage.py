"""Puts the whole of Kaimen on one machine: which programs, with which settings, in which order."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import yaml
from sqlmodel import col, select

from cloud_api.devices.models import StoreCredential, StoreStatus
from cloud_api.devices.service import make_enrolment_code
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import use_vault
from cloud_api.kit.database import Database
from cloud_api.migrations import runner
from cloud_api.payments.models import ProviderAccount
from cloud_api.payments.service import notify_path
from cloud_api.settings import Settings
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import nats_config, no_users_yet
from cloud_api.stores.models import Door
from demo import past
from demo.platforms import offer
from demo.processes import Child, Failed, answers, lan_address, listens, local_http, pick_port
from demo.seed import (
    ENTRANCE_CHANNEL,
    INPUT_UNIT,
    INPUTS,
    METER,
    METER_PORT,
    PORT,
    READERS,
    RELAYS,
    ROLES,
    ROOMS,
    SCANNER,
    SPEAKER,
    SPEAKER_PORT,
    seed,
)

WANTED = {
    "web": 8000,
    "panel": 8010,
    "cashier": 8020,
    "wechat": 8021,
    "alipay": 8022,
    "unionpay": 8023,
    "stripe": 8024,
    "sms": 8030,
    "douyin": 8031,
    "meituan": 8032,
    "boards": 8040,
    "mqtt": 8883,
}
PORTS = (PORT, *READERS, METER_PORT, SPEAKER_PORT)
PUBLIC = {
    "web",
    "panel",
    "cashier",
    "wechat",
    "alipay",
    "unionpay",
    "stripe",
    "sms",
    "douyin",
    "meituan",
}  # a phone on the local network reaches these
PAID_AT = ("cashier", "wechat", "alipay", "unionpay", "stripe")
"""The payment providers, in the order in which guests see them."""
SOLD_AT = ("douyin", "meituan")
"""The platforms that sell the store's vouchers."""
COUNTERS = (*PAID_AT, *SOLD_AT, "sms")
"""What needs nothing of ours to start."""
ORDER = ("boards", "broker", *COUNTERS, "cloud", "controller")
LAST_UP = ("controller", "cloud")
NAMES = {
    "broker": "消息中心",
    "cloud": "云端",
    "controller": "门店控制器",
    "boards": "继电器板",
    "cashier": "收银台",
    "wechat": "微信支付",
    "alipay": "支付宝",
    "unionpay": "银联网关",
    "stripe": "Stripe",
    "sms": "短信",
    "douyin": "抖音团购",
    "meituan": "美团团购",
}


@dataclass(slots=True)
class Stage:
    """One demonstration in one folder. ``host`` is what public programs listen on."""

    folder: Path
    host: str = "0.0.0.0"  # noqa: S104  a real phone is meant to reach it
    fixed_ports: bool = True
    ports: dict[str, int] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)
    address: str = "127.0.0.1"
    store_id: str = ""
    doors: dict[str, str] = field(default_factory=dict)  # the tokens of the stickers, by name
    with_past: bool = True  # five weeks of orders behind it (demo/past)
    _env: dict[str, str] = field(default_factory=dict)
    _stripe: str = ""  # the account that its events are about

    def url(self, name: str, *, local: bool = False) -> str:
        """The address of a program, for people (local network) or for this machine."""
        return f"http://{'127.0.0.1' if local else self.address}:{self.ports[name]}"

    def door_url(self, token: str) -> str:
        """What the sticker of a door says."""
        return f"{self.url('web')}/d/{token}"

    @property
    def clock_file(self) -> Path:
        """The offset of business time that all programs read."""
        return self.folder / "clock.json"

    @property
    def state(self) -> Path:
        """The controller's state folder."""
        return self.folder / "store"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its programs, for a command that joins them."""
        return {**os.environ, **self._environment()}

    @classmethod
    def found(cls, folder: Path) -> Stage:
        """The stage that another process runs in ``folder``, to look at; it has no children here."""
        note = json.loads((folder / "stage.json").read_text())
        return cls(folder, **note)

    # ------------------------------------------------------------------------------------- set up

    def prepare(self) -> None:
        """Folders, secrets, ports and the commands of all programs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "stage.json").unlink(missing_ok=True)
        if not self.clock_file.exists():
            self.clock_file.write_text('{"offset_s": 0}')
        if self.host != "127.0.0.1":
            self.address = lan_address()
        for name, wanted in WANTED.items():
            host = self.host if name in PUBLIC else "127.0.0.1"
            self.ports[name] = pick_port(wanted if self.fixed_ports else 0, host)
        env = self._environment()
        self._children(env)

    def _environment(self) -> dict[str, str]:
        kept = self.folder / "secrets.json"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(
                json.dumps({"cloud": secrets.token_hex(32), "sms": secrets.token_hex(32)})
            )
        known = json.loads(kept.read_text())
        return {
            "KAIMEN_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder / 'cloud.db'}",
            "KAIMEN_SECRETS": known["cloud"],
            "KAIMEN_PUBLIC_URL": self.url("web"),
            "KAIMEN_DATA_DIR": str(self.folder / "cloud"),
            "KAIMEN_CLOCK_FILE": str(self.clock_file),
            "KAIMEN_MQTT_PORT": str(self.ports["mqtt"]),
            "KAIMEN_BROKER_ADMIN": "nats",
            "KAIMEN_NATS_USERS_FILE": str(self.folder / "broker" / "users.conf"),
            "KAIMEN_NATS_PID_FILE": str(self.folder / "broker" / "nats.pid"),
            "KAIMEN_SMS_URL": f"{self.url('sms', local=True)}/send",
            "KAIMEN_SMS_KEY": known["sms"],
            "KAIMEN_PAYMENT_PRIVATE_HOSTS": "true",
            "KAIMEN_BACKUP_TO": str(self.folder / "backups"),
            "KAIMEN_BACKUP_PASSPHRASE": known["cloud"],
        }

    def _children(self, env: dict[str, str]) -> None:
        python = sys.executable
        mine = Path(python).parent
        bridge, cloud, edge = (str(mine / f"kaimen-{name}") for name in ("bridge", "cloud", "edge"))
        logs = self.folder / "logs"
        links = self.folder / "ports"
        public = ["--host", self.host]
        commands = {
            "boards": [
                bridge, "virtual",
                "--config", str(self.folder / "boards.yaml"),
                "--links", str(links),
                "--http", f"127.0.0.1:{self.ports['boards']}",
            ],
            "broker": [str(mine / "nats-server"), "-c", str(self.folder / "broker" / "nats.conf")],
            "cashier": [
                python, "-m", "simulators.cashier",
                *public, "--port", str(self.ports["cashier"]),
                "--state", str(self.folder / "cashier"),
                "--public-url", self.url("cashier"),
            ],
            "wechat": self._counter("simulators.wechatpay", "wechat", "--mode", "public_key"),
            "alipay": self._counter("simulators.alipay", "alipay"),
            "douyin": self._counter("simulators.douyin", "douyin"),
            "meituan": self._counter("simulators.meituan", "meituan"),
            "unionpay": [
                python, "-m", "simulators.unionpay",
                *public, "--port", str(self.ports["unionpay"]),
                "--state", str(self.folder / "unionpay"),
                "--public-url", self.url("unionpay"),
            ],
            "stripe": [
                python, "-m", "simulators.stripe",
                *public, "--port", str(self.ports["stripe"]),
                "--state", str(self.folder / "stripe"),
                "--public-url", self.url("stripe"),
            ],
            "sms": [python, "-m", "simulators.sms", *public, "--port", str(self.ports["sms"])],
            "cloud": [cloud, "serve", *public, "--port", str(self.ports["web"])],
            "controller": [
                edge, "run",
                "--state", str(self.state),
                *(word for port in PORTS for word in ("--port", f"{port}={links / port}")),
            ],
        }  # fmt: skip
        self.children = {
            name: Child(name, commands[name], env, logs / f"{name}.log") for name in ORDER
        }
        self._env = env

    def _counter(self, module: str, name: str, *more: str) -> list[str]:
        """A payment simulator that keeps business time: its ladders and bills jump with everything."""
        return [
            sys.executable, "-m", module,
            "--host", self.host, "--port", str(self.ports[name]),
            "--state", str(self.folder / name),
            "--public-url", self.url(name),
            "--clock-file", str(self.clock_file),
            *more,
        ]  # fmt: skip

    # ----------------------------------------------------------------------------------- run, end

    def up(self, say: Callable[[str], None]) -> None:
        """Start everything in order; raises Failed with the part's own words if one does not come."""
        self._write_boards()
        say("继电器板")
        self._start("boards", lambda: answers(f"{self.url('boards', local=True)}/state"))
        say("收银台和短信")  # they come up while the database is made
        for name in COUNTERS:
            self.children[name].start()
        say("数据库")
        asyncio.run(self._migrate())
        say("消息中心")
        self._write_broker()
        self._start("broker", lambda: listens(self.ports["mqtt"]))
        for name in COUNTERS:
            path = "messages" if name == "sms" else "healthz"
            self._start(name, partial(answers, f"{self.url(name, local=True)}/{path}"))
        say("门店资料")
        code = asyncio.run(self._seed())
        self._tell_stripe()
        say("云端")
        self._start("cloud", lambda: answers(f"{self.url('web', local=True)}/readyz"))
        if code is not None:
            say("控制器登记")
            self._tool(
                "kaimen-edge", "enroll", "--cloud", self.url("web", local=True),
                "--code", code, "--state", str(self.state),
            )  # fmt: skip
        say("门店控制器")
        self._start("controller", lambda: self.online, every_s=0.2)
        self._note()

    def down(self) -> None:
        """Stop everything: the store, then the cloud, then all others at once."""
        for name in LAST_UP:
            if name in self.children:
                self.children[name].stop()
        with ThreadPoolExecutor(len(ORDER)) as pool:
            for done in [pool.submit(child.stop) for child in self.children.values()]:
                done.result()

    @property
    def online(self) -> bool:
        """Whether the cloud sees the store online, with the present desired document applied."""
        return asyncio.run(self.store_online())

    async def store_online(self) -> bool:
        """The same, from inside an event loop."""
        db = Database(self._env["KAIMEN_DATABASE_URL"])
        try:
            async with db.read() as session:
                status = await session.get(StoreStatus, self.store_id)
                return bool(status and status.online and status.rev > 0 and status.reported)
        finally:
            await db.close()

    def _start(self, name: str, ready: Callable[[], bool], *, every_s: float = 0.05) -> None:
        child = self.children[name]
        child.start()
        child.wait_until(ready, "它准备好", every_s=every_s)

    async def _migrate(self) -> None:
        """As ``kaimen-cloud migrate`` does it, which would load again what is loaded here."""
        db = Database(self._env["KAIMEN_DATABASE_URL"])
        try:
            await runner.upgrade(db)
        finally:
            await db.close()

    def _tool(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *words],
            env={**os.environ, **self._env},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise Failed(f"{program} {words[0]} failed:\n{done.stdout}{done.stderr}")

    # -------------------------------------------------------------------------------------- files

    def _note(self) -> None:
        """Where everything is, for whoever comes by."""
        names = ("host", "fixed_ports", "ports", "address", "store_id", "doors")
        note = {name: getattr(self, name) for name in names}
        (self.folder / "stage.json").write_text(json.dumps(note, ensure_ascii=False, indent=1))

    def _write_boards(self) -> None:
        labels = {channel: name for _, name, channel in ROLES}
        boards: list[dict[str, object]] = [
            {
                "id": f"relay-{plan.unit}",
                "profile": RELAYS,
                "unit_id": plan.unit,
                "labels": {**labels, ENTRANCE_CHANNEL: "大门锁"} if plan.unit == 1 else labels,
            }
            for plan in ROOMS
        ]
        boards.append({"id": "inputs", "profile": INPUTS, "unit_id": INPUT_UNIT})
        lines = {PORT: {"boards": boards}}
        lines |= {port: {"boards": [{"id": port, "profile": SCANNER}]} for port in READERS}
        lines |= {
            METER_PORT: {"boards": [{"id": METER_PORT, "profile": METER}]},
            SPEAKER_PORT: {"boards": [{"id": SPEAKER_PORT, "profile": SPEAKER}]},
        }
        text = yaml.safe_dump({"lines": lines}, allow_unicode=True, sort_keys=False)
        (self.folder / "boards.yaml").write_text(text, encoding="utf-8")

    def _write_broker(self) -> None:
        folder = self.folder / "broker"
        folder.mkdir(exist_ok=True)
        now = Clocks.of(None).real
        authority = load_authority(self.folder / "cloud", now)
        files = authority.issue_broker(folder, ["kaimen-broker", "localhost", "127.0.0.1"], now)
        if not (folder / "users.conf").exists():
            no_users_yet(folder / "users.conf")
        config = nats_config(folder, files=files, mqtt_port=self.ports["mqtt"])
        (folder / "nats.conf").write_text(config)

    def _knows_the_way(self) -> bool:
        """Whether the controller is enrolled, and with the ports of this run."""
        identity = self.state / "identity.json"
        if not identity.exists():
            return False
        known = json.loads(identity.read_text())
        return bool(
            known["mqtt"]["port"] == self.ports["mqtt"]
            and known["cloud"].rstrip("/") == self.url("web", local=True)
        )

    def _accounts(self, names: tuple[str, ...]) -> dict[str, dict[str, str]]:
        """The credentials that each of these that runs wrote down at its start."""
        return {
            name: {
                str(key): str(value)
                for key, value in json.loads(
                    (self.folder / name / "account.json").read_text()
                ).items()
            }
            for name in names
            if (self.folder / name / "account.json").exists()
        }

    def _tell_stripe(self) -> None:
        """Where its events go, which a merchant enters in its dashboard."""
        account = self._accounts(PAID_AT)["stripe"]
        where = self.url("web", local=True) + notify_path("stripe", self._stripe)
        local_http().post(
            f"{self.url('stripe', local=True)}/admin/endpoints",
            json={"secret_key": account["secret_key"], "url": where},
            headers={"Stripe-Admin": (self.folder / "stripe" / "admin_token").read_text()},
            timeout=10,
        ).raise_for_status()

    def _tell_past(self, told: dict[str, past.Told]) -> None:
        """The payment services remember what was paid through them; again changes nothing."""
        for name, what in told.items():
            local_http().post(
                f"{self.url(name, local=True)}/admin/past",
                json={"payments": what.payments, "refunds": what.refunds},
                headers={"Simulator-Admin": (self.folder / name / "admin_token").read_text()},
                timeout=20,
            ).raise_for_status()

    async def _seed(self) -> str | None:
        """Seed the store; an enrolment code if its controller is not enrolled yet."""
        settings = Settings.model_validate(
            {name.removeprefix("KAIMEN_").lower(): value for name, value in self._env.items()}
        )
        use_vault(settings.vault)
        db = Database(settings.database_url)
        clocks = Clocks.of(self.clock_file)
        try:
            async with db.write() as session:
                self.store_id = await seed(session, clocks.now, self._accounts(PAID_AT))
                stripe = select(ProviderAccount).where(col(ProviderAccount.provider) == "stripe")
                found = (await session.exec(stripe)).first()
                self._stripe = "" if found is None else found.id  # not every stage has one
                await offer(session, self.store_id, clocks.now, self._accounts(SOLD_AT))
                if self.with_past:
                    # Told before the commit: whoever is told twice takes it once.
                    self._tell_past(await past.write(session, self.store_id, clocks))
                of_store = select(Door).where(col(Door.store_id) == self.store_id)
                self.doors = {door.name: door.token for door in await session.exec(of_store)}
                enrolled = (
                    await session.exec(
                        select(StoreCredential).where(
                            col(StoreCredential.store_id) == self.store_id,
                            col(StoreCredential.revoked_at).is_(None),
                        )
                    )
                ).first()
                if enrolled is not None and self._knows_the_way():
                    return None
                return await make_enrolment_code(
                    session, System(), store_id=self.store_id, clocks=clocks
                )
        finally:
            await db.close()

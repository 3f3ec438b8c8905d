"""The services of the compose file as real processes on this machine.

Hosts, ports and folders of containers are replaced by this machine's; everything else is the file's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from demo.processes import Child, listens
from tests.deploy.compose import ROOT, from_files, made_env, services
from tests.support.ports import free_port

BIN = Path(sys.executable).parent
FOLDERS = ("data", "broker", "state", "backups", "jetstream")
PORTS = ("80", "443", "8000", "8001", "8883", "8884", "6222")
# What the file mounts below /, and where it lies in the repository.
MOUNTED = ("run-mosquitto.sh", "run-nats.sh", "virtual-store.sh")
REST_S = 0.5
SECOND = "api-2"  # the one whose port 8000 is another


class Machine:
    """A machine; ``env`` is said over what deploy/make-env writes."""

    def __init__(self, folder: Path, database_url: str, **env: str) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in PORTS}
        self.second = str(free_port())
        self.services = services(made_env(folder) | env)
        self.database_url = database_url
        self.children: list[Child] = []
        self._warm: subprocess.Popen[str] | None = None
        self._asking = threading.Lock()
        self._looked: dict[str, float] = {}  # by service: when its health was asked for last
        for name in FOLDERS:
            (folder / name).mkdir()

    def here(self, text: str, service: str = "") -> str:
        """A word of the file with this machine's folders and ports."""
        for name in FOLDERS:
            if text == f"/{name}" or text.startswith(f"/{name}/"):
                return text.replace(f"/{name}", str(self.folder / name), 1)
        if text.lstrip("/") in MOUNTED:
            return f"{ROOT}/deploy{text}"
        if text == "/tmp/beat":
            return str(self.folder / "beat")
        if text == "/boards.yaml":
            return f"{ROOT}/deploy/boards.example.yaml"
        return self.second if (text, service) == ("8000", SECOND) else self.ports.get(text, text)

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment; hosts are this machine."""
        service = self.services[name]
        env = {
            key: ",".join(self.here(part) for part in str(value).split(","))
            for key, value in (from_files(service) | service.get("environment", {})).items()
        }
        if "KAIMEN_DATABASE_URL" not in env:
            return env
        assert env["KAIMEN_DATABASE_URL"].startswith("postgresql+asyncpg://kaimen:")
        public = env["KAIMEN_PUBLIC_URL"]
        if public == "https://localhost":
            public += f":{self.ports['443']}"
        return env | {
            "KAIMEN_DATABASE_URL": self.database_url,
            "KAIMEN_MQTT_HOST": "127.0.0.1",
            "KAIMEN_PUBLIC_URL": public,
        }

    def command(self, name: str) -> list[str]:
        """The service's command line."""
        service = self.services[name]
        words = [self.here(str(word), name) for word in service["command"]]
        entry = [self.here(str(word)) for word in service.get("entrypoint", [])]
        return [*entry, *words] if entry else [str(BIN / "kaimen-cloud"), *words]

    def run(self, name: str) -> str:
        """A service that ends; its output."""
        said = self.tool(*self.command(name), env=self.environment(name))
        config = self.folder / "broker" / "mosquitto.conf"
        if name == "broker-files" and os.geteuid() == 0:  # in its container it is no root
            config.write_text(f"user root\n{config.read_text()}")
        return said

    def tool(self, *words: str, env: dict[str, str], fails: bool = False) -> str:
        """A command to its end; its output."""
        code, said = self.tried(*words, env=env)
        assert (code != 0) is fails, said
        return said

    def tried(self, *words: str, env: dict[str, str]) -> tuple[int, str]:
        """A command to its end; its exit code and output."""
        whole = {**os.environ, **env}
        if Path(words[0]).name == "kaimen-cloud":
            return self._forked(list(words[1:]), whole)
        done = subprocess.run(
            words, env=whole, capture_output=True, text=True, check=False, timeout=90, cwd=ROOT
        )
        return done.returncode, done.stdout + done.stderr

    def _forked(self, words: list[str], env: dict[str, str]) -> tuple[int, str]:
        """A command of kaimen-cloud, by the process that has it loaded; one after the other."""
        with self._asking:
            if self._warm is None:
                self._warm = subprocess.Popen(
                    [sys.executable, "-m", "tests.deploy.warm"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
            assert self._warm.stdin is not None
            assert self._warm.stdout is not None
            out = self.folder / "said"
            asked = {"words": words, "env": env, "out": str(out)}
            self._warm.stdin.write(json.dumps(asked) + "\n")
            self._warm.stdin.flush()
            return int(self._warm.stdout.readline()), out.read_text(errors="replace")

    def start(self, name: str, ready: Callable[[], bool], **env: str) -> Child:
        """A service that stays."""
        return self.child(name, self.command(name), self.environment(name) | env, ready)

    def child(
        self, name: str, command: list[str], env: dict[str, str], ready: Callable[[], bool]
    ) -> Child:
        """Any program that stays until the machine is stopped."""
        path = f"{BIN}:{os.environ['PATH']}"  # as the image has it
        child = Child(name, command, {"PATH": path} | env, self.folder / f"{name}.log")
        self.children.append(child)
        child.start()
        child.wait_until(ready, "it was ready")
        return child

    def healthy(self, name: str) -> bool:
        """The service's own health check, run here; not more often than twice a second."""
        if time.monotonic() - self._looked.get(name, 0.0) < REST_S:
            return False
        self._looked[name] = time.monotonic()
        test: list[Any] = self.services[name]["healthcheck"]["test"]
        words = [str(word) for word in test[1:]]
        asked = re.search(r":(\d+)/", " ".join(words))
        if asked is not None and not listens(int(self.here(asked[1], name))):
            return False  # a check is a process: not before it can be answered
        for port in ("8000", "8001"):
            words = [word.replace(f":{port}/", f":{self.here(port, name)}/") for word in words]
        words = [self.here(word).replace("$$", "$") for word in words]
        words = [word.replace("/tmp/beat", self.here("/tmp/beat")) for word in words]
        env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(words, env=env, check=False, capture_output=True, timeout=30)
        return done.returncode == 0

    def memory(self, name: str) -> int:
        """Bytes that a service has resident, its children's with it; what they share is counted once."""
        (child,) = (one for one in self.children if one.name == name)
        assert child.pid is not None
        first = psutil.Process(child.pid)
        total = int(first.memory_full_info().pss)
        for one in first.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a script's `sleep` ends at any moment
                total += int(one.memory_full_info().pss)
        return total

    def stop(self) -> None:
        """Stop what was started, the last first."""
        for child in reversed(self.children):
            child.stop()
        if self._warm is not None:
            self._warm.communicate(timeout=30)  # its input ends, and so does it

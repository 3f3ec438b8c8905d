"""The brokers' lists are compared with the database while others change both: nobody comes back by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from cloud_api.kit.ids import new_id
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.broker_admin import NatsBrokerAdmin
from cloud_api.store_channel.mosquitto import MosquittoBrokerAdmin, Revoked, read_revocations
from store_link.clock import WireClock
from tests.support.ports import free_port

ONE, TWO, THREE = ("one", new_id()), ("two", new_id()), ("three", new_id())


class Rows:
    """The database's list; ``meanwhile`` happens once between the reading and what is made of it."""

    def __init__(self, *rows: tuple[str, str]) -> None:
        self.rows = list(rows)
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self.asked = 0

    async def read(self) -> list[tuple[str, str]]:
        found = list(self.rows)
        self.asked += 1
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        return found


async def test_who_is_let_in_or_thrown_out_during_the_look_stays_so(tmp_path: Path) -> None:
    """It was put back to what had been read before, until the next look, 30 s later."""
    files = [tmp_path / name / "users.conf" for name in ("a", "b")]
    admin, other = NatsBrokerAdmin(files), NatsBrokerAdmin(files)
    rows = Rows(ONE, TWO)
    await admin.sync(rows.read)

    async def meanwhile() -> None:
        rows.rows = [ONE, THREE]
        await other.ensure_store(*THREE)
        await other.revoke(TWO[0])

    rows.meanwhile = meanwhile
    await admin.sync(rows.read)
    for file in files:
        assert f"# store {' '.join(THREE)}" in file.read_text()
        assert TWO[1] not in file.read_text()
    before, rows.asked = [file.read_text() for file in files], 0
    await admin.sync(rows.read)
    assert [file.read_text() for file in files] == before
    assert rows.asked == len(files)


async def test_a_list_that_never_rests_is_left_to_the_next_look(tmp_path: Path) -> None:
    file = tmp_path / "users.conf"
    admin, other = NatsBrokerAdmin(file), NatsBrokerAdmin(file)

    async def restless() -> list[tuple[str, str]]:
        await other.ensure_store(new_id().lower(), new_id())
        return []

    await admin.sync(restless)
    assert file.read_text().count("# store ") > 1  # and nobody was thrown out by what is long past


async def test_two_revocations_at_once_are_both_on_the_list(tmp_path: Path) -> None:
    authority = load_authority(tmp_path / "data", WireClock().now())
    at = WireClock().now() - timedelta(minutes=1)
    first, second = (Revoked(f"{number:x}", new_id(), at) for number in (0xA1, 0xB2))
    rows: list[Revoked] = []
    crl = tmp_path / "crl.pem"
    delayed = False

    def admin(revoked: Callable[[], Awaitable[list[Revoked]]]) -> MosquittoBrokerAdmin:
        return MosquittoBrokerAdmin(
            crl, None, authority=authority, clock=WireClock(), revoked=revoked,
            host="127.0.0.1", store_port=free_port(),
        )  # fmt: skip

    async def all_rows() -> list[Revoked]:
        return list(rows)

    other = admin(all_rows)

    async def overtaken() -> list[Revoked]:
        nonlocal delayed
        found = list(rows)
        if not delayed:
            delayed = True
            rows.append(second)
            await other.revoke("second")
        return found

    rows.append(first)
    await admin(overtaken).revoke("first")
    assert {0xA1, 0xB2} <= read_revocations(crl)[0]

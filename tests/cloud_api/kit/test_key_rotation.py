"""A new secret is put in front, everything is sealed anew, the old one can go."""

from __future__ import annotations

import asyncio

import pytest
from sqlmodel import col, select, text

from cloud_api.auth import reindex
from cloud_api.auth.models import Account, Login
from cloud_api.auth.service import account_of_phone
from cloud_api.kit import key_rotation
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.migrations.tables import metadata
from tests.cloud_api.factories import make_customer, make_login, make_order, make_store

OLD, NEW = b"\x11" * 32, b"\x22" * 32


@pytest.fixture
async def phones(db: Database, clocks: Clocks) -> list[str]:
    """Some hundred people with phones, one with an order and its PIN; returns the numbers."""
    numbers = [f"+86139{number:08}" for number in range(key_rotation.BATCH + 30)]
    async with db.write() as session:
        shop = await make_store(session, clocks.now)
        account = await make_customer(session, clocks.now, numbers[0])
        for number in numbers[1:]:
            await make_customer(session, clocks.now, number)
        await make_login(session, account.id, clocks.real)
        await make_order(session, shop, account, clocks.now, now=clocks.now)
    return numbers


async def test_everything_is_sealed_anew_and_the_old_secret_can_go(
    db: Database, phones: list[str], clocks: Clocks
):
    both = Vault([NEW, OLD])
    use_vault(both)
    new, old = both.kids
    before = await key_rotation.status(db, metadata())
    assert before.of(old) == len(phones) + 1
    assert before.of(new) == 0
    heard: list[tuple[str, int, int]] = []
    changed = await key_rotation.rotate(db, metadata(), both, lambda *one: heard.append(one))
    assert changed == len(phones) + 1
    assert ("account.phone", len(phones), len(phones)) in heard
    after = await key_rotation.status(db, metadata())
    assert (after.of(old), after.of(new)) == (0, len(phones) + 1)
    assert await key_rotation.rotate(db, metadata(), both) == 0  # again: nothing to do
    use_vault(Vault([NEW], index_secret=OLD))  # the old one encrypts nothing and may leave
    async with db.read() as session:
        found = (await session.exec(select(col(Account.phone)))).all()
        assert sorted(found) == phones
        assert await account_of_phone(session, phones[7]) is not None


async def test_it_goes_on_where_it_was_stopped(db: Database, phones: list[str]):
    both = Vault([NEW, OLD])
    use_vault(both)

    def stop(_column: str, _done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await key_rotation.rotate(db, metadata(), both, stop)
    part = await key_rotation.status(db, metadata())
    assert 0 < part.of(both.kids[1]) < len(phones)
    await asyncio.gather(*(key_rotation.rotate(db, metadata(), both) for _ in range(2)))
    whole = await key_rotation.status(db, metadata())
    assert whole.of(both.kids[1]) == 0
    async with db.read() as session:
        assert len((await session.exec(select(col(Account.phone)))).all()) == len(phones)


async def test_a_row_that_changes_meanwhile_keeps_its_new_value(db: Database, phones: list[str]):
    """The negative control is the guard itself: without the compare the change would be lost."""
    both = Vault([NEW, OLD])
    use_vault(both)
    table = Account.__table__  # type: ignore[attr-defined]
    rows = await key_rotation._batch(db, table, table.c.phone, both.kids[0], None)
    sealed = [(*row[:-1], row[-1], both.seal("+8613000000000", "account.phone")) for row in rows]
    async with db.write() as session:
        account = await session.get(Account, rows[0][0])
        assert account is not None
        account.phone = "+8613111111111"
        session.add(account)
    assert await key_rotation._write(db, table, table.c.phone, sealed) == len(rows) - 1
    async with db.read() as session:
        kept = await session.get(Account, rows[0][0])
        assert kept is not None
        assert kept.phone == "+8613111111111"


async def test_the_index_gets_a_new_secret(db: Database, phones: list[str], clocks: Clocks):
    use_vault(Vault([OLD], index_secret=NEW))
    async with db.read() as session:
        assert not await reindex.is_right(session)
        assert await account_of_phone(session, phones[3]) is None
    async with db.write() as session:
        assert await reindex.reindex(session, clocks) == len(phones)
    async with db.write() as session:
        assert await reindex.reindex(session, clocks) == 0
        assert await reindex.is_right(session)
        assert await account_of_phone(session, phones[3]) is not None
        live = (await session.exec(select(Login).where(col(Login.revoked_at).is_(None)))).all()
        assert live == []
        left = await session.execute(text("SELECT count(DISTINCT phone_index) FROM account"))
        assert left.scalar() == len(phones)


def test_a_vault_needs_long_secrets():
    for secrets, index in (([], None), ([b"short"], None), ([OLD], b"short")):
        with pytest.raises(ValueError, match="32 bytes"):
            Vault(secrets, index)

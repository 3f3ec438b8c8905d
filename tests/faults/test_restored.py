"""The cloud is put back from yesterday's copy while its stores have gone on: the whole path.

Guests sit in their rooms meanwhile; one of them came after the copy was taken, so that the cloud that
comes back has never heard of him.
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy.engine import make_url

from tests.faults.accounts import events_once, money_once, nothing_open, power_as_paid
from tests.faults.guest import PATIENCE_S, Job
from tests.faults.site import Site, eventually
from tests.support.postgres import Server

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.soak]


def test_a_cloud_from_a_copy_asks_for_what_it_lost(site: Site, pg_server: Server) -> None:
    known, unknown = (Job(site, site.next_room(), lambda stage: None) for _ in range(2))
    for step in (known.book, known.pay, known.enter):
        step()
    eventually(lambda: _told(site), PATIENCE_S, "all events of before")
    copy, live = f"{_name(site)}_copy", _name(site)
    for part in ("worker", "api"):
        site.children[part].stop()
    pg_server.create_database(copy, template=live)
    for part in ("api", "worker"):
        site.start(part)
        site.ready(part)
    site.ready("controller")

    # After the copy: another guest pays and enters, and the store tells all of it.
    for step in (unknown.book, unknown.pay, unknown.enter):
        step()
    eventually(lambda: _told(site), PATIENCE_S, "all events")
    lost = [row["id"] for row in site.sql("SELECT id FROM store_event ORDER BY seq")]
    (document,) = site.sql("SELECT epoch, rev FROM desired_doc")

    # The machine burns; the copy is put in its place.
    for part in ("worker", "api"):
        site.kill(part)
    pg_server.drop_database(live)
    pg_server.execute(f'ALTER DATABASE "{copy}" RENAME TO "{live}"')
    (old,) = site.sql("SELECT epoch, rev FROM desired_doc")
    assert (old["epoch"], old["rev"]) < (document["epoch"], document["rev"])
    for part in ("api", "worker"):
        site.start(part)

    # A later epoch, though no greater number: the store takes it, and cuts nobody.
    def applied() -> bool:
        (now,) = site.sql("SELECT epoch, rev FROM store_status")
        (ours,) = site.sql("SELECT epoch, rev FROM desired_doc")
        return tuple(now) == tuple(ours) and now["epoch"] > document["epoch"]

    eventually(applied, PATIENCE_S, "the store to apply a document of a later epoch")
    (mine,) = site.sql("SELECT rev FROM desired_doc")
    assert mine["rev"] <= document["rev"]
    for job in (known, unknown):
        for role in ("table", "light", "ac"):
            assert job.switched(role) == [True], (job.room, role)

    # What came after the copy is asked for again, and is there once.
    eventually(lambda: _told(site), PATIENCE_S, "the lost events to come again")
    again = [row["id"] for row in site.sql("SELECT id FROM store_event ORDER BY seq")]
    assert again[: len(lost)] == lost

    # The guest whom it knows comes to his end as ever; the other one's power follows what he paid.
    ends = unknown.ends
    known.end()
    known.over()
    money_once(site, known)
    power_as_paid(known)
    events_once(site, known)
    site.advance_to(ends + timedelta(seconds=600))
    unknown.power_is_off(unknown.off_within_s)
    power_as_paid(unknown)
    eventually(lambda: _told(site), PATIENCE_S, "the last events")
    rows = site.sql("SELECT body FROM store_event WHERE kind = 'usage' ORDER BY seq")
    stays = [json.loads(row["body"])["stay"] for row in rows]
    assert len(stays) == len(set(stays))
    assert _stay(site, unknown.room) in stays, "what the unknown guest used is not forgotten"
    nothing_open(site)


def _told(site: Site) -> bool:
    """Whether the cloud has taken all that stands in the store's journal."""
    (last,) = site.journal("SELECT max(seq) FROM outbox")[0]
    (row,) = site.sql("SELECT upto FROM event_cursor")
    return bool(row["upto"] == last)


def _stay(site: Site, room: str) -> str:
    """The last stay of a room, by the store's own journal."""
    rows = site.journal("SELECT id FROM stay WHERE room = ? ORDER BY starts", site.rooms[room])
    return str(rows[-1][0])


def _name(site: Site) -> str:
    """The database's name."""
    return str(make_url(site.database_url).database)

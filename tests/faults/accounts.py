"""What must be true after any fault, looked for where it must be: rows, journals, books, coils."""

from __future__ import annotations

import json
from collections import Counter

from tests.faults.guest import ROLES, Job
from tests.faults.site import Site, eventually

SETTLE_S = 75.0  # a killed process's jobs are leased for 12 s; a lost command ends after 40 s
KNOWN = {"done", "unknown", "duplicate", "not_sent", "failed", "expired", "refused"}


def balance(site: Site, job: Job, *, by_pass: int = 0) -> None:
    """All of it, for a job that came to its end; ``by_pass``: entries at the reader."""
    money_once(site, job)
    pulses_as_told(site, job, by_pass)
    power_as_paid(job)
    events_once(site, job)
    nothing_open(site)


def money_once(site: Site, job: Job) -> None:
    """One payment moved the order, here and in the cashier's own books; nothing is on its way."""
    (order,) = site.sql("SELECT * FROM orders WHERE id = $1", job.order["id"])
    assert order["status"] == "completed", order["status"]
    assert (order["paid_fen"], order["refunded_fen"], order["refunding_fen"]) == (
        order["total_fen"], 0, 0,
    )  # fmt: skip
    attempts = site.sql(
        "SELECT state, applied, amount_fen FROM payment_attempt WHERE pays = $1",
        f"order:{order['id']}",
    )
    assert [(a["state"], a["applied"]) for a in attempts] == [("succeeded", "order")], attempts
    books = site.cashier(
        "SELECT state, amount_fen FROM payment WHERE number LIKE ?", f"{order['number']}-%"
    )
    assert books == [("paid", order["total_fen"])], books
    taken = site.sql(
        "SELECT count(*) AS n FROM order_event WHERE order_id = $1 AND now = 'paid'", order["id"]
    )
    assert taken[0]["n"] == 1


def pulses_as_told(site: Site, job: Job, by_pass: int = 0) -> None:
    """Each unlock that counts as done pulsed once; one of which nobody knows, at most once."""
    eventually(lambda: not _open_commands(site), SETTLE_S, "every command to have an end")
    rows = site.sql("SELECT state FROM device_command WHERE order_id = $1", job.order["id"])
    states = Counter(row["state"] for row in rows)
    assert set(states) <= KNOWN, states
    pulses = site.pulses(job.room) - job.pulses_before - by_pass
    assert states["done"] <= pulses <= states["done"] + states["unknown"], (pulses, states)
    assert pulses >= 1
    claim = job.claim()
    told = site.sql("SELECT body FROM store_event WHERE kind = 'access' ORDER BY seq")
    done = [one for one in map(_body, told) if one["stay"] == claim and one["outcome"] == "done"]
    assert len(done) == states["done"] + by_pass, (done, states)


def power_as_paid(job: Job) -> None:
    """On once, off once: never cut under the stay, never on again after it."""
    for role in ROLES:
        assert job.switched(role) == [True, False], (role, job.switched(role))


def events_once(site: Site, job: Job) -> None:
    """The cloud has what the store's journal has, each once, without a gap, in order."""

    def complete() -> bool:
        (last,) = site.journal("SELECT max(seq) FROM outbox")[0]
        return bool(site.sql("SELECT 1 FROM event_cursor WHERE upto = $1", last))

    eventually(complete, SETTLE_S, "the cloud to have all events")
    (row,) = site.sql(
        "SELECT count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS first, max(seq) AS last,"
        " (SELECT upto FROM event_cursor) AS upto FROM store_event"
    )
    assert row["first"] == 1, row
    assert row["n"] == row["d"] == row["last"] == row["upto"], row
    claim = job.claim()
    rows = site.sql("SELECT kind, body FROM store_event WHERE kind IN ('stay', 'usage')")
    mine = [(row["kind"], _body(row)) for row in rows]
    way = Counter(body["now"] for kind, body in mine if kind == "stay" and body["stay"] == claim)
    assert way == {"open": 1, "in_use": 1, "grace": 1, "ended": 1}, mine
    assert [kind for kind, body in mine if body["stay"] == claim].count("usage") == 1


def nothing_open(site: Site) -> None:
    """No job is due and undone, dead or forgotten; no event failed; nothing waits in the outbox."""

    def late() -> list[object]:
        business = site.clock.now()
        rows = site.sql(
            "SELECT kind, ref, attempts, last_error FROM due_job WHERE done_at IS NULL"
            " AND kind NOT IN ('reports.follow', 'webhook.follow')"  # they look again and again
            " AND (dead_at IS NOT NULL OR (clock = 'business' AND run_at < $1)"
            "      OR (clock = 'wire' AND run_at < now()))",
            business,
        )
        return [tuple(row) for row in rows]

    eventually(lambda: late() == [], SETTLE_S, f"all due jobs to be done: {late()}")
    assert site.sql("SELECT * FROM event_failure") == []
    waiting = "SELECT seq FROM outbox WHERE sent_at IS NULL AND dropped IS NULL"
    eventually(lambda: site.sql(waiting) == [], SETTLE_S, "the outbox to be empty")


def _open_commands(site: Site) -> list[str]:
    rows = site.sql("SELECT state FROM device_command WHERE final_at IS NULL")
    return [row["state"] for row in rows]


def _body(row: object) -> dict[str, object]:
    body = row["body"]  # type: ignore[index]
    made: dict[str, object] = json.loads(body) if isinstance(body, str) else body
    return made

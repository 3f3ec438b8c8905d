"""A chain as lines of JSON that can be checked without us: entries as hashed, checkpoints, public keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from cloud_api.audit import chain, checkpoints
from cloud_api.audit.signing import load_keys
from cloud_api.audit.verify import read_entries
from cloud_api.kit.database import Database


async def lines(
    db: Database,
    merchant_id: str,
    data_dir: Path,
    *,
    since: datetime | None = None,
) -> AsyncIterator[str]:
    """Lines of the export, without line ends.

    An entry's line is ``{"hash", "entry"}``: ``hash`` is SHA-256 over the UTF-8 text of ``entry`` in
    canonical JSON (sorted keys, no spaces), which is also how it is spelled here.
    """
    async with db.read() as session:
        signed = await checkpoints.of_chain(session, merchant_id)
    head = {
        "kaimen_audit": chain.VERSION,
        "merchant_id": merchant_id,
        "genesis": chain.genesis(merchant_id),
        "public_keys": load_keys(data_dir).public(),
    }
    yield json.dumps(head, ensure_ascii=False)
    async for entry in read_entries(db, merchant_id):
        if since is None or entry.wire_at >= since:
            yield f'{{"hash":"{entry.hash}","entry":{chain.bytes_of(entry).decode()}}}'
    for one in signed:
        yield json.dumps({"checkpoint": checkpoints.to_json(one)}, ensure_ascii=False)

"""What links the entries of a merchant: each hash covers its entry and the hash before it. No I/O."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cloud_api.audit.canonical import canonical
from cloud_api.audit.models import AuditEntry
from cloud_api.kit.ids import new_token

VERSION: Final = 1


def genesis(merchant_id: str) -> str:
    """What stands before a merchant's first entry: chains cannot be swapped between merchants."""
    return hashlib.sha256(f"kaimen/audit/{VERSION}/{merchant_id}".encode()).hexdigest()


def bytes_of(entry: AuditEntry) -> bytes:
    """The exact bytes that are hashed: every column but ``hash``."""
    return canonical(
        {
            "v": VERSION,
            "id": entry.id,
            "merchant": entry.merchant_id,
            "seq": entry.seq,
            "store": entry.store_id,
            "at": entry.at,
            "wire_at": entry.wire_at,
            "by": entry.by,
            "via": entry.via,
            "ip": entry.ip,
            "login": entry.login_id,
            "action": entry.action,
            "subject": entry.subject,
            "before": entry.before,
            "after": entry.after,
            "why": entry.why,
            "prev": entry.prev,
        }
    ).encode()


def link_text(prev: Any, seq: Any, store: Any) -> Any:
    """How these stand in ``bytes_of``; of texts, or of a database's expressions of text.

    ``store``: its id as ``canonical`` spells it.
    """
    return '"prev":"' + prev + '","seq":' + seq + ',"store":' + store


def around_link(entry: AuditEntry) -> tuple[str, str]:
    """The text of ``bytes_of`` before and after ``link_text``, whatever its parts will be.

    So that a database which holds the end of the chain can hash an entry itself.
    """
    mark = new_token()
    unlinked = entry.model_copy(update={"prev": mark, "seq": 0, "store_id": None})
    before, after = bytes_of(unlinked).decode().split(link_text(mark, "0", "null"))
    return before, after


def hash_of(entry: AuditEntry) -> str:
    """SHA-256 of ``bytes_of``, 64 hex digits."""
    return hashlib.sha256(bytes_of(entry)).hexdigest()

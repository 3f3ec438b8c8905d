r"""The pass: a right to enter that a store checks alone, and the PIN for phones that are dead.

``K1:`` + Base45 (RFC 9285) of a 53-byte body and its 64-byte Ed25519 signature over
``b"kaimen/1/pass\n" + body``: always 179 characters, all of QR's alphanumeric mode. Numbers are big
endian:

======  =====  ==========  =====================================================================
offset  bytes  field       meaning
======  =====  ==========  =====================================================================
0       1      version     1
1       2      kid         number of the signing key: 7 means the key id ``p7``; never 0
3       16     store       ULID as 128 bits
19      16     grant       ULID as 128 bits
35      8      rooms       bit i = the room with index i
43      4      not_before  seconds since the Unix epoch (UTC), business time
47      4      expires     the same; later than not_before
51      1      flags       bit 0 rotating: renewed every minute by the phone; other bits are 0
52      1      uses        how often this grant may enter by pass; 0 = as often as it likes
53      64     signature
======  =====  ==========  =====================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from store_link import base45
from store_link.messages import ClockQuality, Reason
from store_link.signing import EnvelopeError, PublicKeyRing, SigningKey

PREFIX = "K1:"
TEXT_LENGTH = 179
MAX_TEXT = 512  # what a scanner may hand over; anything longer is not looked at
TOLERANCE_S = 120

_VERSION = 1
_BODY = struct.Struct(">BH16s16sQIIBB")
_SIGNATURE_BYTES = 64
_DOMAIN = b"kaimen/1/pass\n"
_PIN_DOMAIN = b"kaimen/1/pin/"
_ROTATING = 0x01
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGIT = {char: value for value, char in enumerate(_CROCKFORD)}
_KID = re.compile(r"p([1-9][0-9]{0,4})", re.ASCII)
_PIN = re.compile(r"[0-9]{6}", re.ASCII)


class PassReason(StrEnum):
    """Why a pass was refused, in the order of the checks; stable codes."""

    LENGTH = "length"
    PREFIX = "prefix"
    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    OTHER_STORE = "other_store"
    CLOCK_UNTRUSTED = "clock_untrusted"
    TOO_EARLY = "too_early"
    OVER = "over"
    REVOKED = "revoked"
    OTHER_ROOM = "other_room"
    USED_UP = "used_up"

    @property
    def reason(self) -> Reason:
        """The code that goes into an access event."""
        if self in (PassReason.LENGTH, PassReason.PREFIX, PassReason.MALFORMED):
            return Reason.BAD_MESSAGE
        return Reason(self.value)


class PassError(ValueError):
    """A refused pass; ``reason`` says why. Never holds the pass itself."""

    def __init__(self, reason: PassReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass says. Times are Unix seconds (UTC), business time."""

    kid: str
    store: str
    grant: str
    rooms: int
    not_before: int
    expires: int
    rotating: bool = False
    uses: int = 0

    @property
    def room_indexes(self) -> tuple[int, ...]:
        """The indexes of the rooms it is for."""
        return tuple(index for index in range(64) if self.rooms >> index & 1)


def issue(
    key: SigningKey,
    *,
    store: str,
    grant: str,
    rooms: Iterable[int],
    not_before: datetime,
    expires: datetime,
    rotating: bool = False,
    uses: int = 0,
) -> str:
    """A new pass, as the text of its QR code.

    ``store`` and ``grant`` are ULIDs; ``rooms`` are room indexes 0 to 63; the instants are aware,
    business time, cut to whole seconds; ``uses`` 1 to 255, or 0 for no limit. Raises ValueError.
    """
    if key.purpose != "pass":
        raise ValueError(f"a key for {key.purpose} does not sign passes")
    body = pack(
        Pass(
            key.kid,
            store,
            grant,
            room_mask(rooms),
            _seconds(not_before),
            _seconds(expires),
            rotating,
            uses,
        )
    )
    return PREFIX + base45.encode(body + key.sign(_DOMAIN + body))


def parse(text: str) -> Pass:
    """What a pass claims, with nothing believed: use ``verify`` before acting on it.

    Raises PassError: LENGTH, PREFIX or MALFORMED.
    """
    return _split(text)[0]


def verify(
    text: str,
    *,
    store: str,
    ring: PublicKeyRing,
    now: datetime,
    clock_quality: ClockQuality,
    revoked: Collection[str],
    door_rooms: Iterable[int],
    uses_of_grant: Callable[[str], int],
    tolerance_s: int = TOLERANCE_S,
) -> Pass:
    """The pass, if it opens this door now; else raises PassError with the first reason that fails.

    Order: length, prefix, form, key, signature, store, clock, window, revocation, room, uses. ``now``
    is business time; the window is widened by ``tolerance_s`` seconds on both sides. ``door_rooms``
    are the indexes of the rooms whose guests may open this door, ``revoked`` revoked grants,
    ``uses_of_grant`` how often a grant entered by pass already. The caller commits the use before it
    pulses the lock.
    """
    claim, body, signature = _split(text)
    try:
        ring.check(claim.kid, "pass", signature, _DOMAIN + body)
    except EnvelopeError as error:
        raise PassError(PassReason(error.reason.value)) from None
    if claim.store != store:
        raise PassError(PassReason.OTHER_STORE)
    if clock_quality is ClockQuality.UNTRUSTED:
        raise PassError(PassReason.CLOCK_UNTRUSTED)
    seconds = now.timestamp()
    if seconds < claim.not_before - tolerance_s:
        raise PassError(PassReason.TOO_EARLY)
    if seconds >= claim.expires + tolerance_s:
        raise PassError(PassReason.OVER)
    if claim.grant in revoked:
        raise PassError(PassReason.REVOKED)
    if not claim.rooms & room_mask(door_rooms):
        raise PassError(PassReason.OTHER_ROOM)
    if claim.uses and uses_of_grant(claim.grant) >= claim.uses:
        raise PassError(PassReason.USED_UP)
    return claim


def pack(claim: Pass) -> bytes:
    """The 53 bytes that are signed. Raises ValueError for a field out of range."""
    if not 0 <= claim.not_before < claim.expires <= 0xFFFF_FFFF:
        raise ValueError("a pass begins before it expires, in seconds that fit 32 bits")
    if not 0 <= claim.uses <= 0xFF:
        raise ValueError("uses is a number from 0 to 255")
    if not 0 <= claim.rooms < 1 << 64:
        raise ValueError("rooms is a mask of 64 bits")
    return _BODY.pack(
        _VERSION,
        kid_number(claim.kid),
        ulid_bytes(claim.store),
        ulid_bytes(claim.grant),
        claim.rooms,
        claim.not_before,
        claim.expires,
        _ROTATING if claim.rotating else 0,
        claim.uses,
    )


def room_mask(indexes: Iterable[int]) -> int:
    """The bit mask of room indexes. Raises ValueError for one outside 0 to 63."""
    mask = 0
    for index in indexes:
        if not 0 <= index < 64:
            raise ValueError("a room index is a number from 0 to 63")
        mask |= 1 << index
    return mask


def kid_number(kid: str) -> int:
    """7 for ``p7``. Raises ValueError for a key id that cannot stand in a pass."""
    match = _KID.fullmatch(kid)
    if match is None or int(match[1]) > 0xFFFF:
        raise ValueError("the key id of a pass is p1 to p65535")
    return int(match[1])


def ulid_bytes(text: str) -> bytes:
    """The 16 bytes of a ULID in its canonical (upper-case) form. Raises ValueError."""
    if len(text) != 26 or text[0] > "7" or any(char not in _DIGIT for char in text):
        raise ValueError("not a ULID in canonical form")
    number = 0
    for char in text:
        number = number << 5 | _DIGIT[char]
    return number.to_bytes(16, "big")


def ulid_text(data: bytes) -> str:
    """The canonical text of a ULID's 16 bytes."""
    number = int.from_bytes(data, "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def pin_hmac(mac_key: bytes, grant: str, pin: str) -> str:
    r"""What ``desired`` carries of a PIN: HMAC-SHA256 over ``kaimen/1/pin/{grant}\n{pin}``, in hex.

    ``mac_key`` is the secret of the store's MAC key. Raises ValueError unless ``pin`` is six ASCII
    digits.
    """
    if _PIN.fullmatch(pin) is None:
        raise ValueError("a PIN is six digits")
    message = _PIN_DOMAIN + grant.encode() + b"\n" + pin.encode()
    return hmac.new(mac_key, message, hashlib.sha256).hexdigest()


def pin_matches(mac_key: bytes, grant: str, pin: str, verifier: str) -> bool:
    """Whether ``pin`` is the one of ``grant``; in constant time, False for what is no PIN."""
    if _PIN.fullmatch(pin) is None:
        return False
    return hmac.compare_digest(pin_hmac(mac_key, grant, pin), verifier)


def _split(text: str) -> tuple[Pass, bytes, bytes]:
    """Claim, signed body and signature of a pass of exactly the right form."""
    if not isinstance(text, str) or not len(PREFIX) < len(text) <= MAX_TEXT:
        raise PassError(PassReason.LENGTH)
    if not text.startswith(PREFIX):
        raise PassError(PassReason.PREFIX)
    if len(text) != TEXT_LENGTH:
        raise PassError(PassReason.MALFORMED)
    try:
        data = base45.decode(text[len(PREFIX) :])
    except base45.Base45Error:
        raise PassError(PassReason.MALFORMED) from None
    body, signature = data[: _BODY.size], data[_BODY.size :]
    if len(body) != _BODY.size or len(signature) != _SIGNATURE_BYTES:
        raise PassError(PassReason.MALFORMED)
    version, kid, store, grant, rooms, not_before, expires, flags, uses = _BODY.unpack(body)
    if version != _VERSION or kid == 0 or flags & ~_ROTATING or not_before >= expires:
        raise PassError(PassReason.MALFORMED)
    claim = Pass(
        kid=f"p{kid}",
        store=ulid_text(store),
        grant=ulid_text(grant),
        rooms=rooms,
        not_before=not_before,
        expires=expires,
        rotating=bool(flags & _ROTATING),
        uses=uses,
    )
    return claim, body, signature


def _seconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    return int(instant.timestamp())

"""What the store knows at this moment, in memory: the journal holds the same on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.holds import ClimateRecord, OverrideRecord
from controller.modes import Records
from controller.stay import StayRecord
from store_link.codec import decode
from store_link.messages import Binding, Desired, Door, PublicKey, Stay, StayState
from store_link.signing import KEY_PURPOSES, PublicKeyRing


@dataclass(slots=True)
class StoreState:
    """The applied desired document with the stays and overrides it met."""

    store: str
    enrolled_keys: tuple[PublicKey, ...] = ()
    desired: Desired | None = None
    stays: dict[str, StayRecord] = field(default_factory=dict)
    overrides: dict[str, OverrideRecord] = field(default_factory=dict)
    modes: Records = field(default_factory=dict)
    climates: dict[str, ClimateRecord] = field(default_factory=dict)
    # Air conditioner -> the occasion for which its room's scene set it last.
    aired: dict[str, str] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    by_room: dict[str, list[Binding]] = field(default_factory=dict)
    doors: dict[str, Door] = field(default_factory=dict)
    paid: dict[str, Stay] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()
    keys: PublicKeyRing = field(default_factory=PublicKeyRing)
    # Grant -> end (ms) that a pass carried here while the document was not yet told of it.
    carried: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = PublicKeyRing(self.enrolled_keys)

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, rev) of the applied document; (0, 0) before the first."""
        return (0, 0) if self.desired is None else (self.desired.epoch, self.desired.rev)

    def adopt(self, desired: Desired) -> None:
        """Take ``desired`` for what holds from now on."""
        self.desired = desired
        self.bindings = {binding.id: binding for binding in desired.bindings}
        self.by_room = {}
        for binding in desired.bindings:
            for room in binding.rooms:
                self.by_room.setdefault(room, []).append(binding)
        self.doors = {door.id: door for door in desired.doors}
        self.paid = {stay.id: self._extended(stay) for stay in desired.stays}
        self.revoked = frozenset(desired.revoked)
        self.keys = PublicKeyRing(keys_in_force(self.enrolled_keys, desired.keys))

    def carry(self, grant: str, ends: int) -> None:
        """A pass says that the stay of ``grant`` was extended to ``ends`` (ms)."""
        self.carried[grant] = max(ends, self.carried.get(grant, 0))
        self.paid = {key: self._extended(stay) for key, stay in self.paid.items()}

    def _extended(self, stay: Stay) -> Stay:
        ends = self.carried.get(stay.grant, 0)
        return stay if ends <= stay.ends else stay.model_copy(update={"ends": ends})

    def present(self, stay: StayRecord) -> StayRecord | None:
        """``stay`` as it stands now: the document may have given it another id meanwhile.

        A grant may have had several stays (its order changed, or lived again): those that are over are
        not meant.
        """
        if stay.id in self.stays:
            return self.stays[stay.id]
        return next(
            (
                one
                for one in self.stays.values()
                if one.grant == stay.grant and one.state is not StayState.ENDED
            ),
            None,
        )

    def put_back(self, failed: OverrideRecord, before: OverrideRecord | None) -> None:
        """An override that came to nothing: what stood in its place holds again."""
        if before is None:
            self.overrides.pop(failed.binding, None)
        else:
            self.overrides[failed.binding] = before

    def lock_of(self, door: Door) -> Binding | None:
        """The binding whose pulse opens ``door``, if it is a lock."""
        binding = self.bindings.get(door.lock)
        if binding is None or binding.capability != "lock.pulse":
            return None
        return binding

    def of_room(self, room: str) -> list[Binding]:
        """All bindings that serve ``room``."""
        return self.by_room.get(room, [])


def keys_in_force(
    enrolled: Iterable[PublicKey], published: Iterable[PublicKey]
) -> tuple[PublicKey, ...]:
    """The published keys, and for a purpose that has none the enrolled ones."""
    new = tuple({(key.kid, key.purpose): key for key in published}.values())
    covered = {key.purpose for key in new}
    assert covered <= set(KEY_PURPOSES)
    return (*new, *(key for key in enrolled if key.purpose not in covered))


def parse_envelope(envelope: bytes) -> Desired:
    """The document in an envelope that was verified before it was kept. Raises CodecError."""
    return decode(envelope.partition(b"\n")[2], Desired)

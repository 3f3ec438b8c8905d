"""Reads profiles from files; whatever is wrong is said in one sentence with file, line and field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from device_profiles.errors import FieldError
from device_profiles.expand import expand
from device_profiles.expand_message import expand_message
from device_profiles.expand_stream import expand_stream
from device_profiles.inherit import inherited
from device_profiles.message_schema import MessageDoc
from device_profiles.profile import Profile, ProfileError
from device_profiles.schema import ProfileDoc
from device_profiles.source import Source, read_source
from device_profiles.stream_schema import StreamDoc

CATALOG = Path(__file__).parent / "catalog"


def load_profile(file: Path) -> Profile:
    """The profile in ``file``.

    Raises ProfileError such as ``catalog/x.yaml:31: points.relay.read.address: is missing``.
    """
    source = inherited(read_source(file), file.parent)
    try:
        profile = _expanded(source)
    except ValidationError as error:
        first = error.errors()[0]
        path = _path(first)
        raise source.error(path, _sentence(first)) from error
    except FieldError as error:
        raise source.error(error.path, str(error)) from error
    if file.stem != profile.id:
        raise source.error(("id",), f"{profile.id} must stand in a file named {profile.id}.yaml")
    return profile


_DOCS: dict[str, type[ProfileDoc] | type[StreamDoc] | type[MessageDoc]] = {
    "modbus_rtu": ProfileDoc,
    "modbus_tcp": ProfileDoc,
    "serial_lines": StreamDoc,
    "serial_frames": StreamDoc,
    "mqtt_local": MessageDoc,
    "http_local": MessageDoc,
}
"""Which shape a file has, by the type of its transport."""


def _expanded(source: Source) -> Profile:
    transport = source.data.get("transport")
    spoken = transport.get("type") if isinstance(transport, dict) else None
    if spoken is not None and spoken not in _DOCS:
        known = ", ".join(_DOCS)
        raise FieldError(("transport", "type"), f"must be one of {known}, not {spoken!r}")
    doc = _DOCS.get(spoken or "", ProfileDoc).model_validate(source.data)
    if isinstance(doc, StreamDoc):
        return expand_stream(doc)
    return expand_message(doc) if isinstance(doc, MessageDoc) else expand(doc)


def _path(error: ErrorDetails) -> tuple[str | int, ...]:
    """Where in the file; without the steps that pydantic adds for unions and keys."""
    inner = {"[key]", *_DOCS, "bool", "int", "float", "str", "[number]", "[one_of]"}
    return tuple(step for step in error["loc"] if step not in inner)


def _sentence(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "is not a key that is known here"
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            text = error["msg"].removeprefix("Input ")
            return f"{text}, not {error['input']!r}"


class Catalog:
    """All profiles that can be named in a store's configuration, by id.

    ``unread`` are files by the id that they must bear: each is read when it is asked for, since a store
    has three models out of dozens and a small computer.
    """

    def __init__(
        self, profiles: Iterable[Profile], unread: Mapping[str, Path] | None = None
    ) -> None:
        self._profiles: dict[str, Profile] = {}
        self._unread = dict(unread or {})
        for profile in profiles:
            if profile.id in self._profiles:
                raise ProfileError(f"{profile.id}: two profiles have this id")
            self._profiles[profile.id] = profile

    @classmethod
    def from_folder(cls, folder: Path) -> Catalog:
        """Every ``*.yaml`` in ``folder``. Raises ProfileError at the first that cannot be used."""
        return cls(load_profile(file) for file in sorted(folder.glob("*.yaml")))

    @classmethod
    @cache
    def built_in(cls) -> Catalog:
        """The profiles that come with the program, each read once, when it is first wanted."""
        return cls((), {file.stem: file for file in CATALOG.glob("*.yaml")})

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Profiles by id, in the order of their ids: reads all of them."""
        for profile_id in sorted(self._unread):
            self._read(profile_id)
        return dict(sorted(self._profiles.items()))

    def __getitem__(self, profile_id: str) -> Profile:
        """The profile named ``profile_id``. Raises ProfileError naming those there are."""
        if profile_id in self._unread:
            self._read(profile_id)
        if profile_id not in self._profiles:
            known = ", ".join(sorted({*self._profiles, *self._unread}))
            raise ProfileError(f"there is no profile {profile_id!r}; there are {known}")
        return self._profiles[profile_id]

    def _read(self, profile_id: str) -> None:
        """Two threads may read the same file: they get the same out of it."""
        file = self._unread.get(profile_id)
        if file is not None:
            self._profiles[profile_id] = load_profile(file)
            self._unread.pop(profile_id, None)

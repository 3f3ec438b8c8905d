"""Media as the API and pages give them: addresses of this site in every size."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.media.models import Media


class MediaOut(BaseModel):
    """A photo, logo or video. ``src`` is the picture in the middle size (``""`` for a video without
    poster), ``srcset`` all sizes as WebP; ``video`` the film.
    """

    id: str
    kind: str
    alt: str
    width: int
    height: int
    seconds: int | None
    src: str
    srcset: str
    fallback: str
    video: str

    @classmethod
    def of(cls, media: Media) -> MediaOut:
        """From the table."""
        return cls(
            id=media.id,
            kind=media.kind,
            alt=media.alt,
            width=media.width,
            height=media.height,
            seconds=media.seconds,
            src=picture(media),
            srcset=", ".join(f"/media/{media.id}/{size}.webp {size}w" for size in media.sizes),
            fallback=picture(media, "jpg"),
            video=f"/media/{media.id}/video.mp4" if media.kind == "video" else "",
        )


class MediaList(BaseModel):
    """What there is of a place, in its order."""

    items: list[MediaOut]


class MediaEdit(BaseModel):
    """What it shows, for who cannot see it."""

    model_config = ConfigDict(extra="forbid")
    alt: Annotated[str, StringConstraints(max_length=100, strip_whitespace=True)]


class MediaOrder(BaseModel):
    """All ids of a place, in the new order."""

    model_config = ConfigDict(extra="forbid")
    ids: Annotated[list[str], Field(min_length=1, max_length=64)]


def picture(media: Media, ending: str = "webp") -> str:
    """The address of the middle size; ``""`` where there is no picture."""
    if not media.sizes:
        return ""
    wanted = min(media.sizes, key=lambda size: abs(int(size) - 640))
    return f"/media/{media.id}/{wanted}.{ending}"

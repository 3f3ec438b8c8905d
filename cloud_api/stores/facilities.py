"""What stands in a room, by kind, with its brand: a closed list, so that rooms can be filtered by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

Kind = Literal[
    "table", "ac", "air", "charging", "tea", "projector", "sound", "toilet", "window", "sofa",
    "fridge", "locker", "other",
]  # fmt: skip
KINDS: Final[tuple[str, ...]] = get_args(Kind)

WORDS: Final[dict[str, str]] = {
    "table": "麻将机",
    "ac": "空调",
    "air": "新风",
    "charging": "充电",
    "tea": "茶台",
    "projector": "投影",
    "sound": "音响",
    "toilet": "独立卫生间",
    "window": "窗",
    "sofa": "沙发",
    "fridge": "冰箱",
    "locker": "储物柜",
    "other": "其他",
}
ICONS: Final[dict[str, str]] = {
    "table": "layout-grid",
    "ac": "snowflake",
    "air": "wind",
    "sofa": "armchair",
    "sound": "volume-2",
}


def kinds_of(equipment: Sequence[dict[str, Any]], more: Sequence[str]) -> set[str]:
    """The kinds a room has: of what has a kind, and of its own list where that names one (``新风系统``)."""
    named = {str(thing.get("kind")) for thing in equipment}
    return named | {kind for kind, word in WORDS.items() if any(word in str(text) for text in more)}


def in_words(thing: dict[str, Any]) -> str:
    """``麻将机 雀友 T8``; what is of no kind by its own name."""
    brand = " ".join(str(thing.get(key, "")) for key in ("brand", "model") if thing.get(key))
    kind = str(thing.get("kind", "other"))
    if kind == "other":
        return brand
    return f"{WORDS.get(kind, kind)} {brand}".strip()


def texts(equipment: Sequence[dict[str, Any]], more: Sequence[str]) -> list[str]:
    """All of a room in words: what has a kind first, then its own list without repeats."""
    found = [text for thing in equipment if (text := in_words(thing))]
    return [*found, *(text for text in map(str, more) if not any(text in one for one in found))]

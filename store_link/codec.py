"""Between models of messages.py and the bytes of JSON that are signed: one strict way each way.

JSON has corners in which parsers disagree (keys given twice, NaN, numbers beyond 64 bits, half
surrogates, NUL). What is signed must mean the same to everybody who verified it, and what a store
sends must fit the cloud's database; so all of these are refused on both ways.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from store_link.messages import Reason

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * 19  # so many digits in a row may be a number beyond 64 bits

M = TypeVar("M", bound=BaseModel)


class CodecError(ValueError):
    """A message that is not what it should be. ``reason`` is always ``Reason.BAD_MESSAGE``."""

    reason = Reason.BAD_MESSAGE


def encode(model: BaseModel) -> bytes:
    """Compact UTF-8 JSON of ``model``, fields in the order of their declaration.

    Raises CodecError for what JSON or the other side cannot hold: NaN or infinite numbers, integers
    beyond 64 bits, half surrogates, NUL characters, nesting deeper than 32.
    """
    try:
        plain = model.model_dump(mode="json")
        _check(model.model_dump())  # mode="json" would turn NaN into null without a word
        return json.dumps(
            plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    except CodecError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise CodecError(f"cannot be encoded: {_brief(error)}") from None


def decode(raw: bytes, model: type[M], *, max_bytes: int = MAX_BYTES) -> M:
    """The message in ``raw``. Raises CodecError, and nothing else, for anything that is not one.

    Types are strict (``"1"`` is no number); unknown fields are ignored, missing ones an error.
    """
    if not isinstance(raw, bytes):
        raise CodecError("not bytes")
    if len(raw) > max_bytes:
        raise CodecError(f"longer than {max_bytes} bytes")
    if (plain := _plain(raw, model)) is not None:
        return plain
    try:
        text = raw.decode("utf-8")
        tree = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_int64,
        )
        # Numbers were looked at by the parser, and text that came without \\u escapes can hold neither
        # a NUL nor half a surrogate pair: what is left is how deep it is.
        if "\\u" in text:
            _check(tree)
        else:
            _check_depth(tree)
        return model.model_validate_json(raw, strict=True)
    except CodecError:
        raise
    except ValidationError as error:
        where = ", ".join(
            ".".join(str(part) for part in problem["loc"]) or "message"
            for problem in error.errors(include_input=False, include_url=False)[:3]
        )
        raise CodecError(f"not a {model.__name__}: see {where}") from None
    except (ValueError, RecursionError) as error:
        raise CodecError(f"not JSON: {_brief(error)}") from None


def _plain(raw: bytes, model: type[M]) -> M | None:
    """The message in ``raw`` where it is spelled as ``encode`` spells it; None for a closer look.

    Most are. If what was read, written again, is the same bytes, then nothing in them could have been
    read otherwise: no key stood twice, no number lost anything, no field was left out. What is then to
    be looked at is little, and nothing is walked through piece by piece.
    """
    if b"\\" in raw or _LONG in raw.translate(_DIGITS):
        return None
    try:
        found = model.model_validate_json(raw, strict=True)
        if model.__pydantic_serializer__.to_json(found, exclude_unset=True) != raw:
            return None
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            _check_depth(from_json(raw))
    except ValueError:  # of whatever kind: the closer look says what is wrong
        return None
    return found


def _check(tree: Any) -> None:
    """Depth, text and numbers of a tree, without recursion."""
    todo: list[tuple[Any, int]] = [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        if isinstance(node, str):
            _check_text(node)
        elif isinstance(node, float):
            if not math.isfinite(node):
                raise CodecError("a number is not finite")
        elif isinstance(node, int):
            if not _INT_MIN <= node <= _INT_MAX:
                raise CodecError("an integer is beyond 64 bits")
        elif isinstance(node, dict | list | tuple):
            if depth > MAX_DEPTH:
                raise CodecError(f"nested deeper than {MAX_DEPTH}")
            if isinstance(node, dict):
                for key in node:
                    if isinstance(key, str):
                        _check_text(key)
                todo.extend((value, depth + 1) for value in node.values())
            else:
                todo.extend((value, depth + 1) for value in node)


def _check_depth(tree: Any) -> None:
    level = [tree] if isinstance(tree, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            value
            for node in level
            for value in (node.values() if isinstance(node, dict) else node)
            if isinstance(value, dict | list)
        ]
    if level:
        raise CodecError(f"nested deeper than {MAX_DEPTH}")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise CodecError("text holds a NUL")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise CodecError("text holds half a surrogate pair") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise CodecError("a key is given twice")
    return tree


def _no_constant(name: str) -> NoReturn:
    raise CodecError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise CodecError("a number is not finite")
    return value


def _int64(digits: str) -> int:
    if len(digits) > 20:
        raise CodecError("an integer is beyond 64 bits")
    value = int(digits)
    if not _INT_MIN <= value <= _INT_MAX:
        raise CodecError("an integer is beyond 64 bits")
    return value


def _brief(error: BaseException) -> str:
    """An error's first words, never the input: it may hold what logs must not."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at {error.pos}"
    return type(error).__name__

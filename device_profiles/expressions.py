"""The arithmetic a profile may use: ``+ - * //`` on whole numbers, and nothing else.

A profile is data that strangers may send us; so its expressions are parsed into Python's syntax tree
and walked here, and never handed to ``eval``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping

_BRACES = re.compile(r"\{([^{}]*)\}")
_WHOLE = re.compile(r"\{([^{}]+)\}")
_MAX_LENGTH = 80


class ExpressionError(ValueError):
    """An expression that is not one, or that names something undeclared."""


def is_expression(text: str) -> bool:
    """Whether the whole of ``text`` is one expression in braces, such as ``{ch - 1}``."""
    return _WHOLE.fullmatch(text.strip()) is not None


def names(value: int | str) -> frozenset[str]:
    """The names that ``value`` still needs. Raises ExpressionError if a part cannot be parsed."""
    if isinstance(value, int):
        return frozenset()
    return frozenset(
        node.id
        for part in _BRACES.findall(value)
        for node in ast.walk(_parse(part))
        if isinstance(node, ast.Name)
    )


def evaluate(value: int | str, known: Mapping[str, int]) -> int:
    """The whole number that ``value`` (a number, or one expression in braces) comes to.

    Raises ExpressionError for a name that is not in ``known`` and for a division by nought.
    """
    if isinstance(value, int):
        return value
    match = _WHOLE.fullmatch(value.strip())
    if match is None:
        raise ExpressionError(f"{value!r} is neither a whole number nor an expression in braces")
    return _walk(_parse(match[1]), known)


def fill(text: str, known: Mapping[str, int]) -> str:
    """``text`` with each ``{expression}`` in it replaced by its number: ``relay.{ch}`` → ``relay.3``."""
    return _BRACES.sub(lambda match: str(_walk(_parse(match[1]), known)), text)


def replaced(text: str, put: Callable[[str], str]) -> str:
    """``text`` with each ``{inside}`` in it replaced by what ``put`` makes of the inside."""
    return _BRACES.sub(lambda match: put(match[1].strip()), text)


def bind(value: int | str, known: Mapping[str, int]) -> int | str:
    """``value`` with the names in ``known`` put in; a number as soon as no name is left."""
    if isinstance(value, int):
        return value
    match = _WHOLE.fullmatch(value.strip())
    if match is None:
        raise ExpressionError(f"{value!r} is neither a whole number nor an expression in braces")
    tree = _Binder(known).visit(_parse(match[1]))
    bound = "{" + ast.unparse(tree) + "}"
    return bound if names(bound) else evaluate(bound, {})


class _Binder(ast.NodeTransformer):
    def __init__(self, known: Mapping[str, int]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self._known[node.id]) if node.id in self._known else node


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(
            f"the expression {text[:20]!r}… is longer than {_MAX_LENGTH} characters"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(f"{text!r} is not an expression") from error
    _check(tree, text)
    return tree


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int()) | ast.Name():
            return
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand, text)
            return
        case ast.BinOp(
            left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv(), right=right
        ):
            _check(left, text)
            _check(right, text)
            return
    raise ExpressionError(f"{text!r} may hold only whole numbers, names and + - * //")


def _walk(node: ast.expr, known: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            if name not in known:
                raise ExpressionError(f"{name!r} is not declared here")
            return known[name]
        case ast.UnaryOp(operand=operand):
            return -_walk(operand, known)
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _walk(left, known), _walk(right, known)
            if isinstance(operator, ast.Add):
                return a + b
            if isinstance(operator, ast.Sub):
                return a - b
            if isinstance(operator, ast.Mult):
                return a * b
            if b == 0:
                raise ExpressionError("division by nought")
            return a // b
    raise ExpressionError("not an expression")  # _check lets nothing else through

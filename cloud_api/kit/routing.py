"""Which routes a request is held against: those alone whose path begins as the request's does.

A router holds a request against one route after the other, a regular expression each; with hundreds of
routes a page at the end of the table waited 1.4 ms for its turn. Here the table is cut by the words with
which paths begin (``/api/v1/quotes``, ``/console/orders``); within a piece the order is the table's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

DEPTH = 4  # words of a path that are looked at


@dataclass
class _Node:
    """Where some words lead: the places in the table of routes that begin with these words or fewer."""

    places: set[int] = field(default_factory=set)
    below: dict[str, _Node] = field(default_factory=dict)
    router: APIRouter | None = None  # of these routes, once somebody asked


class Nearest:
    """ASGI: a router's routes, asked by how the path begins; sorted anew when a route was added."""

    def __init__(self, whole: APIRouter) -> None:
        self.whole = whole
        self._root, self._sorted = _Node(), 0

    def _sort(self) -> None:
        self._root, self._sorted = _Node(), len(self.whole.routes)
        for place, route in enumerate(self.whole.routes):
            for words in {*_begins(route)}:
                node = self._root
                for word in words:
                    node = node.below.setdefault(word, _Node())
                node.places.add(place)
        _inherit(self._root)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self.whole.app(scope, receive, send)
            return
        scope.setdefault("router", self.whole)
        node = self._node(scope)
        if node.router is None:
            node.router = APIRouter(
                default=self.whole.default, redirect_slashes=self.whole.redirect_slashes
            )
            node.router.routes.extend(self._routes(node))
        await node.router.app(scope, receive, send)

    def candidates(self, scope: Scope) -> list[BaseRoute]:
        """The routes that a request is held against, in the table's order."""
        return self._routes(self._node(scope))

    def _routes(self, node: _Node) -> list[BaseRoute]:
        return [self.whole.routes[place] for place in sorted(node.places)]

    def _node(self, scope: Scope) -> _Node:
        """Where the path leads. Where it leads no further, it is of no route that begins with more words."""
        if self._sorted != len(self.whole.routes):
            self._sort()
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        node = self._root
        for word in path.split("/", DEPTH + 1)[1 : DEPTH + 1]:
            below = node.below.get(word)
            if below is None:
                break
            node = below
        return node


def _inherit(node: _Node) -> None:
    for below in node.below.values():
        below.places |= node.places
        _inherit(below)


def _begins(route: BaseRoute) -> Iterator[tuple[str, ...]]:
    """The words with which the paths of a route begin: up to the first that is a parameter."""
    for path in _paths(route):
        words = []
        for word in path.strip("/").split("/")[:DEPTH]:
            if "{" in word or not word:
                break
            words.append(word)
        yield tuple(words)


def _paths(route: Any) -> Iterable[str]:
    """The templates of a route, or of all routes of a router that was included (FastAPI keeps it whole)."""
    if hasattr(route, "effective_route_contexts"):
        for inner in route.effective_route_contexts():
            yield (inner.starlette_route or inner).path
    else:
        yield route.path

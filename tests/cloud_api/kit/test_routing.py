"""A request is held against few routes, and finds what it would have found among all of them."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from cloud_api.app import create_app
from cloud_api.kit.routing import Nearest, _paths
from cloud_api.settings import Settings


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("routes")
    url = f"sqlite+aiosqlite:///{folder / 'cloud.db'}"
    return create_app(Settings(secrets="11" * 32, database_url=url, data_dir=Path(folder)))


def asked(path: str, method: str) -> Scope:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}


def answers(routes: list[BaseRoute], path: str, method: str) -> list[tuple[BaseRoute, Match]]:
    """Every route that takes the path, in order; one that takes the method too ends it."""
    found: list[tuple[BaseRoute, Match]] = []
    for route in routes:
        match, _ = route.matches(asked(path, method))
        if match != Match.NONE:
            found.append((route, match))
        if match == Match.FULL:
            break
    return found


def near(app: FastAPI) -> Nearest:
    stack = app.router.middleware_stack
    assert isinstance(stack, Nearest)
    return stack


def test_every_path_finds_the_route_that_it_found_in_the_whole_table(app: FastAPI):
    """Each template with plain ids, with words of other templates as ids, and with a slash too many."""
    routes, stack, chance = app.router.routes, near(app), random.Random(7)
    templates = sorted({path for route in routes for path in _paths(route)})
    words = sorted({w for path in templates for w in path.split("/") if w and "{" not in w})
    assert len(templates) > 500
    for template in templates:
        for filled, end, method in (("01ABC", "", "GET"), (chance.choice(words), "/", "POST")):
            path = re.sub(r"\{[^}]*\}", filled, template).rstrip("/") + end
            here = stack.candidates(asked(path, method))
            assert answers(here, path, method) == answers(routes, path, method), path
    # Paths that nobody serves, made of words that somebody does.
    for _ in range(200):
        path = "/" + "/".join(chance.choices(words, k=chance.randint(1, 5)))
        assert answers(stack.candidates(asked(path, "GET")), path, "GET") == answers(
            routes, path, "GET"
        )


def test_a_page_is_held_against_few_routes(app: FastAPI):
    """Pages came last in the table: 1.4 ms of expressions before each of a guest's pages."""
    for path in ("/", "/orders", "/console", "/console/webhooks", "/api/v1/events", "/healthz"):
        assert len(near(app).candidates(asked(path, "GET"))) < len(app.router.routes) / 4, path

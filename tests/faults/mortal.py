"""kaimen-cloud and kaimen-edge as they are, except that they stand still at a step when asked to.

    python -m tests.faults.mortal api|worker|controller words of the command…

A test arms a point by a file ``<point>.armed`` in KAIMEN_TEST_POINTS. The process that comes there
renames it to ``<point>.reached`` and waits for ``<point>.go``; meanwhile the test kills whom it
likes. So a fault hits the step itself and not a moment near it.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.points import POINTS, Point

PATIENCE_S = 60.0
_LOOK_S = 0.005


def main() -> None:
    """Put the points of this process in place, then be the program."""
    role, *words = sys.argv[1:]
    folder = Path(os.environ["KAIMEN_TEST_POINTS"])
    for point in POINTS:
        if role in point.process.split():
            _put(point, folder)
    if role == "controller":
        from controller.cli import app
    else:
        from cloud_api.cli import app
    sys.argv = [role, *words]
    app()


def _put(point: Point, folder: Path) -> None:
    module, _, path = point.target.partition(":")
    holder: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        holder = getattr(holder, part)
    setattr(holder, name, _wrapped(getattr(holder, name), point, folder))


def _wrapped(real: Callable[..., Any], point: Point, folder: Path) -> Callable[..., Any]:
    def here(when: str, args: Any, kwargs: Any) -> bool:
        return point.when == when and point.wanted(*args, **kwargs) and _reached(point, folder)

    if inspect.iscoroutinefunction(real):

        @functools.wraps(real)
        async def slow(*args: Any, **kwargs: Any) -> Any:
            if here("before", args, kwargs):
                await _stand(point, folder)
            result = await real(*args, **kwargs)
            if here("after", args, kwargs):
                await _stand(point, folder)
            return result

        return slow

    @functools.wraps(real)
    def quick(*args: Any, **kwargs: Any) -> Any:
        if here("before", args, kwargs):
            _freeze(point, folder)
        result = real(*args, **kwargs)
        if here("after", args, kwargs):
            _freeze(point, folder)
        return result

    return quick


def _reached(point: Point, folder: Path) -> bool:
    """Whether it was armed: only one caller is told so."""
    try:
        (folder / f"{point.name}.armed").rename(folder / f"{point.name}.reached")
    except FileNotFoundError:
        return False
    return True


async def _stand(point: Point, folder: Path) -> None:
    """This task waits, the process goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / f"{point.name}.go").exists() and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)


def _freeze(point: Point, folder: Path) -> None:
    """The whole process waits."""
    deadline = time.monotonic() + PATIENCE_S
    while not (folder / f"{point.name}.go").exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main()

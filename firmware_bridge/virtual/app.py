"""Virtual boards over HTTP: look at them, break them, press their buttons, watch them live.

GET  /state                         all lines, boards, coils, inputs, faults
GET  /history?since=SEQ             coil events after SEQ, oldest first
GET  /events                        server-sent events: ``coil`` and ``board``; resumes by Last-Event-ID
POST /boards/{id}/fault             {"dead": true, "bad_crc": false, "slow_ms": 0, "wrong_unit": false}
POST /boards/{id}/inputs/{n}        {"on": true}
POST /boards/{id}/points/{name}     {"value": 120.5}: what a meter measures, in the profile's unit
POST /boards/{id}/state             {"door": "open"}: of a device on a broker or on HTTP
POST /boards/{id}/power-cycle
POST /boards/{id}/scan              {"text": "K1:…"}: hold a code before a scanner

Errors are problem+json with a stable ``code``. For loopback: whoever reaches it may do all of this.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from firmware_bridge.virtual.board import CoilEvent
from firmware_bridge.virtual.rig import Meddled, Rig, RigError

_HEARTBEAT_S = 15.0
_LOOK_S = 0.5  # how soon an idle stream sees that the server is closing
_QUEUED_MAX = 1000


def create_app(  # noqa: C901  one small function for each route
    rig: Rig,
    pages: Path | None = None,
    routes: Sequence[BaseRoute] = (),
    closing: Callable[[], bool] = lambda: False,
) -> Starlette:
    """The application over an opened ``rig``.

    ``pages`` is a folder of static files to show at ``/``; ``closing`` tells that the server is about
    to end, so that event streams end by themselves.
    """

    async def state(request: Request) -> Response:
        return JSONResponse(rig.state())

    async def history(request: Request) -> Response:
        since = _whole(request.query_params.get("since", "0"), "since")
        return JSONResponse([asdict(event) for event in rig.events_since(since)])

    async def events(request: Request) -> Response:
        last = request.headers.get("last-event-id")
        since = None if last is None else _whole(last, "Last-Event-ID")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            _stream(rig, since, closing), media_type="text/event-stream", headers=headers
        )

    async def fault(request: Request) -> Response:
        changes = await _body(request)
        return JSONResponse(rig.set_fault(request.path_params["board"], changes))

    async def set_input(request: Request) -> Response:
        body = await _body(request)
        on = body.get("on")
        if set(body) != {"on"} or not isinstance(on, bool):
            raise RigError('the body must be {"on": true} or {"on": false}')
        params = request.path_params
        return JSONResponse(rig.set_input(params["board"], params["number"], on))

    async def measure(request: Request) -> Response:
        body = await _body(request)
        value = body.get("value")
        if set(body) != {"value"} or not isinstance(value, int | float) or isinstance(value, bool):
            raise RigError('the body must be {"value": 120.5}')
        params = request.path_params
        return JSONResponse(rig.measure(params["board"], params["point"], value))

    async def set_state(request: Request) -> Response:
        return JSONResponse(rig.set_state(request.path_params["board"], await _body(request)))

    async def power_cycle(request: Request) -> Response:
        return JSONResponse(rig.power_cycle(request.path_params["board"]))

    async def scan(request: Request) -> Response:
        body = await _body(request)
        text = body.get("text")
        if set(body) != {"text"} or not isinstance(text, str):
            raise RigError('the body must be {"text": "…"}')
        return JSONResponse(rig.scan(request.path_params["board"], text))

    async def refused(request: Request, error: Exception) -> Response:
        problem = {"code": "bad_request", "detail": str(error), "status": 400}
        return JSONResponse(problem, 400, media_type="application/problem+json")

    own: list[BaseRoute] = [
        Route("/state", state),
        Route("/history", history),
        Route("/events", events),
        Route("/boards/{board}/fault", fault, methods=["POST"]),
        Route("/boards/{board}/inputs/{number:int}", set_input, methods=["POST"]),
        Route("/boards/{board}/points/{point}", measure, methods=["POST"]),
        Route("/boards/{board}/state", set_state, methods=["POST"]),
        Route("/boards/{board}/power-cycle", power_cycle, methods=["POST"]),
        Route("/boards/{board}/scan", scan, methods=["POST"]),
        *routes,
    ]
    if pages is not None:
        own.append(Mount("/", StaticFiles(directory=pages, html=True)))
    return Starlette(routes=own, exception_handlers={RigError: refused})


async def _stream(rig: Rig, since: int | None, closing: Callable[[], bool]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    news: asyncio.Queue[CoilEvent | Meddled] = asyncio.Queue(_QUEUED_MAX)

    def put(item: CoilEvent | Meddled) -> None:
        if not news.full():  # a reader this slow is better off with a fresh /state
            news.put_nowait(item)

    def hear(item: CoilEvent | Meddled) -> None:
        loop.call_soon_threadsafe(put, item)

    stop = rig.on_event(hear)
    sent = 0
    try:
        yield ": open\n\n"
        for event in rig.events_since(since) if since is not None else []:
            sent = event.seq
            yield _message(event)
        told_at = loop.time()
        while not closing():
            try:
                async with asyncio.timeout(_LOOK_S):
                    item = await news.get()
            except TimeoutError:
                if loop.time() - told_at >= _HEARTBEAT_S:
                    told_at = loop.time()
                    yield ": still here\n\n"
                continue
            if isinstance(item, Meddled) or item.seq > sent:
                yield _message(item)
    finally:
        stop()


def _message(item: CoilEvent | Meddled) -> str:
    if isinstance(item, Meddled):
        return f"event: board\ndata: {json.dumps(item.state)}\n\n"
    return f"id: {item.seq}\nevent: coil\ndata: {json.dumps(asdict(item))}\n\n"


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError as error:
        raise RigError("the body must be JSON") from error
    if not isinstance(body, dict):
        raise RigError("the body must be a JSON object")
    return body


def _whole(text: str, name: str) -> int:
    if not text.isdecimal():
        raise RigError(f"{name} must be a whole number, not {text!r}")
    return int(text)

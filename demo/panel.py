"""The demonstration's own page: boards live, the phone's messages, the clock, and plugs to pull."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import cloud_api.web
from cloud_api.web.qr import svg
from demo.seed import (
    CONTACT_INPUT,
    ENTRANCE_CHANNEL,
    INPUT_UNIT,
    MEASURED,
    METER_PORT,
    OWNER_PHONE,
    READERS,
    RELAYS,
    ROLES,
    ROOMS,
    SPEAKER_PORT,
    STORE,
)
from demo.stage import NAMES, ORDER, Stage
from store_link.clock import BusinessClock

_HERE = Path(__file__).parent / "static"
_TYPES = {"panel.html": "text/html", "panel.css": "text/css", "panel.js": "text/javascript"}
_EVERY_S = 0.3
_MOST_S = 24 * 3600  # one press moves the clock a day at most


def create_app(stage: Stage) -> Starlette:
    """The page as an ASGI app over a stage that is up."""
    panel = Panel(stage)
    static = Path(cloud_api.web.__file__).parent / "static"
    return Starlette(
        routes=[
            Route("/", panel.page),
            *(Route(f"/{name}", panel.page) for name in _TYPES),
            Route("/state", panel.state),
            Route("/stream", panel.stream),
            Route("/doors/{token}.svg", panel.code),
            Route("/clock", panel.clock, methods=["POST"]),
            Route("/programs/{name}/{act}", panel.program, methods=["POST"]),
            Route("/boards/{board}/fault", panel.meddle, methods=["POST"]),
            Route("/boards/{board}/inputs/{number:int}", panel.meddle, methods=["POST"]),
            Route("/boards/{board}/scan", panel.meddle, methods=["POST"]),
            Mount("/static", StaticFiles(directory=static)),
        ]
    )


class _Advance(BaseModel):
    advance_s: Annotated[int, Field(strict=True, gt=0, le=_MOST_S)]


class Panel:
    """The page's handlers."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._clock = BusinessClock(stage.clock_file)
        self._http = httpx.AsyncClient(timeout=3.0, trust_env=False)
        self._boards: list[dict[str, Any]] = []
        self._phone: list[dict[str, str]] = []

    async def page(self, request: Request) -> Response:
        """One of the page's three files."""
        name = request.url.path.strip("/") or "panel.html"
        return FileResponse(_HERE / name, media_type=_TYPES[name])

    async def state(self, _request: Request) -> Response:
        """Everything the page draws, once."""
        return JSONResponse(await self._look())

    async def stream(self, request: Request) -> Response:
        """The same as server-sent events."""

        async def lines() -> AsyncIterator[str]:
            while not await request.is_disconnected():
                yield f"data: {json.dumps(await self._look(), ensure_ascii=False)}\n\n"
                await asyncio.sleep(_EVERY_S)

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def code(self, request: Request) -> Response:
        """The QR code of a door's sticker, for a phone before this screen."""
        token = request.path_params["token"]
        if token not in self._stage.doors.values():
            return _refuse("没有这扇门。")
        return Response(svg(self._stage.door_url(token)), media_type="image/svg+xml")

    async def clock(self, request: Request) -> Response:
        """Move business time forward for all programs."""
        try:
            seconds = _Advance.model_validate_json(await request.body()).advance_s
        except ValidationError:
            return _refuse(f"advance_s 要是 1 到 {_MOST_S} 之间的整数秒。")
        return JSONResponse({"offset_s": self._clock.advance(seconds)})

    async def program(self, request: Request) -> Response:
        """Pull a program's plug (kill -9), or plug it in again."""
        child = self._stage.children.get(request.path_params["name"])
        act = request.path_params["act"]
        if child is None or act not in {"kill", "start"}:
            return _refuse("没有这个程序。")
        await asyncio.to_thread(child.kill if act == "kill" else child.start)
        return JSONResponse({"running": child.running})

    async def meddle(self, request: Request) -> Response:
        """Pass a fault or an input on to the boards."""
        try:
            answer = await self._http.post(
                f"{self._stage.url('boards', local=True)}{request.url.path}",
                content=await request.body(),
                headers={"content-type": "application/json"},
            )
        except httpx.HTTPError:
            return _refuse("继电器板断电了，先给它通电。")
        return Response(answer.content, answer.status_code, media_type="application/json")

    async def _look(self) -> dict[str, Any]:
        await asyncio.gather(self._look_boards(), self._look_phone())
        stage = self._stage
        return {
            "now": self._clock.now().isoformat(),
            "offset_s": round(self._clock.offset_s),
            "tz": "Asia/Shanghai",
            "links": [
                {"text": "顾客手机页", "url": stage.url("web")},
                {"text": "店主后台", "url": f"{stage.url('web')}/console"},
            ],
            "owner_phone": OWNER_PHONE,
            "store": STORE,
            "programs": [
                {"name": name, "label": NAMES[name], "running": stage.children[name].running}
                for name in ORDER
            ],
            "boards": self._boards,
            "phone": self._phone,
        }

    async def _look_boards(self) -> None:
        try:
            answer = await self._http.get(f"{self._stage.url('boards', local=True)}/state")
            lines = answer.json()["lines"]
        except (httpx.HTTPError, ValueError):
            self._boards = [{**board, "dead": True} for board in self._boards]
            return
        self._boards = [self._board(board) for line in lines for board in line["boards"]]

    async def _look_phone(self) -> None:
        try:
            answer = await self._http.get(f"{self._stage.url('sms', local=True)}/messages")
            found = answer.json()
        except (httpx.HTTPError, ValueError):
            return
        listed = found["messages"] if isinstance(found, dict) else found
        self._phone = [{"phone": sms["phone"], "text": sms["text"]} for sms in listed[:20]]

    def _board(self, board: dict[str, Any]) -> dict[str, Any]:
        unit = board["unit_id"]
        roles = {channel: role for role, _, channel in ROLES}
        roles[ENTRANCE_CHANNEL] = "lock"
        relays = board["profile"] == RELAYS
        room = next((plan.name for plan in ROOMS if relays and plan.unit == unit), None)
        doors = [f"{room}门", "大门"] if relays and unit == 1 else [f"{room}门"]
        is_inputs = unit == INPUT_UNIT
        alone = {METER_PORT: f"{MEASURED}电表", SPEAKER_PORT: f"{MEASURED}喇叭"}
        heard = {i: plan.name for i, plan in enumerate(ROOMS, 1)}
        heard[CONTACT_INPUT] = f"{MEASURED}门"
        reader = READERS.get(board["id"])
        return {
            "id": board["id"],
            "unit": unit,
            "name": f"{reader}扫码器" if reader else room or alone.get(board["id"], "人体感应"),
            "reader": reader is not None,
            "model": board["model"],
            "dead": board["fault"]["dead"],
            "coils": []
            if is_inputs
            else [
                {
                    "channel": coil["n"],
                    "name": coil["label"],
                    "role": roles.get(coil["n"], ""),
                    "on": coil["on"],
                    "pulses": coil["pulses"],
                }
                for coil in board["coils"]
            ],
            "doors": [
                {"name": name, "url": self._stage.door_url(token), "code": f"/doors/{token}.svg"}
                for name, token in self._stage.doors.items()
                if name in doors
            ],
            "inputs": [
                {
                    "channel": one["n"],
                    "name": heard[one["n"]],
                    "on": one["on"],
                    "words": ["门开着", "门关着"]
                    if one["n"] == CONTACT_INPUT
                    else ["有人", "没人"],
                }
                for one in board["inputs"]
                if one["n"] in heard
            ]
            if is_inputs
            else [],
        }


def _refuse(why: str) -> Response:
    return JSONResponse({"detail": why}, 409)

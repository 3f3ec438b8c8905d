"""``kaimen-demo``: the whole of Kaimen on this machine, or its main job without a person."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
import uvicorn

from demo.check import run_check
from demo.panel import create_app
from demo.processes import Failed
from demo.seed import OWNER_PHONE
from demo.stage import Stage

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

_Data = Annotated[Path, typer.Option(help="Where the demonstration keeps its data.")]


@app.command()
def run(
    data: _Data = Path("var/demo"),
    host: Annotated[str, typer.Option(help="127.0.0.1 keeps phones out.")] = "0.0.0.0",  # noqa: S104
    any_ports: Annotated[bool, typer.Option("--any-ports", help="Take free ports.")] = False,
) -> None:
    """Start everything, print the addresses, and run until Ctrl-C."""
    stage = Stage(data.resolve(), host, fixed_ports=not any_ports)
    server: uvicorn.Server | None = None
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        if ended.is_set():
            return
        ended.set()
        if server is None:
            raise KeyboardInterrupt
        server.should_exit = True
        server.force_exit = True

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    try:
        stage.prepare()
        stage.up(lambda part: typer.echo(f"  启动 {part} …"))
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(stage), host=host, port=stage.ports["panel"], log_level="warning"
            )
        )
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        typer.echo(addresses(stage))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not ended.wait(0.5) and thread.is_alive():
            pass
    except Failed as error:
        typer.echo(f"\n{error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        pass
    finally:
        typer.echo("正在停下 …")
        stage.down()
        typer.echo("停好了，数据留着，下次接着用。")


@app.command()
def check(
    data: Annotated[
        Path | None, typer.Option(help="Keep the data here; else a new folder.")
    ] = None,
) -> None:
    """Do the main job and its failures without a person; each step is printed with its time."""
    folder = data or Path(tempfile.mkdtemp(prefix="kaimen-demo-"))
    try:
        good = run_check(folder.resolve(), typer.echo)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    if not good:
        raise typer.Exit(1)


@app.command()
def reset(data: _Data = Path("var/demo")) -> None:
    """Forget all data of the demonstration."""
    shutil.rmtree(data, ignore_errors=True)
    typer.echo("演示数据已清空。")


def addresses(stage: Stage) -> str:
    """What a newcomer needs to know, in a few lines."""
    return f"""
Kaimen 开门 · 雀友会·静安店

  顾客（手机上看）  {stage.url("web")}
  店主后台          {stage.url("web")}/console      用 {OWNER_PHONE[3:]} 登录
  演示台            {stage.url("panel")}   继电器、短信验证码、拨时间、拔插头

订一间房 → 付款 → 在演示台把时间拨到开场前 → 扫门上的码（后台「门贴」可打印，或在顾客页点开门）→ 看继电器。
按 Ctrl-C 停下。
"""


if __name__ == "__main__":
    app()

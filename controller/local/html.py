"""The page as text: small enough to need no template language. Everything from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from controller.local.selftest import Line

STYLE = files("controller.local").joinpath("page.css").read_text(encoding="utf-8")
SCRIPT = files("controller.local").joinpath("page.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: a name, what is so, how good it is (good, soon, bad, dim), a note."""

    name: str
    state: str
    tone: str = "dim"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """What the page shows of this moment."""

    facts: Sequence[Row]
    boards: Sequence[Row]
    devices: Sequence[Row]
    commands: Sequence[Row]


def page(title: str, body: str, *, live: bool = False) -> str:
    """A whole document."""
    script = '<script src="/page.js" defer></script>' if live else ""
    return (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{escape(title)} · Kaimen</title><link rel="stylesheet" href="/page.css">{script}'
        f"</head><body>{body}</body></html>"
    )


def login(store: str, *, wait_s: int, wrong: bool, set_up: bool) -> str:
    """Asks for the PIN."""
    said = ""
    if not set_up:
        said = (
            '<p class="note soon">还没有设密码：在这台电脑上运行 <code>kaimen-edge pin</code></p>'
        )
    elif wait_s:
        said = f'<p class="note bad" role="alert">试得太多了，{wait_s} 秒后再试</p>'
    elif wrong:
        said = '<p class="note bad" role="alert">密码不对</p>'
    form = (
        '<form method="post" action="/login"><label for="pin">安装密码</label>'
        '<input id="pin" name="pin" inputmode="numeric" autocomplete="off" maxlength="8"'
        ' type="password" required autofocus>'
        '<p class="hint">八位数字，运行 <code>kaimen-edge pin</code> 时给的</p>'
        f'{said}<button class="solid"{"" if set_up and not wait_s else " disabled"}>进去</button></form>'
    )
    return page(
        "安装",
        f'<main class="narrow"><h1>安装页</h1><p class="id">{escape(store)}</p>{form}</main>',
    )


def home(store: str, live: Live) -> str:
    """The page itself; its live part is drawn again every two seconds."""
    head = (
        f'<header><div><h1>门店控制器</h1><p class="id">{escape(store)}</p></div>'
        '<form method="post" action="/logout"><button class="line">退出</button></form></header>'
    )
    test = (
        '<section class="card"><h2>自检</h2><p class="hint">问一遍所有设备、时钟、网络和账本，不动任何门和开关</p>'
        '<div id="test" aria-live="polite"></div>'
        '<button class="solid" id="run">开始自检</button></section>'
    )
    return page(
        "安装", f'<main>{head}<div id="live">{fragment(live)}</div>{test}</main>', live=True
    )


def fragment(live: Live) -> str:
    """What is drawn again and again."""
    return (
        _card("现在", live.facts, "")
        + _card("板子", live.boards, "店里还没有登记板子：在控制台加上，几秒后这里就有")
        + _card("设备", live.devices, "还没有设备接在板子上")
        + _card("最近的命令", live.commands, "还没有人从云端下过命令")
    )


def tested(lines: Iterable[Line]) -> str:
    """How the self-test went."""
    rows = [
        Row(one.text, "好" if one.good else "不好", "good" if one.good else "bad") for one in lines
    ]
    bad = sum(1 for row in rows if row.tone == "bad")
    said = "全部都好" if not bad else f"{bad} 处要看一下"
    tone = "bad" if bad else "good"
    return f'<p class="note {tone}">{said}</p>{_rows(rows)}'


def _card(title: str, rows: Sequence[Row], empty: str) -> str:
    body = _rows(rows) if rows else f'<p class="hint">{escape(empty)}</p>'
    return f'<section class="card"><h2>{escape(title)}</h2>{body}</section>'


def _rows(rows: Iterable[Row]) -> str:
    made = []
    for row in rows:
        note = f"<small>{escape(row.note)}</small>" if row.note else ""
        made.append(
            f"<li><span>{escape(row.name)}{note}</span>"
            f'<b class="{escape(row.tone)}">{escape(row.state)}</b></li>'
        )
    return f"<ul>{''.join(made)}</ul>"

"""A person's data as files: JSON for machines, one page to read. Pure."""

from __future__ import annotations

import html
import io
import json
import zipfile
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.personal import Section

_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:0 0 2rem}"
    "th,td{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top}"
)


def archive(sections: list[Section], made_at: datetime, tz: str) -> bytes:
    """A zip with ``data.json`` (instants in UTC) and ``data.html`` (in ``tz``)."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        data = {"made_at": made_at, **{one.name: one.rows for one in sections}}
        text = json.dumps(data, ensure_ascii=False, indent=1, default=_iso)
        file.writestr("data.json", text)
        file.writestr("data.html", page(sections, made_at, tz))
    return target.getvalue()


def page(sections: list[Section], made_at: datetime, tz: str) -> str:
    """The page; amounts in yuan, times local."""
    parts = [
        "<!doctype html><html><meta charset=utf-8>",
        f"<title>{_('我的资料')}</title><style>{_STYLE}</style><h1>{_('我的资料')}</h1>",
        f"<p>{_('{time} 导出').format(time=_shown(made_at, tz))}</p>",
    ]
    for one in sections:
        parts.append(f"<h2>{html.escape(_(one.title))} ({len(one.rows)})</h2>")
        if one.rows:
            names = list(dict.fromkeys(name for row in one.rows for name in row))
            head = "".join(f"<th>{html.escape(_title(name))}</th>" for name in names)
            body = "".join(
                "<tr>" + "".join(f"<td>{_cell(name, row.get(name), tz)}</td>" for name in names)
                for row in one.rows
            )
            parts.append(f"<table><tr>{head}{body}</table>")
    return "\n".join(parts)


def _title(name: str) -> str:
    return _(name.removesuffix("_分"))


def _cell(name: str, value: Any, tz: str) -> str:
    if isinstance(value, list):
        return "<br>".join(
            " ".join(_cell(inner, one, tz) for inner, one in row.items()) for row in value
        )
    if name.endswith("_分") and isinstance(value, int):
        return f"¥{value / 100:.2f}"
    return html.escape(_shown(value, tz))


def _shown(value: Any, tz: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("是") if value else _("否")
    if isinstance(value, datetime):
        return f"{value.astimezone(ZoneInfo(tz)):%Y-%m-%d %H:%M}"
    return str(value)


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    raise TypeError(f"no JSON for {type(value).__name__}")

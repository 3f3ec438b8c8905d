"""A site with people and orders on it, and somebody to look at its pages as any of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import httpx
import structlog
from sqlalchemy import event

from cloud_api.auth.csrf import LOGIN_COOKIE
from tests.web.real import Site, running_site
from tests.web.scenes import Town, make_town

VOID = {"meta", "link", "img", "input", "hr", "br", "source", "wbr"}


class Reader(HTMLParser):
    """Reads a page strictly: tags nest, nothing stands inline."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.hrefs: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag."""
        self._look(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself."""
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        """Close a tag."""
        if self.open[-1:] != [tag]:
            self.wrong.append(f"</{tag}> closes {self.open[-3:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        """Text; none inside a script or style."""
        if self.open and self.open[-1] in ("script", "style") and data.strip():
            self.wrong.append(f"inline {self.open[-1]}")

    def _look(self, tag: str, attrs: dict[str, str | None]) -> None:
        if "style" in attrs or any(name.startswith("on") for name in attrs):
            self.wrong.append(f"<{tag}> {attrs}")
        if tag == "a" and attrs.get("href"):
            self.hrefs.append(str(attrs["href"]))


@dataclass
class Visitor:
    """Looks at pages as one of the town, or as nobody."""

    site: Site
    town: Town
    people: dict[str, httpx.Client] = field(default_factory=dict)

    def get(self, who: str, path: str, **more: object) -> httpx.Response:
        """The page's answer; redirects are not followed."""
        return self._client(who).get(path, **more)  # type: ignore[arg-type]

    def post(self, who: str, path: str, data: dict[str, str]) -> httpx.Response:
        """A plain form."""
        return self._client(who).post(path, data=data)

    def _client(self, who: str) -> httpx.Client:
        if who not in self.people:
            cookies = {LOGIN_COOKIE: self.town.tokens[who]} if who else {}
            self.people[who] = httpx.Client(
                base_url=self.site.url,
                cookies=cookies,
                headers={"Accept": "text/html"},
                trust_env=False,
                timeout=60,
            )
        return self.people[who]

    def queries(self, who: str, path: str) -> int:
        """How many statements a page takes; the least of three looks, since the first fills what is remembered."""
        counts = []
        for _ in range(3):
            with self.counted() as told:
                assert self.get(who, path).status_code == 200, path
            assert told, "no page comes without one"
            counts.append(len(told))
        return min(counts)

    @contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that answering requests sends meanwhile; jobs read as well, and answer nobody."""
        engine = self.site.cloud.db._read_engine.sync_engine
        told: list[str] = []

        def note(_c: object, _cur: object, statement: str, *_more: object) -> None:
            if "request_id" in structlog.contextvars.get_contextvars():
                told.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            yield told
        finally:
            event.remove(engine, "before_cursor_execute", note)


@contextmanager
def running_town(folder: Path) -> Iterator[Visitor]:
    """The site with its people until the block ends."""
    with running_site(folder) as site:
        town = site.write(lambda s: make_town(s, site.shop, site.now, site.cloud.clocks.real))
        visitor = Visitor(site, town)
        yield visitor
        for client in visitor.people.values():
            client.close()


def read(html: str) -> Reader:
    """Parse a page strictly."""
    reader = Reader()
    reader.feed(html)
    return reader

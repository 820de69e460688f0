"""A prospect without a browser: follows links and fills in forms as they stand on the page, and nothing else."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser

from agent.errors import AgentError

PATIENCE_S = 20.0
MAX_PAGE_BYTES = 1_000_000


@dataclass(slots=True)
class Form:
    """One form: where it goes, how, and its fields as they are filled in now."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: where it was found in the end, its status, links and forms, and its words."""

    url: str
    status: int
    links: list[str]
    forms: list[Form]
    text: str

    def link(self, part: str, number: int = 0) -> str:
        """The address of the `number`-th link that has `part` in it; raises `AgentError` when there is none."""
        found = [link for link in self.links if part in link]
        if len(found) <= number:
            raise AgentError(f"the page {urllib.parse.urlsplit(self.url).path} has no link number {number} with {part!r}")
        return urllib.parse.urljoin(self.url, found[number])


class _Reader(HTMLParser):
    """Collects links, forms with their values, and the words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag in ("style", "script", "svg"):
            self._hidden += 1
        elif tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "form":
            self._form = Form(found.get("action", ""), found.get("method", "get").upper())
            self.forms.append(self._form)
        elif tag in ("input", "button") and self._form is not None and found.get("name"):
            is_ticked = found.get("type") not in ("checkbox", "radio", "submit") or "checked" in found
            if tag == "input" and is_ticked:
                self._form.fields.append((found["name"], found.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script", "svg"):
            self._hidden -= 1
        elif tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(" ".join(data.split()))


class Visitor:
    """One person at the booking site; each call is a page."""

    async def get(self, url: str) -> Page:
        """Follow a link."""
        return await asyncio.to_thread(self._open, urllib.request.Request(url))  # noqa: S310 - loopback, of the demo's own

    async def submit(self, page: Page, number: int = 0, **values: str) -> Page:
        """Send the `number`-th form of a page with these values in place of its own."""
        form = page.forms[number]
        fields = [(name, value) for name, value in form.fields if name not in values] + list(values.items())
        target = urllib.parse.urljoin(page.url, form.action)
        data = urllib.parse.urlencode(fields).encode("ascii")
        if form.method == "GET":
            return await self.get(f"{target}?{data.decode()}")
        return await asyncio.to_thread(self._open, urllib.request.Request(target, data))  # noqa: S310 - loopback, of the demo's own

    async def bytes_of(self, url: str) -> bytes:
        """What is downloaded from a link; raises `AgentError` for anything but a 200."""
        return await asyncio.to_thread(self._download, url)

    def _open(self, request: urllib.request.Request) -> Page:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_S) as response:
                return _page(response.url, response.status, response.read(MAX_PAGE_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return _page(error.url or request.full_url, error.code, error.read(MAX_PAGE_BYTES))
        except OSError as error:
            raise AgentError(f"the desk did not answer: {error}") from error

    def _download(self, url: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=PATIENCE_S) as response:
                return bytes(response.read(MAX_PAGE_BYTES))
        except OSError as error:
            raise AgentError(f"the desk did not give what the page links to: {error}") from error


def _page(url: str, status: int, body: bytes) -> Page:
    reader = _Reader()
    reader.feed(body.decode("utf-8", "replace"))
    return Page(url, status, reader.links, reader.forms, "\n".join(reader.words))

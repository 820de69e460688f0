"""A browser without a page: what it sends and what it is answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

PATIENCE_S = 40.0


@dataclass(frozen=True, slots=True)
class Got:
    """An answer; the headers' names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The body's JSON."""
        return json.loads(self.body)


class Browser:
    """Asks one kiosk, with a connection for each request."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.host, self.port = address
        self.cookie: str | None = None

    @property
    def origin(self) -> str:
        """As the page's own requests have it."""
        return f"http://{self.host}:{self.port}"

    def ask(self, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Got:
        """One request, exactly as it is given."""
        connection = HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        sent = {**({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        try:
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            got = Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()
        if "set-cookie" in got.headers:
            self.cookie = got.headers["set-cookie"].split(";")[0]
        return got

    def get(self, target: str, **headers: str) -> Got:
        """A GET."""
        return self.ask("GET", target, headers=headers)

    def state(self, after: int | None = None, lang: str | None = None) -> dict[str, Any]:
        """The screen's state; with `after`, as soon as it is another one."""
        query = [*([f"after={after}"] if after is not None else []), *([f"lang={lang}"] if lang else [])]
        got = self.get("/screen/state" + ("?" + "&".join(query) if query else ""))
        assert got.status == 200, got.body
        found: dict[str, Any] = got.json
        return found

    def until(self, kind: str, tries: int = 30) -> dict[str, Any]:
        """The first state of a kind, followed as a page follows it."""
        state = self.state()
        for _ in range(tries):
            if state["kind"] == kind:
                return state
            state = self.state(state["number"])
        raise AssertionError(f"the screen shows {state['kind']}, and never {kind}")

    def touch(self, name: str, body: dict[str, Any], **headers: str) -> Got:
        """What the page sends when something is touched."""
        own = {"Content-Type": "application/json", "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        own["X-Screen-Token"] = self.state()["token"] or ""
        sent = {key: value for key, value in {**own, **headers}.items() if value != "-"}
        return self.ask("POST", f"/screen/{name}", json.dumps(body).encode(), sent)

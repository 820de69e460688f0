"""An agent as the kiosk meets it: a unix socket that answers what the test says and tells what the test tells."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from agent.protocol import decode, encode

DOOR = {
    "lock": "locked",
    "leaf": None,
    "fire": False,
    "readers": {"front-scanner": "ready"},
    "feed": None,
    "screen": {"takes_pins": True, "serves_staff": True},
}


class PlayedAgent:
    """`answers` by request; whoever follows is told by `tell`. Its methods run on the loop that it was started on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.door: dict[str, Any] = dict(DOOR)
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.is_deaf = False
        self._server: asyncio.Server | None = None
        self._followers: set[asyncio.StreamWriter] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Answer from now on."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def stop(self) -> None:
        """Be gone, as after a crash: every connection breaks, and the socket is a dead file."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        self._followers.clear()
        self.path.unlink(missing_ok=True)

    async def tell(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - an event's facts
        """Something happened."""
        for writer in list(self._followers):
            writer.write(encode({"event": event, **facts}))

    async def say(self, line: bytes) -> None:
        """Send a line as it stands to whoever follows."""
        for writer in list(self._followers):
            writer.write(line)

    async def followers(self, count: int) -> None:
        """Wait until so many follow."""
        while len(self._followers) != count:  # noqa: ASYNC110 - bounded by whoever waits for this
            await asyncio.sleep(0.005)

    async def asked_for(self, name: str, count: int) -> None:
        """Wait until a request came so often."""
        while self.counts[name] < count:  # noqa: ASYNC110 - bounded by whoever waits for this
            await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                request = decode(line)
                if self.is_deaf:
                    continue
                name = str(request.get("do"))
                self.counts[name] += 1
                self.asked = [*self.asked[-50:], request]
                answer = self.answers.get(name, {"ok": True})
                if name == "status" and name not in self.answers:
                    answer = {"ok": True, "doors": {"front": self.door}, "knock": {"is_up": True}}
                if name == "events" and answer["ok"]:
                    answer = {"ok": True, "event": "listening"}
                    self._followers.add(writer)
                writer.write(encode(answer))
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            self._followers.discard(writer)
            writer.close()

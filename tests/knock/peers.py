"""What the tests of Knock are made with: visits, settings, a peer that sends raw bytes, and Knock's stand-in knowing the visits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from agent.core.booking import BookingRequest, Person, SmsConsent
from agent.core.replay import Outcome
from agent.core.tour import Visit, Window
from agent.knock import Knock
from agent.sandbox.records import Appointment, Prospect
from agent.sandbox.server import Sandbox
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.slots import Span
from agent.settings.knock import KnockSettings

KEY = "syndication-prospect-TEST-KEY"
"""The test key that Knock publishes for visits."""
APPOINTMENT_KEY = "syndication-appointment-TEST-KEY"
"""The one that it publishes for appointments."""
VISIT_MS = 1_585_696_926_214
"""2020-03-31T23:22:06.214Z, the example of Knock's Visit API."""

Result = TypeVar("Result")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def visit(number: int = 1, **other: Any) -> Visit:  # noqa: ANN401 - a visit's fields
    """A visit of appointment and prospect `number`."""
    facts: dict[str, Any] = {"visit_ms": VISIT_MS, "unit_names": ("204 B",), "source_title": "Zumper: ads"}
    return Visit(f"{number:032x}", f"a{number}", f"p{number}", "1001", **{**facts, **other})


def settings_for(url: str, **other: Any) -> KnockSettings:  # noqa: ANN401 - a key of the table [knock]
    """Settings with time-outs for a test."""
    quick = {"connect_timeout_s": 2.0, "read_timeout_s": 2.0, "write_timeout_s": 2.0, "total_timeout_s": 5.0}
    return KnockSettings(base_url=url, **{**quick, **other})


@asynccontextmanager
async def client(url: str, *, key: str = KEY, appointment_key: str | None = APPOINTMENT_KEY, **other: Any) -> AsyncIterator[Knock]:  # noqa: ANN401 - of [knock]
    """A client of Knock at this address, closed at the end."""
    knock = Knock(settings_for(url, **other), prospect_key=key, appointment_key=appointment_key, version="1.2.3")
    try:
        yield knock
    finally:
        await knock.close()


async def report(url: str, what: Visit | None = None, **other: Any) -> Outcome:  # noqa: ANN401 - a key of the table [knock]
    """What becomes of one visit."""
    async with client(url, **other) as knock:
        return await knock.report(what or visit())


def tour(start_ms: int = 1_790_000_000_000, **other: Any) -> BookingRequest:  # noqa: ANN401 - a field of the request
    """A half hour for Ada Moss, without questions about texts and without wishes."""
    facts: dict[str, Any] = {
        "community_id": "1001",
        "window": Window(start_ms, start_ms + 1_800_000),
        "zone": "America/Los_Angeles",
        "person": Person("Ada", "Moss", "ada@example.com", "+12065550134"),
        "source_title": "Zumper: ads",
    }
    return BookingRequest(**{**facts, **other})


def consent(*, is_given: bool) -> SmsConsent:
    """An answer to the question about texts."""
    return SmsConsent(is_given, "I agree to texts.", "https://tours.example.com/juniper-flats/register")


async def ask(url: str, what: Callable[[Knock], Awaitable[Result]], **other: Any) -> Result:  # noqa: ANN401 - a key of the table [knock]
    """What one call comes back with."""
    async with client(url, **other) as knock:
        return await what(knock)


@dataclass
class Request:
    """A request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        """The body's value."""
        return json.loads(self.body)


async def read_request(reader: asyncio.StreamReader) -> Request:
    """One whole request; header names in lower case."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in rest)}
    return Request(line, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@dataclass
class Peer:
    """A server that answers every request with the same bytes, and remembers the requests."""

    answer: bytes | Handler
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            self.requests.append(await read_request(reader))
            self.is_asked.set()
            if isinstance(self.answer, bytes):
                writer.write(self.answer)
                await writer.drain()
            else:
                await self.answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def peer(answer: bytes | Handler, **listen: Any) -> AsyncIterator[Peer]:  # noqa: ANN401 - of asyncio's servers
    """Such a server on a free port of this machine."""
    made = Peer(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, **listen)
    made.url = f"http{'s' if 'ssl' in listen else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()


def answer(status: int, body: object = None, **headers: str) -> bytes:
    """An answer in JSON, or with a body as it is."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@asynccontextmanager
async def stand_in(count: int = 1, **settings: Any) -> AsyncIterator[Sandbox]:  # noqa: ANN401 - a setting of the sandbox
    """Knock's stand-in over HTTP, which knows `count` prospects `p1`... with an appointment `a1`... each."""
    async with Sandbox(SandboxSettings(**{"port": 0, "admin_port": 0} | settings)) as sandbox:
        know(sandbox, range(1, count + 1))
        yield sandbox


def know(sandbox: Sandbox, numbers: range, *, prospects: int = 1_000_000) -> None:
    """Let the stand-in know these appointments, of so many prospects in turn."""
    start = datetime(2020, 1, 1, tzinfo=UTC)
    news: list[Prospect | Appointment] = []
    for number in numbers:
        who = f"p{number % prospects}"
        news.append(Prospect(who, "1001", {"email": f"{who}@example.com"}))
        news.append(Appointment(f"a{number}", who, "1001", Span(start, start + timedelta(hours=1)), "SELF_GUIDED", None))
    sandbox.ledger.state = sandbox.ledger.state.having(*news)

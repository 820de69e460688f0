"""A sandbox on free ports with a clock that stands still, and clients that hold the right keys."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from agent.sandbox.settings import SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox

NOON = datetime(2026, 6, 1, 19, 0, tzinfo=UTC)
"""Noon at Juniper Flats, a Monday."""


NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""All is plain HTTP here: loading the device's certificates for each client would be the slowest part of a test."""


class PublishedKeys(httpx.Auth):
    """The two test keys that Knock publishes, each for its own routes."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Add the key of the route."""
        kind = "prospect" if request.url.path in {"/visit", "/prospect"} else "appointment"
        request.headers["x-api-key"] = f"syndication-{kind}-TEST-KEY"
        yield request


@pytest.fixture
def start() -> Iterator[Callable[..., ThreadedSandbox]]:
    """Start a sandbox with settings of one's own; it ends with the test."""
    with ExitStack() as stack:

        def start_one(clock: Callable[[], datetime] = lambda: NOON, **settings: Any) -> ThreadedSandbox:  # noqa: ANN401 - any setting
            chosen = SandboxSettings(**{"port": 0, "admin_port": 0} | settings)
            return stack.enter_context(ThreadedSandbox(chosen, clock=clock))

        yield start_one


@pytest.fixture
def connect() -> Iterator[Callable[[str], httpx.Client]]:
    """Make a client with the published keys for an address; it is closed with the test."""
    with ExitStack() as stack:

        def connect_one(url: str) -> httpx.Client:
            return stack.enter_context(httpx.Client(base_url=url, auth=PublishedKeys(), trust_env=False, verify=NO_TLS, timeout=10))

        yield connect_one


@pytest.fixture
def sandbox(start: Callable[..., ThreadedSandbox]) -> ThreadedSandbox:
    """One sandbox as it comes, but for its ports and its clock."""
    return start()


@pytest.fixture
def knock(sandbox: ThreadedSandbox, connect: Callable[[str], httpx.Client]) -> httpx.Client:
    """A client of the public API."""
    return connect(sandbox.url)


@pytest.fixture
def admin(sandbox: ThreadedSandbox, connect: Callable[[str], httpx.Client]) -> httpx.Client:
    """A client of the admin API."""
    return connect(sandbox.admin_url)


@pytest.fixture
def booking() -> dict[str, Any]:
    """The body of a request that succeeds: tomorrow at ten."""
    return {
        "communityId": "1001",
        "requestedTimes": [{"startTime": "2026-06-02T10:00:00-07:00", "endTime": "2026-06-02T10:30:00-07:00"}],
        "tourType": "SELF_GUIDED",
        "sourceTitle": "Property Website",
        "smsConsent": False,
        "profile": {"firstName": "Ada", "lastName": "Moss", "email": "ada@example.com", "phone": "(206) 555-0134"},
    }


@pytest.fixture
def visit(knock: httpx.Client, booking: dict[str, Any]) -> dict[str, Any]:
    """The body of a visit that succeeds, to an appointment that was booked for it."""
    booked = knock.post("/appointment/request", json=booking).json()
    return {
        "prospectId": booked["prospectId"],
        "visitTime": "2026-06-01T18:30:06.214Z",
        "appointmentId": booked["appointmentId"],
        "isSelfGuided": True,
        "sourceTitle": "Property Website",
        "unitNames": ["101"],
    }

"""A call for help, told to staff by a real webhook's server and a real mail server."""

from __future__ import annotations

import asyncio
import email
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import Refused, RetryPolicy
from agent.errors import ConfigError
from agent.kiosk import call as module
from agent.kiosk.call import Calls, Staff
from agent.kiosk.hub import zone_of
from tests.desk.mail.servers import Inbox, mail_server
from tests.kiosk.conftest import settings

LIMIT_S = 20.0
AT_MS = 1_780_340_400_000
"""June 1, 2026, 12:00 in Los Angeles, as the agent's clock shows it."""
PATH = "/hooks/very-secret?key=1"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon."""
    monkeypatch.setattr(module, "RETRY", RetryPolicy(first_s=0.02, max_s=0.05))


class Hook:
    """A webhook's server: it answers the next of `statuses`, the last one for ever; None hangs up."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.taken: list[tuple[str, dict[str, Any]]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.taken.append((head.split("\r\n")[0], body))
        if status is not None:
            writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()


@asynccontextmanager
async def hooked(hook: Hook) -> AsyncIterator[Hook]:
    """The server, running."""
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()


def secret(folder: Path, text: str) -> str:
    """A private file with a line."""
    path = folder / "webhook-url"
    path.touch(0o600)
    path.write_text(text + "\n", "ascii")
    return str(path)


@asynccontextmanager
async def calls(folder: Path, hook: Hook | None = None, inbox: Inbox | None = None, *, port: int = 0) -> AsyncIterator[Calls]:
    """What tells of calls, running."""
    told: dict[str, Any] = {}
    changed: dict[str, Any] = {"help": told}
    if hook is not None:
        told["webhook_url_file"] = secret(folder, f"http://127.0.0.1:{hook.port or port}{PATH}")
    if inbox is not None:
        told["mail_to"] = ["leasing@example.com", "manager@example.com"]
        server = {"smtp_host": "127.0.0.1", "smtp_port": inbox.port or port, "security": "none", "sender": "tours@example.com"}
        changed["mail"] = server | {"timeout_s": 5.0}
    made = settings(folder / "agent.sock", **changed)
    found = Calls(made, zone_of(made), chance=lambda: 0.5, now_ms=lambda: AT_MS)
    running = asyncio.create_task(found.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            yield found
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await found.close()


async def come(taken: list[Any], count: int) -> None:
    """Wait until so many came."""
    while len(taken) < count:  # noqa: ASYNC110 - bounded by the story
        await asyncio.sleep(0.005)


def test_ok__a_call_is_told_by_webhook_and_by_email(tmp_path: Path) -> None:
    """Which door and when, in both; the email is one for all addresses and says that a program sent it."""

    async def story() -> tuple[Hook, Inbox]:
        async with hooked(Hook(200)) as hook, mail_server(Inbox()) as inbox, calls(tmp_path, hook, inbox) as found:
            found.call()
            await come(hook.taken, 1)
            await come(inbox.taken, 1)
            return hook, inbox

    hook, inbox = asyncio.run(story())
    line, body = hook.taken[0]
    assert line == f"POST {PATH} HTTP/1.1"
    assert (body["event"], body["door"], set(body)) == ("help_called", "front", {"event", "door", "at_ms", "id", "text"})
    assert body["at_ms"] == AT_MS
    assert body["text"] == "Somebody asks for help at Juniper Flats, door front: the call button was pressed at 12:00 on Monday."
    envelope = inbox.taken[0]
    message = email.message_from_bytes(envelope.content if isinstance(envelope.content, bytes) else b"")
    assert envelope.rcpt_tos == ["leasing@example.com", "manager@example.com"]
    assert (message["From"], message["Auto-Submitted"], message["Message-ID"]) == ("tours@example.com", "auto-generated", body["id"])
    assert body["text"] in str(message.get_payload()).replace("=\r\n", "").replace("\r\n", " ")
    assert message["Date"]


def test_ok__a_call_is_tried_again_until_it_is_told(tmp_path: Path) -> None:
    """Errors of the server and broken connections; the call keeps its id, so that a chat can tell it is one."""

    async def story() -> Hook:
        async with hooked(Hook(500, None, 404, 204)) as hook, calls(tmp_path, hook) as found:
            found.call()
            await come(hook.taken, 4)
            await asyncio.sleep(0.2)
            return hook

    hook = asyncio.run(story())
    assert len(hook.taken) == 4
    assert len({body["id"] for _, body in hook.taken}) == 1


def test_ok__one_way_that_is_shut_does_not_hold_up_the_other(tmp_path: Path) -> None:
    """The webhook never works, and the email goes out at once."""

    async def story() -> int:
        async with hooked(Hook(500)) as hook, mail_server(Inbox()) as inbox, calls(tmp_path, hook, inbox) as found:
            found.call()
            await come(inbox.taken, 1)
            await come(hook.taken, 3)
            return len(inbox.taken)

    assert asyncio.run(story()) == 1


def test_ok__a_way_that_fails_holds_up_no_later_call_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the webhook is tried again for minutes, each new call is an email at once."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)

    async def story() -> list[Staff]:
        async with hooked(Hook(500)) as hook, mail_server(Inbox()) as inbox, calls(tmp_path, hook, inbox) as found:
            outcomes = []
            for count in (1, 2):
                found.call()
                await come(inbox.taken, count)
                outcomes.append(await found.outcome(LIMIT_S))
            return outcomes

    assert asyncio.run(story()) == [Staff.TOLD, Staff.TOLD]


def test_ok__who_calls_hears_what_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not told yet, told, given up; and nobody, where there is no way."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)

    async def story() -> list[Staff]:
        async with hooked(Hook(500)) as hook, calls(tmp_path, hook) as found:
            outcomes = [await found.outcome(LIMIT_S)]
            found.call()
            outcomes.append(await found.outcome(0.05))
            hook.statuses[:] = [200]
            outcomes.append(await found.outcome(LIMIT_S))
            hook.statuses[:] = [500]
            monkeypatch.setattr(module, "GIVE_UP_S", 0.0)
            found.call()
            return [*outcomes, await found.outcome(LIMIT_S)]

    assert asyncio.run(story()) == [Staff.NOBODY, Staff.TRYING, Staff.TOLD, Staff.FAILED]


def test_fail__an_email_that_is_refused_for_good_was_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the caller hears that it was."""

    async def story() -> Staff:
        async with mail_server(Inbox()) as inbox, calls(tmp_path, inbox=inbox) as found:

            async def send(_message: object) -> Refused:
                return Refused("550 no such user")

            found._mailer.send = send  # type: ignore[union-attr,method-assign]
            found.call()
            return await found.outcome(LIMIT_S)

    with caplog.at_level(logging.INFO, "tourlatch"):
        assert asyncio.run(story()) is Staff.FAILED
    assert [record.message for record in caplog.records if record.name == "tourlatch"] == ["help_call_not_told"]


def test_fail__an_error_that_nobody_expected_is_a_call_that_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not one that is tried for ever: it is told and logged, without the error's own words, and the next call is told as ever."""

    async def story() -> list[Staff]:
        async with hooked(Hook(200)) as hook, calls(tmp_path, hook) as found:
            usual = found._lines[0].way

            async def broken(_at_ms: int, _call_id: str) -> str:
                raise RuntimeError(f"no such thing as {PATH}")

            found._lines[0].way = broken
            found.call()
            outcomes = [await found.outcome(LIMIT_S)]
            found._lines[0].way = usual
            found._last = None
            found.call()
            return [*outcomes, await found.outcome(LIMIT_S)]

    with caplog.at_level(logging.INFO, "tourlatch"):
        assert asyncio.run(story()) == [Staff.FAILED, Staff.TOLD]
    told = [(record.message, record.facts) for record in caplog.records if record.name == "tourlatch"]  # type: ignore[attr-defined]
    assert told == [
        ("help_call_not_told", {"way": "webhook", "because": "RuntimeError", "tries": 1}),
        ("help_call_told", {"way": "webhook"}),
    ]


def test_fail__a_call_is_given_up_after_its_time_and_the_next_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, without the webhook's address."""
    monkeypatch.setattr(module, "GIVE_UP_S", 0.2)
    monkeypatch.setattr(module, "PAUSE_S", 0.0)

    async def story() -> int:
        async with hooked(Hook(500)) as hook, calls(tmp_path, hook) as found:
            found.call()
            while "help_call_not_told" not in [record.message for record in caplog.records]:  # noqa: ASYNC110 - bounded by the story
                await asyncio.sleep(0.005)
            hook.statuses[:] = [200]
            before = len(hook.taken)
            found.call()
            await come(hook.taken, before + 1)
            return len(hook.taken) - before

    with caplog.at_level(logging.INFO, "tourlatch"):
        assert asyncio.run(story()) == 1
    assert "very-secret" not in str([vars(record) for record in caplog.records])


def test_ok__pressing_again_is_the_same_call(tmp_path: Path) -> None:
    """Whoever presses for minutes sends one message, not hundreds."""

    async def story() -> int:
        async with hooked(Hook(200)) as hook, calls(tmp_path, hook) as found:
            for _ in range(500):
                found.call()
            await come(hook.taken, 1)
            await asyncio.sleep(0.1)
            return len(hook.taken)

    assert asyncio.run(story()) == 1


def test_ok__calls_that_wait_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing can be told, the oldest make room."""
    monkeypatch.setattr(module, "PAUSE_S", 0.0)

    async def story() -> int:
        async with hooked(Hook(500)) as hook, calls(tmp_path, hook) as found:
            for _ in range(100):
                found.call()
            return max(len(line.waiting) for line in found._lines)

    assert asyncio.run(story()) == module.MAX_WAITING


@pytest.mark.parametrize(
    "address",
    [
        "http://chat.example.com/hook",
        "ftp://127.0.0.1/x",
        "chat.example.com",
        "https://user@x/y",
        "https://x:0/y",
        "http://[/x",
        "https:///x",
    ],
)
def test_fail__a_webhook_that_is_not_https_stops_the_start(tmp_path: Path, address: str) -> None:
    """The sentence names the file and not what is in it."""
    name = secret(tmp_path, address)
    made = settings(tmp_path / "agent.sock", help={"webhook_url_file": name})
    with pytest.raises(ConfigError) as error:
        Calls(made, zone_of(made), chance=lambda: 0.5, now_ms=lambda: AT_MS)
    assert name in str(error.value)
    assert address not in str(error.value)

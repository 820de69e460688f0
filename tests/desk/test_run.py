"""One running desk, from the settings to the socket: what hangs behind it or in front of it keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import config, credentials
from agent.core.booking import BookingState
from agent.desk.records import Booking, JobKind
from agent.desk.run import Desk
from agent.desk.store import DeskStore
from agent.settings.desk import DeskSettings
from tests.desk.mail.made import booking
from tests.desk.mail.servers import scripted

HOST = "tours.example.com"
SECRETS = {
    "appointment-key": "syndication-appointment-TEST-KEY",
    "desk-secret": "a-desk-secret-of-thirty-two-characters",
}
LIMIT_S = 20


def settings(folder: Path, **tables: Any) -> DeskSettings:  # noqa: ANN401 - what TOML holds
    """A desk of one property in a folder, on a free port; nothing of Knock is there."""
    credentials.new_key(folder / "keys")
    for name, text in SECRETS.items():
        (folder / name).touch(0o600)
        (folder / name).write_text(text + "\n", "ascii")
    written: dict[str, Any] = {
        "public_url": f"https://{HOST}",
        "store": {"path": str(folder / "desk.db")},
        "listen": {"port": 0},
        "keys": {"folder": str(folder / "keys"), "desk_secret_file": str(folder / "desk-secret")},
        "knock": {"base_url": "http://127.0.0.1:1", "appointment_key_file": str(folder / "appointment-key")},
        "community": [
            {
                "id": "1001",
                "slug": "juniper-flats",
                "name": "Juniper Flats",
                "time_zone": "America/Los_Angeles",
                "address": "12 Juniper Street, Portland, OR 97201",
                "door": [{"name": "front"}],
            }
        ],
    }
    return config.parse_as(DeskSettings, written | tables, "desk.toml")


def serving(made: DeskSettings, play: Callable[[int], Awaitable[None]]) -> None:
    """Serve while `play` goes on, which gets the port."""

    async def run() -> None:
        async with Desk(made) as desk:
            await play(desk.address[1])

    asyncio.run(run())


def _cancelled(booking: Booking) -> Booking:
    return replace(booking, state=BookingState.CANCELLED)


async def ask(port: int, path: str, *lines: str, method: str = "GET") -> tuple[int, str, str]:
    """The status, head and body of an answer over a socket of its own."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", *lines, "", ""]
        writer.write("\r\n".join(head).encode())
        text = (await reader.read()).decode()
        writer.close()
    head_text, _, body = text.partition("\r\n\r\n")
    return int(head_text.split()[1]), head_text, body


def test_fail__a_mail_server_that_hangs_keeps_no_page_waiting(tmp_path: Path) -> None:
    """Many emails at a tarpit, and pages that need the store answer meanwhile; the stop does not wait for it either."""
    store = DeskStore.open(tmp_path / "desk.db")
    for number in range(20):
        begun, _ = store.begin(booking(booking_id=f"{number:016x}", submission=f"form-{number}", appointment_id=None))
        store.settle(begun.booking_id, expected=frozenset({begun.state}), change=_cancelled, now_ms=0)
        store.add_job(JobKind.MAIL_CANCELLED, begun.booking_id, 0)
    store.close()
    connected = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async def run() -> None:
        async with scripted(hang) as mail_port:
            mail = {"smtp_host": "127.0.0.1", "smtp_port": mail_port, "security": "none", "sender": "tours@example.com"}
            async with Desk(settings(tmp_path, mail=mail)) as desk:
                await asyncio.wait_for(connected.wait(), LIMIT_S)
                await asyncio.sleep(0.2)
                for _ in range(3):
                    assert (await ask(desk.address[1], "/healthz"))[0] == 200

    asyncio.run(run())


def test_fail__many_slow_calls_leave_threads_for_pages(tmp_path: Path) -> None:
    """Sixteen calls that wait for a disk are under way, and a page that needs the store answers."""
    disk = threading.Event()

    async def play(port: int) -> None:
        slow = [asyncio.create_task(asyncio.to_thread(disk.wait, LIMIT_S * 2)) for _ in range(16)]
        try:
            await asyncio.sleep(0.1)
            assert (await ask(port, "/healthz"))[0] == 200
        finally:
            disk.set()
            await asyncio.gather(*slow)

    serving(settings(tmp_path), play)

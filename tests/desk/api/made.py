"""What the API's tests are made with: a desk's API on loopback over a real store, in a thread of its own, and clients of it."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from agent.core import signature
from agent.core.codes import PublicKey
from agent.core.tour import Standing, Window
from agent.desk.api import Api
from agent.desk.guard import Guard, with_head
from agent.desk.office import Office
from agent.desk.records import Appointment, DoorAccess
from agent.desk.secrets import Secrets, new_token, token_hash
from agent.desk.store import DeskStore
from agent.desk.store import roster as rows
from agent.knock import Knock
from agent.listener import Listener
from agent.settings.desk import DeskSettings
from agent.settings.parts import validate
from agent.web import Answer, Call, build

SECRET = b"a secret of the desk, thirty-two characters and more"
SEED = bytes(range(32))
KEY = PublicKey(signature.public_key(SEED))
NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PATIENCE_S = 10.0

WRITTEN: dict[str, Any] = {
    "public_url": "https://tours.example.com",
    "knock": {"base_url": "http://127.0.0.1:9"},  # nothing here asks Knock
    "community": [
        {
            "id": community_id,
            "slug": slug,
            "name": slug.capitalize(),
            "time_zone": "America/Los_Angeles",
            "address": "12 Juniper Street",
            "units": ["101", "305"],
            "door": [{"name": "front", "label": "Main entrance"}, {"name": "gym", "units": ["305"]}],
        }
        for community_id, slug in (("1001", "juniper"), ("1002", "maple"))
    ],
}


class Site:
    """One desk process, but for its pages; several may stand on one folder. `url` is where it listens."""

    def __init__(self, folder: Path, *, now_ms: Callable[[], int] = lambda: NOW_MS) -> None:
        self.now_ms = now_ms
        self._folder = folder
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), name="desk")
        self._thread.start()
        assert self._started.wait(PATIENCE_S)

    def close(self) -> None:
        """Stop as the desk does: held requests first."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self.store.close()

    def door(self, door: str = "front", community_id: str = "1001", token_id: str | None = None) -> str:
        """A token for a door."""
        token = new_token()
        access = DoorAccess(token_id or token[:8], community_id, door, NOW_MS, None, None, None, "")
        self.store.new_door(access, token_hash(token))
        return token

    def vendor(self, *community_ids: str, name: str = "A Website") -> str:
        """A token for a vendor."""
        token = new_token()
        self.store.new_vendor(name, token_hash(token), community_ids or ("1001",))
        return token

    def client(self, token: str | None = None) -> httpx.Client:
        """A client that shows a token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, verify=NO_TLS, timeout=60)

    def until(self, claim: Callable[[], bool]) -> None:
        """Wait for what happens in another thread."""
        deadline = time.monotonic() + PATIENCE_S
        while not claim():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)

    async def _serve(self) -> None:
        settings = validate(DeskSettings, WRITTEN)
        assert isinstance(settings, DeskSettings), settings
        self.store = DeskStore.open(self._folder / "desk.db")
        knock = Knock(settings.knock, prospect_key="key", appointment_key="key", version="0")
        self.office = Office(settings, self.store, knock, Secrets(SECRET), SEED, KEY.key_id, now_ms=self.now_ms, wake=self._wake)
        self.api = Api(self.office, now_ms=self.now_ms)
        guard = Guard(settings, _page)
        listener = Listener(build(with_head(self.api.routes()), guard.refuse, guard.around), "127.0.0.1", 0)
        await listener.start()
        running = asyncio.create_task(self.api.run())
        self.url = "http://{}:{}".format(*listener.address)
        self._started.set()
        await self._ended.wait()
        self.api.close()
        await listener.drain(PATIENCE_S)
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await listener.stop()
        await knock.close()

    def _wake(self) -> None:
        self.api.look()


def _page(_call: Call, status: int, words: str, _is_unrouted: bool) -> Answer:
    return Answer(status, words.encode(), "text/plain")


def appointment(number: int = 1, **changes: Any) -> Appointment:  # noqa: ANN401 - any field
    """Appointment `number`, confirmed, for the front door."""
    facts: dict[str, Any] = {
        "appointment_id": f"a{number}",
        "booking_id": None,
        "community_id": "1001",
        "prospect_id": f"p{number}",
        "standing": Standing.CONFIRMED,
        "code_id": f"{number:012x}",
        "key_id": KEY.key_id,
        "doors": ("front",),
        "unit_names": ("101",),
        "window": Window(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS),
        "source_title": "Zumper",
        "pin_attempt": 0,
        "revision": 0,
        "first_name": "Secretname",
    }
    return Appointment(**(facts | changes))


def pins(number: int, *doors: str) -> dict[str, str]:
    """A PIN's hashes at the doors."""
    return dict.fromkeys(doors or ("front",), f"{number:032x}")


def put(store: DeskStore, number: int = 1, **changes: Any) -> Appointment:  # noqa: ANN401 - any field
    """Write appointment `number` with a PIN."""
    made = appointment(number, **changes)
    return store.put_appointment(made, pins(number, *made.doors), NOW_MS)


def put_many(store: DeskStore, numbers: range) -> None:
    """Write appointments without PINs, in one transaction, which spares a sync for each."""
    with store._file.writing() as db:
        for number in numbers:
            rows.put(db, appointment(number), None, NOW_MS, None)


def body(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """What a vendor sends."""
    return {
        "community_id": "1001",
        "prospect_id": "5550001",
        "start": "2027-01-15T10:00:00-08:00",
        "end": "2027-01-15T10:30:00-08:00",
        "unit_names": ["101"],
        "source_title": "Zumper",
        "first_name": "Ada",
    } | changes

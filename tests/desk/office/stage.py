"""What the tests of the office are made with: the sandbox as Knock, a real store, a clock that stands, any number of offices."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Coroutine, Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from agent.core import codes, signature
from agent.core.booking import FreeTimes, Person
from agent.core.codes import PublicKey
from agent.core.replay import Refused, TryAgain
from agent.core.tour import TourCode, Window
from agent.desk.office import BookingForm, Office, Pass
from agent.desk.office.queue import Letters, Post, Queue
from agent.desk.records import Appointment, Booking
from agent.desk.secrets import Secrets
from agent.desk.store import DeskStore
from agent.knock import Knock
from agent.sandbox.settings import Community, SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox
from agent.settings.desk import CommunitySettings, DeskSettings
from agent.settings.parts import validate

T = TypeVar("T")
NOON = datetime(2026, 6, 1, 19, 0, tzinfo=UTC)
"""Noon at Juniper Flats, a Monday."""
NOON_MS = round(NOON.timestamp() * 1000)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
FIRST_MS = NOON_MS + 30 * MINUTE_MS
"""The first free start."""
SECRET = b"a secret of the desk, thirty-two characters and more"
SEED = bytes(range(32))
KEY = PublicKey(signature.public_key(SEED))
ADA = Person("Ada", "Lovelace", "ada@example.com", "+13105550100")
BEN = Person("Ben", "Britten", "ben@example.com", "+13105550101")
MAIL = {"smtp_host": "127.0.0.1", "security": "none", "sender": "tours@example.com"}
UNITS = ("101", "204 B", "305")


def slot(number: int) -> int:
    """The start of the `number`-th free time, from 0."""
    return FIRST_MS + number * 30 * MINUTE_MS


def form(submission: str = "form-1", number: int = 0, person: Person = ADA, **other: Any) -> BookingForm:  # noqa: ANN401 - any field
    """A registration for the `number`-th free time."""
    window = Window(slot(number), slot(number) + 30 * MINUTE_MS)
    return replace(BookingForm(submission, window, person, None, "en", "A Website", ("101",)), **other)


class LateKnock(Knock):
    """Looks at the free times only when it is let go; `has_come` once somebody waits for that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as Knock takes them
        super().__init__(*args, **kwargs)
        self.has_come, self.may_look = asyncio.Event(), asyncio.Event()

    async def free_times(self, community_id: str) -> FreeTimes | Refused | TryAgain:
        """Wait, then ask."""
        self.has_come.set()
        await self.may_look.wait()
        return await super().free_times(community_id)


class Stage:
    """One sandbox and one store; `office` is the first of the offices. Call `close` at the end.

    `total_s` is a request's longest time, after twice which nobody can be asking any more.
    """

    def __init__(
        self,
        folder: Path,
        *,
        units: tuple[str, ...] = UNITS,
        secrets: Secrets | None = None,
        total_s: float = 10.0,
        **settings: Any,  # noqa: ANN401 - tables of the file
    ) -> None:
        self._stack = ExitStack()
        self._knocks: list[Knock] = []
        self.runner = self._stack.enter_context(asyncio.Runner())
        self.now_ms = NOON_MS
        communities = (Community(id="1001", name="Juniper Flats", time_zone="America/Los_Angeles", units=UNITS),)
        knock = SandboxSettings(port=0, admin_port=0, communities=communities)
        self.sandbox = self._stack.enter_context(ThreadedSandbox(knock, clock=self._now))
        made = validate(DeskSettings, _written(self.sandbox.url, units, total_s) | settings)
        assert isinstance(made, DeskSettings), made
        self.settings = made
        self.community: CommunitySettings = made.community[0]
        self.path = folder / "desk.db"
        self.store = self.opened()
        self.secrets = secrets or Secrets(SECRET)
        self.given_up_ms = round(2 * total_s * 1000) + 1
        self.wakes = 0
        self.office = self.another()

    def opened(self) -> DeskStore:
        """The store once more, as another process has it."""
        store = DeskStore.open(self.path)
        self._stack.callback(store.close)
        return store

    def another(self, store: DeskStore | None = None, kind: type[Knock] = Knock) -> Office:
        """One more office, by default on the first one's store."""
        knock = kind(
            self.settings.knock,
            prospect_key="syndication-prospect-TEST-KEY",
            appointment_key="syndication-appointment-TEST-KEY",
            version="0",
        )
        self._knocks.append(knock)
        return Office(
            self.settings, store or self.store, knock, self.secrets, SEED, KEY.key_id, now_ms=lambda: self.now_ms, wake=self._woken
        )

    def queue(self, post: Post | None = None, letters: Letters | None = None) -> Queue:
        """A queue of the first office, without jitter."""
        return Queue(self.office, post, letters, chance=lambda: 0.5)

    def close(self) -> None:
        """End all of it."""
        for knock in self._knocks:
            self.runner.run(knock.close())
        self._stack.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end."""
        return self.runner.run(work)

    def book(self, *args: Any, **other: Any) -> Booking:  # noqa: ANN401 - as `form` takes them
        """Book what `form` makes."""
        return self.run(self.office.book(self.community, form(*args, **other)))

    def move(self, booking: Booking, number: int) -> Booking:
        """Move a booking to the `number`-th free time."""
        return self.run(self.office.move(booking.booking_id, slot(number), f"move-{number}"))

    def held(self, booking: Booking) -> Pass:
        """The pass of a booking that must have one."""
        found = self.run(self.office.pass_for(booking))
        assert found is not None
        return found

    def code(self, held: Pass) -> TourCode:
        """The code as a door reads it, with the public key alone."""
        read = codes.read(held.code_text.encode("ascii"), codes.keyring([KEY]))
        assert isinstance(read, TourCode), read
        return read

    def row(self, booking: Booking) -> Booking:
        """The booking as the store has it."""
        found = self.store.booking(booking.booking_id)
        assert found is not None
        return found

    def entry(self, appointment_id: str | None) -> Appointment:
        """The appointment as the store has it."""
        found = self.store.appointment(appointment_id or "")
        assert found is not None
        return found

    def live(self, door: str = "front") -> dict[str, str | None]:
        """Live code ids with the PIN's hash, as the door hears of them."""
        entries, _, _ = self.store.roster_page("1001", door, 0, 1000)
        return {entry.code_id: pin for entry, pin in entries if entry.standing.value == "confirmed"}

    def fault(self, route: str, kind: str, **facts: Any) -> None:  # noqa: ANN401 - the fault's own
        """Something goes wrong at Knock for the next hundred requests of a route, unless it is said how many."""
        counted = {} if route == "*" else {"count": 100}
        self._admin("PUT", f"/faults/{route}", {"kind": kind, **counted, **facts})

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self._admin("DELETE", "/faults")

    def struck(self, route: str = "request") -> int:
        """How many requests the fault of a route befell."""
        fault = self.knows()["faults"][route]
        return int(fault["count"]) - int(fault["left"])

    def received(self, route: str = "request") -> list[dict[str, Any]]:
        """The requests that Knock accepted."""
        found: list[dict[str, Any]] = self._admin("GET", f"/received?route={route}")
        return found

    def knows(self) -> dict[str, Any]:
        """Knock's whole state."""
        found: dict[str, Any] = self._admin("GET", "/state")
        return found

    def in_knock(self, status: str = "CONFIRMED") -> set[str]:
        """Ids of Knock's appointments with a status."""
        return {entry["id"] for entry in self.knows()["appointments"] if entry["status"] == status}

    def _now(self) -> datetime:
        return NOON + timedelta(milliseconds=self.now_ms - NOON_MS)

    def _woken(self) -> None:
        self.wakes += 1

    def _admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.sandbox.admin_url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            return json.loads(answer.read())


def texts(values: Iterable[object]) -> str:
    """Everything as one text, to look for what must not be in it."""
    return "\n".join(f"{value!r} {value}" for value in values)


def _written(url: str, units: tuple[str, ...], total_s: float) -> dict[str, Any]:
    places = [{"name": "front"}, *([{"name": "annex", "units": ["305"]}] if units else [])]
    community = {
        "id": "1001",
        "slug": "juniper-flats",
        "name": "Juniper Flats",
        "time_zone": "America/Los_Angeles",
        "address": "12 Juniper Street",
        "units": list(units),
        "door": places,
    }
    return {
        "public_url": "https://tours.example.com",
        "knock": {"base_url": url, "total_timeout_s": total_s},
        "community": [community],
    }

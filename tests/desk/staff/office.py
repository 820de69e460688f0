"""A website with its staff's pages: real HTTP, store, office and sandbox, and a browser that keeps the one cookie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx

from agent.core import signature
from agent.core.booking import BookingState, Person
from agent.core.tour import Window
from agent.desk import staff_accounts
from agent.desk.guard import Guard, with_head
from agent.desk.office import BookingForm, Office
from agent.desk.pages.routes import PublicPages
from agent.desk.pages.staff import StaffPages
from agent.desk.pages.staff_session import COOKIE
from agent.desk.records import Admission, Booking, DoorAccess, JobKind
from agent.desk.secrets import Secrets, token_hash
from agent.knock import Knock
from agent.listener import Listener
from agent.web import build
from tests.desk.pages.page import Form, Page
from tests.desk.pages.site import _RENDERER, _SEED, HOUR_MS, MINUTE_MS, NOON_MS, SECRET, Site

NAME, PASSWORD = "marta", "a long password of Marta's"
DOOR_TOKEN = "a door's token"
MAIL = {"smtp_host": "127.0.0.1", "security": "none", "sender": "tours@example.com"}
PLACE = "/staff/at/juniper-flats"
FIRST_MS = NOON_MS + 30 * MINUTE_MS
"""The first free start, today at half past twelve."""


class StaffSite(Site):
    """`login` first; after that `get` and `send` carry the session."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - tables of the file
        self.accounts = folder / "staff"
        staff_accounts.add(self.accounts, NAME, PASSWORD)
        self.cookie = ""
        tables: dict[str, Any] = {"staff": {"accounts_file": str(self.accounts), "session_hours": 8}, "mail": MAIL} | settings
        super().__init__(folder, **tables)

    def login(self, name: str = NAME, password: str = PASSWORD) -> httpx.Response:
        """Send the log-in form, and keep the cookie that comes back."""
        self.cookie = ""
        form = self.get("/staff/login").form("Log in").put(name=name, password=password)
        answer = self.post(form)
        self.cookie = cookie_in(answer)
        return answer

    def get(self, path: str, status: int = 200, **headers: str) -> Page:
        """A page, asked for with the session."""
        return super().get(path, status, **self._with_session(headers))

    def post(self, form: Form, **headers: str) -> httpx.Response:
        """The bare answer to a form that is sent with the session."""
        return super().post(form, **self._with_session(headers))

    def bare(self, path: str, **headers: str) -> httpx.Response:
        """The bare answer to a path, asked for with the session."""
        raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in self._with_session(headers).items()]
        return self.client.get(path, headers=raw)

    def tour(self, booking: Booking) -> Page:
        """The staff's page of a booking."""
        return self.get(f"{PLACE}/tour/{booking.booking_id}")

    def booked(self, number: int = 0, first_name: str = "Ada", *, units: tuple[str, ...] = ("101",), email: str = "") -> Booking:
        """A tour at the `number`-th half hour from half past twelve on, booked as a prospect would."""
        start_ms = FIRST_MS + number * 30 * MINUTE_MS
        person = Person(first_name, "Lovelace", email or f"p{number}@example.com", f"+1310555{number:04}")
        form = BookingForm(
            f"form-{number}-{first_name}", Window(start_ms, start_ms + 30 * MINUTE_MS), person, None, "en", "A Website", units
        )
        made: Booking = self.run(self.office.book(self.settings.community[0], form))
        return made

    def unknown(self, number: int = 0, first_name: str = "Ada") -> Booking:
        """A tour of which nobody knows whether Knock has it."""
        self.fault("request", "lost", count=1)
        made = self.booked(number, first_name)
        self.mend()
        assert made.state is BookingState.UNKNOWN, made.state
        return made

    def row(self, booking: Booking) -> Booking:
        """The booking as the store has it."""
        found = self.store.booking(booking.booking_id)
        assert found is not None
        return found

    def admit(self, booking: Booking, at_ms: int, door: str = "front") -> None:
        """A door told that it let the prospect in."""
        assert booking.appointment_id is not None
        self.store.add_admissions([Admission(booking.community_id, door, booking.appointment_id, at_ms)])

    def door(
        self, report: Mapping[str, Any] | None = None, *, seen_ms: int | None = None, door: str = "front", applied: int | None = None
    ) -> None:
        """A door with a token, and what it told last."""
        token_id = f"t{len(self.store.doors())}"
        self.store.new_door(DoorAccess(token_id, "1001", door, self.now_ms, None, None, None, ""), token_hash(DOOR_TOKEN + token_id))
        if seen_ms is not None:
            self.store.door_seen(token_id, seen_ms, applied, json.dumps(report or {}))

    def dead_job(self, kind: JobKind, subject: str, words: str = "the mail server refuses the address (550 5.1.1)") -> int:
        """A job that was given up."""
        from agent.core.replay import Mark, RowState

        self.store.add_job(kind, subject, self.now_ms)
        for job in self.store.due_jobs(self.now_ms, 100):
            if (job.kind, job.subject) == (kind, subject):
                self.store.finish_job(job.job_id, Mark(RowState.DEAD, job.attempts + 1, 0, self.now_ms, words))
                return job.job_id
        raise AssertionError("the job was not due")

    def later(self, hours: float) -> None:
        """Time passes."""
        self.now_ms += round(hours * HOUR_MS)

    def _with_session(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={self.cookie}", **headers} if self.cookie else dict(headers)

    async def _open(self) -> tuple[Office, str]:
        key = "syndication-appointment-TEST-KEY"
        knock = Knock(self.settings.knock, prospect_key="syndication-prospect-TEST-KEY", appointment_key=key, version="0")
        key_id = signature.key_id(signature.public_key(_SEED)).hex()
        office = Office(self.settings, self.store, knock, Secrets(SECRET), _SEED, key_id, now_ms=self._clock())
        pages = PublicPages(self.settings, office, _RENDERER, now_ms=self._clock())
        staff = StaffPages(self.settings, office, _RENDERER, now_ms=self._clock())
        guard = Guard(self.settings, staff.refusal(pages.refuse))
        routes = {**staff.routes(), **pages.routes()}
        listener = Listener(build(with_head(routes), guard.refuse, guard.around), "127.0.0.1", 0)
        await listener.start()

        async def end() -> None:
            await listener.stop()
            await office.finish()
            await knock.close()

        self._stack.callback(lambda: self.run(end()))
        return office, f"http://127.0.0.1:{listener.address[1]}"


def cookie_in(answer: httpx.Response) -> str:
    """The session's token in an answer's cookie; empty when there is none."""
    jar = SimpleCookie(answer.headers.get("set-cookie", ""))
    return jar[COOKIE].value if COOKIE in jar else ""


def rows(page: Page, section: int = 0) -> list[list[str]]:
    """The words of a table, by rows and cells."""
    table = page.main.all("table")[section]
    return [[cell.text for cell in row.all("td")] for row in table.one("tbody").all("tr")]

"""Who of the staff is at a page: logging in and out, and the proof that a form was sent from a page of theirs.

Rule 1: a session is a random token of 256 bits in one cookie; the store has only its hash, and ends it.
Rule 2: a wrong name and a wrong password are the same answer after the same work, and both are counted, by address and by name.
Rule 3: a few passwords are looked at at once, so that a burst of log-ins takes neither the processor nor all the threads.
Rule 4: nothing that a client sends decides where it is led after a log-in.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from agent.desk import staff_accounts
from agent.desk.office import Office
from agent.desk.pages.visitor import Visitor, is_from_here
from agent.desk.secrets import new_token, token_hash
from agent.errors import RefusedError
from agent.settings.desk import StaffSettings
from agent.web import Call

COOKIE = "tourlatch_staff"
NAME_TIMES = 10
"""A name may be tried so many times as often as an address may try: or one stranger could keep somebody out for an hour with ten tries."""

AT_ONCE = 2
"""So many passwords are looked at at once; the other log-ins wait their turn."""

_LIMIT = "wrong_logins"
_MOST_NAME = 100
_FORBIDDEN, _TOO_MANY = 403, 429
_MS_AN_HOUR = 3_600_000
_log = logging.getLogger("tourlatch")


@dataclass(frozen=True, slots=True)
class Member:
    """One of the staff at a page: the account's name, the session, and how the page speaks."""

    name: str
    session: str = field(repr=False)
    visitor: Visitor
    guard: str = field(repr=False)
    """What every form of this session carries."""


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(self, office: Office, staff: StaffSettings) -> None:
        self._office = office
        self._staff = staff
        self._looking = asyncio.Semaphore(AT_ONCE)

    async def member(self, call: Call, visitor: Visitor) -> Member | None:
        """Who is at the page; None without a session that goes on."""
        token = call.cookies.get(COOKIE, "")
        if not token:
            return None
        session = token_hash(token)
        name = await asyncio.to_thread(self._office.store.session, session, self._office.parts.now_ms())
        return None if name is None else Member(name, session, visitor, self._office.secrets.form_token(f"staff/{session}"))

    def check_form(self, call: Call, member: Member, guard: str) -> None:
        """Raise `RefusedError` unless the form was made for this session, and sent from here."""
        is_ours = self._office.secrets.is_form_token(guard, f"staff/{member.session}")
        if not is_ours or not is_from_here(call.headers, self._office.settings.public_url):
            raise RefusedError(_FORBIDDEN, "This form was not sent from here.")

    async def log_in(self, call: Call, name: str, password: str) -> str | None:
        """The cookie of a new session; None when name or password is wrong.

        Raises:
            RefusedError: 403 for a form from elsewhere, 429 after too many tries.
            ConfigError: the file of accounts cannot be used.
        """
        if not is_from_here(call.headers, self._office.settings.public_url):
            raise RefusedError(_FORBIDDEN, "This form was not sent from here.")
        name = name.strip().lower()
        counted = {f"address/{call.client}": 1, f"name/{name[:_MOST_NAME]}": NAME_TIMES}
        # both are counted, also when the first is too many already; and before the password is looked at, so that no burst gets by
        allowed = [await self._office.allow(_LIMIT, who, times=times) for who, times in counted.items()]
        if not all(allowed):
            _log.warning("staff_login_blocked")
            raise RefusedError(_TOO_MANY, "Too many tries.")
        async with self._looking:
            is_right = await asyncio.to_thread(staff_accounts.verify, self._staff.accounts_file, name, password)
        if not is_right:
            _log.warning("staff_login_refused")  # without the name: people type their password there
            return None
        for who in counted:
            await asyncio.to_thread(self._office.store.forgive, _LIMIT, self._office.secrets.who(_LIMIT, who))
        await self._end(call)
        token = new_token()
        ends_ms = self._office.parts.now_ms() + self._staff.session_hours * _MS_AN_HOUR
        await asyncio.to_thread(self._office.store.add_session, token_hash(token), name, ends_ms)
        _log.info("staff_login", extra={"facts": {"who": name}})
        return _cookie(token, self._staff.session_hours * 3600)

    async def log_out(self, call: Call, member: Member) -> str:
        """End the session here and in the browser."""
        await self._end(call)
        _log.info("staff_logout", extra={"facts": {"who": member.name}})
        return _cookie("", 0)

    async def _end(self, call: Call) -> None:
        """End the session that the browser had; a log-in never goes on with an old one."""
        token = call.cookies.get(COOKIE, "")
        if token:
            await asyncio.to_thread(self._office.store.end_session, token_hash(token))


def _cookie(token: str, seconds: int) -> str:
    return f"{COOKIE}={token}; Max-Age={seconds}; Path=/staff; Secure; HttpOnly; SameSite=Lax"

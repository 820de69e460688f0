"""`Knock`: each request is sent once, and comes back as an outcome.

Rule 1: nothing is repeated here. Who may ask again is told so: `TryAgain` means that Knock surely did nothing.
Rule 2: the key is in a header, and nowhere else: not in an error, a log or an address.
"""

from __future__ import annotations

from typing import Any

from agent.core.booking import BookingOutcome, BookingRequest, Done, FreeTimes
from agent.core.replay import Outcome, Refused, TryAgain, Unknown
from agent.core.tour import Visit
from agent.http import Answer, AnswerLostError, BadRequestError, HttpClient, NoConnectionError, Timeouts, in_path
from agent.knock.answers import Hidden, booking_outcome, cancel_outcome, free_times_outcome, prospect_outcome, visit_outcome
from agent.knock.bodies import booking_body, prospect_body, visit_body
from agent.settings.knock import KnockSettings


class Knock:
    """One client for the process; its methods may run many at once and never raise for what the net does.

    The appointment key serves free times, bookings and cancels, the prospect key prospects and visits (K: Knock publishes a test key
    for each). An agent has no appointment key, and only reports.
    """

    def __init__(self, settings: KnockSettings, *, prospect_key: str, appointment_key: str | None, version: str) -> None:
        self._prospect_key = prospect_key
        self._appointment_key = appointment_key or ""
        self._key_header = settings.key_header
        self._http = HttpClient(
            settings.base_url,
            headers={**settings.extra_headers, "User-Agent": f"tourlatch/{version}"},
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                read_s=settings.read_timeout_s,
                write_s=settings.write_timeout_s,
                total_s=settings.total_timeout_s,
            ),
            ca_file=settings.ca_file,
            max_answer_bytes=settings.max_answer_kb * 1024,
        )

    async def report(self, visit: Visit) -> Outcome:
        """Tell Knock of a visit. The idempotency key does no harm where Knock does not honour it."""
        key = self._prospect_key
        asked = await self._ask("POST", "/visit", key, body=visit_body(visit), idempotency_key=visit.visit_id)
        return visit_outcome(asked, Hidden(key)) if isinstance(asked, Answer) else asked

    async def free_times(self, community_id: str) -> FreeTimes | Refused | TryAgain:
        """The starts that Knock offers for self-guided tours, with the client's own preference applied (K). Asking again is harmless."""
        key = self._appointment_key
        asked = await self._ask("GET", f"/community/{in_path(community_id)}/available-times", key, query={"forSelfGuided": "true"})
        if isinstance(asked, Answer):
            return free_times_outcome(asked, Hidden(key))
        return TryAgain(asked.words) if isinstance(asked, Unknown) else asked

    async def book(self, request: BookingRequest, idempotency_key: str) -> BookingOutcome:
        """Ask for one self-guided tour. What comes back `Unknown` must not be asked again: that would cancel what was booked (K).

        Raises:
            ZoneInfoNotFoundError: for a zone that is none (settings refuse one).
        """
        key = self._appointment_key
        asked = await self._ask("POST", "/appointment/request", key, body=booking_body(request), idempotency_key=idempotency_key)
        return booking_outcome(asked, Hidden(key, request.person)) if isinstance(asked, Answer) else asked

    async def cancel(self, appointment_id: str) -> Done | Refused | TryAgain | Unknown:
        """Cancel an appointment (K for the request, T for its having no body). Asking again does no harm (I)."""
        key = self._appointment_key
        asked = await self._ask("PUT", f"/appointment/{in_path(appointment_id)}/cancel", key)
        return cancel_outcome(asked, appointment_id, Hidden(key)) if isinstance(asked, Answer) else asked

    async def prospect(self, request: BookingRequest) -> Done | Refused | TryAgain | Unknown:
        """The id of the person who asks: known by email or phone, or made (I: that a known one gets the same id)."""
        key = self._prospect_key
        asked = await self._ask("POST", "/prospect", key, body=prospect_body(request))
        return prospect_outcome(asked, Hidden(key, request.person)) if isinstance(asked, Answer) else asked

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def _ask(
        self,
        method: str,
        path: str,
        key: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer | TryAgain | Unknown:
        headers = {self._key_header: key}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if not key:
            return _not_made("no key")
        try:
            return await self._http.ask(method, path, json=body, query=query, headers=headers)
        except NoConnectionError as error:
            return TryAgain(f"no connection to Knock ({error})")
        except BadRequestError as error:
            return _not_made(str(error))
        except AnswerLostError as error:
            return Unknown(f"the answer was lost ({error})")


def _not_made(why: str) -> TryAgain:
    return TryAgain(f"the request could not be made ({why}): check the key file and extra_headers")

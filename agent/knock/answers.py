"""What an answer of Knock's means, for each of the five requests.

Knock answers a success with 200 and anything else is a failure with `errorMessage` (K for visits and prospects, I for the rest).
A gateway in front may answer 401, 403, 407 or 429 with `message`, or with no JSON at all (I).

Rule 1: a visit and a look at the free times may be repeated. A booking, a cancel and a prospect are different: unless it is sure that
        Knock did nothing, it may have done it, and the outcome is unknown.
Rule 2: words for people are printable and short, and hold neither the key nor the person, even where Knock repeats them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core.booking import BookingOutcome, Done, FreeTimes, Person
from agent.core.replay import Delivered, Outcome, Refused, TryAgain, Unknown
from agent.http import Answer, json_object, retry_after_s, words_of
from agent.knock.reading import Content, booked_of, first_id, id_of, inner, starts_of, status_of

_OK = 200
_KEY_REFUSED = frozenset({401, 403, 407})
"""The key or the gateway in front; a person mends it, and nothing that was asked is at fault (I)."""
_NOT_NOW = frozenset({425, 429})
"""Whoever answers so has not looked at the request (RFC 8470, RFC 6585)."""
_LATER = _NOT_NOW | {408, 500, 503}
"""For what may be repeated."""
_TIMED_OUT = 408
"""A gateway's word for a request that it did not see the end of: Knock may have seen it (I)."""
_REDIRECTED = range(300, 400)
_REFUSED = range(400, 500)
"""The rest of these. What is left (another 2xx, 502, 504 and their like) says nothing sure: a gateway may have lost the answer."""

_CANCELLED = frozenset({"CANCELLED", "CANCELED"})
_ALREADY_CANCELLED = re.compile(r"already (been )?cancell?ed", re.IGNORECASE)
"""How Knock may refuse a second cancel (I); then what was asked for is so."""

NO_VISIT_ID = "200, but without a visitId: something else than Knock may have answered"
NO_APPOINTMENT_ID = "200, but without an appointmentId: something else than Knock may have answered"
NO_PROSPECT_ID = "200, but without the prospect's id: something else than Knock may have answered"
NO_TIMES = "200, but without acceptableTimes: something else than Knock may have answered"
NO_BODY = "200, but the answer is compressed or longer than max_answer_kb"
NOT_CANCELLED = "200, but the answer does not say that the appointment is cancelled"


@dataclass(frozen=True, slots=True)
class Hidden:
    """What words must not hold: the key that the request carried, and the person whom it was about."""

    key: str = ""
    person: Person | None = None

    def patterns(self) -> list[re.Pattern[str]]:
        """How the person may stand in words: whole words in any case, and the phone number however it is written."""
        if self.person is None:
            return []
        names = [name for name in (self.person.email, self.person.first_name, self.person.last_name) if name.strip()]
        found = [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in names]
        digits = [letter for letter in self.person.phone if letter.isdecimal()][-10:]
        return found + ([re.compile(r"\D{0,3}".join(digits))] if digits else [])


def visit_outcome(answer: Answer, hidden: Hidden = Hidden()) -> Outcome:
    """What an answer to a visit means. A time that is future for Knock is tried again: the clocks differ, and later it is past."""
    content = json_object(answer.body)
    if answer.status == _OK:
        visit_id = id_of(content.get("visitId"))
        return Unknown(NO_VISIT_ID) if visit_id is None else Delivered(visit_id)
    failed = _failure(answer, content, hidden, later=_LATER)
    if isinstance(failed, Refused) and _is_about_future(content):
        return TryAgain(failed.words, is_link=False)
    return failed


def free_times_outcome(answer: Answer, hidden: Hidden = Hidden()) -> FreeTimes | Refused | TryAgain:
    """The free times, or why there are none; whatever went wrong, asking again is harmless."""
    content = json_object(answer.body)
    if answer.status != _OK:
        failed = _failure(answer, content, hidden, later=_LATER)
        return TryAgain(failed.words, retry_after_s(answer.retry_after)) if isinstance(failed, Unknown) else failed
    if answer.body is None:
        return TryAgain(NO_BODY)
    entries = content.get("acceptableTimes")
    if not isinstance(entries, list):
        return TryAgain(NO_TIMES)
    starts_ms = starts_of(entries)
    if entries and not starts_ms:
        return TryAgain(f"200, but none of the {len(entries)} acceptableTimes is a time with an offset from UTC", is_link=False)
    return FreeTimes(starts_ms)


def booking_outcome(answer: Answer, hidden: Hidden = Hidden()) -> BookingOutcome:
    """What became of a booking: an appointment, a refusal, surely nothing, or nobody knows."""
    content = json_object(answer.body)
    if answer.status != _OK:
        return _failure(answer, content, hidden, later=_NOT_NOW)
    return booked_of(content) or Unknown(NO_BODY if answer.body is None else NO_APPOINTMENT_ID)


def cancel_outcome(answer: Answer, appointment_id: str, hidden: Hidden = Hidden()) -> Done | Refused | TryAgain | Unknown:
    """Whether the appointment is cancelled: `appointment.status` says so (T), or the answer names the appointment with no status (I)."""
    content = json_object(answer.body)
    if answer.status != _OK:
        failed = _failure(answer, content, hidden, later=_NOT_NOW)
        return Done() if isinstance(failed, Refused) and _ALREADY_CANCELLED.search(failed.words) else failed
    appointment = inner(content, "appointment")
    named = first_id(content.get("appointmentId"), appointment.get("id"), appointment.get("appointmentId"), content.get("id"))
    has_status = "status" in appointment or "status" in content
    is_done = status_of(content).upper() in _CANCELLED if has_status else named is not None
    return Done() if is_done and named in (None, appointment_id) else Unknown(NO_BODY if answer.body is None else NOT_CANCELLED)


def prospect_outcome(answer: Answer, hidden: Hidden = Hidden()) -> Done | Refused | TryAgain | Unknown:
    """The prospect's id: `id` (K), else `prospectId` or `prospect.id` (I)."""
    content = json_object(answer.body)
    if answer.status != _OK:
        return _failure(answer, content, hidden, later=_NOT_NOW)
    prospect_id = first_id(content.get("id"), content.get("prospectId"), inner(content, "prospect").get("id"))
    return Unknown(NO_BODY if answer.body is None else NO_PROSPECT_ID) if prospect_id is None else Done(prospect_id)


def _failure(answer: Answer, content: Content, hidden: Hidden, *, later: frozenset[int]) -> Refused | TryAgain | Unknown:
    """What any status but 200 means; `later` are those after which the request may be sent again."""
    status = answer.status
    words = f"{status}: {words_of(content, hidden.key, hidden.patterns())}"
    if status in later:
        return TryAgain(words, retry_after_s(answer.retry_after))
    if status in _KEY_REFUSED:
        return TryAgain(f"{words} (Knock or a gateway does not accept the key: check the key files and key_header)")
    if status in _REDIRECTED:
        return TryAgain(f"{status}: redirected; check base_url, or the site's network asks for a log-in")
    if status not in _REFUSED or status == _TIMED_OUT:
        return Unknown(words)
    if content.get("errorMessage"):
        return Refused(words)
    # somebody else has answered: a gateway, or whoever is at a wrong base_url
    return TryAgain(f"{words} (not in Knock's form: check base_url)")


def _is_about_future(content: Content) -> bool:
    """Whether Knock calls the visitTime future (I: the wording)."""
    text = words_of(content).lower().replace(" ", "")
    return "visittime" in text and ("future" in text or "past" in text)

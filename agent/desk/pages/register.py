"""The registration: a form that is checked, that loses nothing, and that books once.

Rule 1: the form's token is made here and bound to the property; the office books once for it, however often the form comes. A page that a
        browser shows again and that is sent with something else gets a new token, and nothing of the first booking.
Rule 2: what was typed comes back in the page, never in an address, a log or a cookie.
Rule 3: after a success the browser is sent on (303), so that a reload asks for a page and books nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.core.booking import BookingState, Person, SmsConsent
from agent.core.tour import MAX_UNITS, Window
from agent.desk import people
from agent.desk.office import BookingForm, NotDoneError, Problem, Trouble
from agent.desk.pages import wording
from agent.desk.pages.frame import BAD_REQUEST, CONFLICT, FORBIDDEN, NOT_FOUND, TOO_MANY, UNAVAILABLE, Frame
from agent.desk.pages.visitor import Visitor, is_from_here, start_of
from agent.desk.pages.wording import N_
from agent.desk.secrets import new_token
from agent.errors import RefusedError
from agent.settings.desk import CommunitySettings
from agent.web import Answer, Call, Handler, see_other

OTHER_TIMES = 12
"""So many free times are offered when the chosen one is gone."""

_MINUTE_MS = 60_000
_GONE = N_("This time has just been taken. Please choose another below. What you typed is still here.")
_NOT_ACCEPTED = N_("The property could not accept this request. Please check what you typed, choose a time again, or call.")
_UNREACHED = N_(
    "The booking system cannot be reached right now, and nothing was booked. What you typed is still here: please press the button again "
    "in a minute. It books only once, however often you press."
)
_TOO_MANY = N_("There were too many bookings from your connection. What you typed is still here: please try again in an hour, or call.")
_NOT_OURS = N_(
    "This form did not come as our page sends it, and nothing was booked. What you typed is still here: please press the button again."
)
_USED = N_("This page was used for another booking already, and nothing was booked now. Please check what you typed and press again.")
_PAST = N_("This time has passed. Please choose another.")


@dataclass(frozen=True, slots=True)
class Typed:
    """A form as it was sent, or as it is shown at first. Never printed."""

    submission: str = field(repr=False)
    start: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    units: tuple[str, ...] = ()
    is_consenting: bool = False
    guard: str = field(default="", repr=False)
    is_changing: bool = False
    """Nothing is to be booked: another time is wished for."""

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> Typed:
        """Out of a form's fields; the last of several with one name counts, and only units come several times."""
        last = dict(pairs)
        return cls(
            submission=last.get("submission", ""),
            start=last.get("start", ""),
            fields={name: last.get(name, "") for name in people.FIELDS},
            units=tuple(dict.fromkeys(value for name, value in pairs if name == "unit")),
            is_consenting=last.get("sms_consent") == "yes",
            guard=last.get("guard", ""),
            is_changing="change" in last,
        )

    def anew(self) -> Typed:
        """The same for another try, which books again."""
        return replace(self, submission=new_token())


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why a form comes back: the sentence, in English, and the status; `is_time` when another time must be chosen."""

    words: str
    status: int
    is_time: bool = False


_CHANGE = _Trouble("", 200, is_time=True)
_TAKEN = _Trouble(_GONE, CONFLICT, is_time=True)
_TROUBLES = {
    Problem.UNREACHED: _Trouble(_UNREACHED, UNAVAILABLE),
    Problem.TOO_MANY: _Trouble(_TOO_MANY, TOO_MANY),
    Problem.BUSY: _Trouble(wording.not_done_words(Problem.BUSY), UNAVAILABLE),
    Problem.FORM_USED: _Trouble(_USED, CONFLICT),
}
_NEED_A_NEW_TOKEN = {_TAKEN, _TROUBLES[Problem.FORM_USED]}


class RegisterPages:
    """`/{slug}/register`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {"/{slug}/register": {"GET": self._show, "POST": self._take}}

    async def _show(self, call: Call) -> Answer:
        community, visitor = self._named(call), self._frame.visitor(call)
        text = call.query.get("start", "")
        start_ms = start_of(text)
        if start_ms is None:
            title, words = wording.refusal_words(BAD_REQUEST) if text else (N_("Choose a time first"), N_("Please start with a free time."))
            return self._frame.message(visitor, community, title, words, status=BAD_REQUEST, link=_to_times(community))
        if start_ms <= self._frame.now_ms():
            return self._frame.message(visitor, community, N_("This time has passed"), _PAST, status=CONFLICT, link=_to_times(community))
        return await self._form(visitor, community, Typed(new_token(), text), self_query={"start": text})

    async def _take(self, call: Call) -> Answer:
        community, visitor = self._named(call), self._frame.visitor(call)
        if not is_from_here(call.headers, self._frame.settings.public_url):
            raise RefusedError(FORBIDDEN, "This form was not sent from here.")
        typed = Typed.of(await call.form())
        if not self._frame.office.secrets.is_form_token(typed.guard, _purpose(community, typed)):
            return await self._form(visitor, community, typed.anew(), _Trouble(_NOT_OURS, FORBIDDEN))
        if typed.is_changing:
            return await self._form(visitor, community, typed, _CHANGE)
        start_ms = start_of(typed.start)
        problems, person = self._check(community, typed)
        if start_ms is None or start_ms <= self._frame.now_ms():
            words = N_("Please choose one of the times.") if start_ms is None else _PAST
            return await self._form(visitor, community, typed, _Trouble(words, CONFLICT, is_time=True), problems=problems)
        if problems or person is None:
            return await self._form(visitor, community, typed, problems=problems)
        return await self._book(call, community, typed, person, start_ms)

    def _check(self, community: CommunitySettings, typed: Typed) -> tuple[dict[str, tuple[str, Mapping[str, object]]], Person | None]:
        """What is wrong by field, as a sentence and its values; and the person, when nothing of theirs is."""
        problems: dict[str, tuple[str, Mapping[str, object]]] = {}
        found = people.person(typed.fields, community.country)
        if isinstance(found, people.Problems):
            problems = {name: wording.field_words(name, problem) for name, problem in found.by_field.items()}
        if len(typed.units) > MAX_UNITS or not set(typed.units) <= set(community.units):
            problems["unit"] = (wording.UNITS_WRONG, {})
        return problems, found if isinstance(found, Person) else None

    async def _book(self, call: Call, community: CommunitySettings, typed: Typed, person: Person, start_ms: int) -> Answer:
        visitor = self._frame.visitor(call)
        form = BookingForm(
            submission=typed.submission,
            window=Window(start_ms, start_ms + community.tour_min * _MINUTE_MS),
            person=person,
            sms_consent=self._consent(visitor, community, typed),
            language=visitor.language.code,
            source_title=visitor.source_title(community),
            unit_names=typed.units,
        )
        try:
            booking = await self._frame.office.book(community, form, client=call.client)
        except NotDoneError as error:
            trouble = _TROUBLES.get(error.problem, _TAKEN)
            return await self._form(visitor, community, typed.anew() if trouble in _NEED_A_NEW_TOKEN else typed, trouble)
        if booking.state is BookingState.UNSENT:
            return await self._form(visitor, community, typed, _TROUBLES[Problem.UNREACHED])
        if booking.state is BookingState.REFUSED:
            return await self._form(visitor, community, typed.anew(), _TAKEN)
        return see_other(visitor.link(f"/tour/{self._frame.office.manage_token(booking)}"))

    def _consent(self, visitor: Visitor, community: CommunitySettings, typed: Typed) -> SmsConsent | None:
        wording_shown, _ = consent_wording(visitor, community)
        page_url = f"{self._frame.settings.public_url}/{community.slug}/register"
        return SmsConsent(typed.is_consenting, wording_shown, page_url) if wording_shown else None

    async def _form(
        self,
        visitor: Visitor,
        community: CommunitySettings,
        typed: Typed,
        trouble: _Trouble | None = None,
        *,
        problems: Mapping[str, tuple[str, Mapping[str, object]]] | None = None,
        self_query: Mapping[str, str] | None = None,
    ) -> Answer:
        """The form, with what is wrong and, when the time is, with other free times."""
        offered: tuple[int, ...] = ()
        if trouble is not None and trouble.is_time:
            trouble, offered = await self._offer(community, typed, trouble)
        consent, consent_language = consent_wording(visitor, community)
        say = visitor.language.say
        return self._frame.page(
            "register.html",
            visitor,
            community,
            status=trouble.status if trouble else BAD_REQUEST if problems else 200,
            self_path=f"/{community.slug}/register" if self_query else "",
            self_query=self_query,
            typed=typed,
            guard=self._frame.office.secrets.form_token(_purpose(community, typed)),
            start_ms=start_of(typed.start),
            trouble=say(trouble.words) if trouble and trouble.words else "",
            is_time_wrong=trouble is not None and trouble.is_time,
            offered=offered,
            problems={name: say(words) % values for name, (words, values) in (problems or {}).items()},
            labels={name: say(label) for name, label in wording.LABELS.items()},
            longest=people.LONGEST,
            consent=consent,
            consent_language=consent_language,
        )

    async def _offer(self, community: CommunitySettings, typed: Typed, trouble: _Trouble) -> tuple[_Trouble, tuple[int, ...]]:
        """The free times next to the wish; and what the trouble is, since a time that is still free was refused for something else."""
        found = await self._frame.office.free_times(community)
        if isinstance(found, Trouble):
            return trouble, ()
        wish_ms = start_of(typed.start) or self._frame.now_ms()
        if trouble.words == _GONE and wish_ms in found.starts_ms:
            trouble = replace(trouble, words=_NOT_ACCEPTED)
        later = [start_ms for start_ms in found.starts_ms if start_ms >= wish_ms][:OTHER_TIMES]
        earlier = [start_ms for start_ms in found.starts_ms if start_ms < wish_ms][: OTHER_TIMES - len(later)]
        return trouble, tuple(earlier + later)

    def _named(self, call: Call) -> CommunitySettings:
        community = self._frame.community(call)
        if community is None:
            raise RefusedError(NOT_FOUND, "Not Found")
        return community


def consent_wording(visitor: Visitor, community: CommunitySettings) -> tuple[str, str]:
    """The wording of the consent to texts, and the language that it is in; empty when it is not asked."""
    if visitor.language.code.split("-")[0] == "es" and community.sms_consent_es:
        return community.sms_consent_es, "es"
    return community.sms_consent, "en"


def _purpose(community: CommunitySettings, typed: Typed) -> str:
    return f"register/{community.id}/{typed.submission}"


def _to_times(community: CommunitySettings) -> tuple[str, str]:
    return f"/{community.slug}/times", N_("See free times")

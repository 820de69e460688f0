"""Bookings: begun once per submission, settled once, and everything that follows in the same transaction."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.booking import BookingState, SmsConsent
from agent.core.tour import Standing
from agent.desk.records import Booking, JobKind
from agent.desk.store import BusyError, DeskStore, PinTakenError, StateError, Turn
from tests.desk.store.made import (
    ASKING,
    HOUR_MS,
    T0_MS,
    appointment,
    booking,
    confirm,
    everything,
    new_store,
    opened,
    pins,
    together,
    window,
)

CONFIRMED = frozenset({BookingState.CONFIRMED})

BEGIN = """
from dataclasses import replace
number = int(sys.argv[2])
there, is_ours = store.begin(booking(number, submission="the same"))
print(there.booking_id, is_ours)
"""
TAKE_OVER = """
there, is_ours = store.begin(booking(int(sys.argv[2]), submission="submission-1"))
print(there.booking_id, is_ours)
"""
SETTLE = """
won = []
for number in range(1, 21):
    try:
        store.settle(f"{number:016x}", expected=ASKING, now_ms=T0_MS, jobs=[(JobKind.MAIL_CONFIRMED, f"{number:016x}")],
            change=lambda found: replace(found, state=BookingState(sys.argv[2])))
        won.append(number)
    except StateError:
        pass
print(*won)
"""


def test_ok__a_booking_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every field survives, with and without the ones that may be missing."""
    whole = booking(
        1,
        sms_consent=SmsConsent(is_given=True, wording="¿Le escribimos?", page_url="https://tours.example/x"),
        unit_names=("204 B", "Ático"),
        appointment_id="a1",
        prospect_id="p1",
        moving_to=window(5),
        move_state=BookingState.UNKNOWN,
        moving_appointment_id="a2",
        moving_turn=7,
        words="Knock did not answer.",
        left_ms=T0_MS + 5,
    )
    bare = booking(2, sms_consent=None, unit_names=(), source_title="")
    with opened(tmp_path / "desk.db") as store:
        assert store.begin(whole) == (whole := replace(whole, asked_turn=1), True)
        assert store.begin(bare) == (bare := replace(bare, asked_turn=2), True)
        assert store.booking(whole.booking_id) == store.by_submission("submission-1") == whole
        assert store.booking(bare.booking_id) == bare
        assert store.booking("0" * 16) is store.by_submission("another") is None


def test_ok__a_submission_is_begun_once(tmp_path: Path) -> None:
    """A double click gets the row that is there, and is told that it is not the one to ask Knock."""
    with opened(tmp_path / "desk.db") as store:
        store.begin(booking(1))
        again = booking(2, submission="submission-1", window=window(9))
        assert store.begin(again) == (booking(1, asked_turn=1), False)
        confirm(store, 1, begin=False)
        there, is_ours = store.begin(again)
        assert (there.booking_id, there.state, is_ours) == (booking(1).booking_id, BookingState.CONFIRMED, False)
        assert store.booking(again.booking_id) is None


def test_ok__two_processes_begin_one_submission_once(tmp_path: Path) -> None:
    """However many desks get the same form at the same moment, one of them asks Knock, and all know the same booking."""
    path = new_store(tmp_path)
    told = [line.split() for line in together(BEGIN, [(path, number) for number in range(1, 5)])]
    assert len({booking_id for booking_id, _ in told}) == 1
    assert sorted(is_ours for _, is_ours in told) == ["False", "False", "False", "True"]
    assert len(everything(path)["booking"]) == 1


def test_ok__an_unsent_booking_is_taken_over_with_the_new_values(tmp_path: Path) -> None:
    """The form that was surely not booked asks again, under its booking id, with what it says now."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        store.settle(
            booking(1).booking_id, expected=ASKING, change=lambda found: replace(found, state=BookingState.UNSENT, words="no way"), now_ms=1
        )
        new = booking(2, submission="submission-1", window=window(4), changed_ms=T0_MS + 9, created_ms=T0_MS + 9)
        taken, is_ours = store.begin(new)
        assert is_ours
        assert taken == replace(new, booking_id=booking(1).booking_id, created_ms=T0_MS, asked_turn=2)
        assert store.by_submission("submission-1") == taken
        assert store.begin(new) == (taken, False)


def test_ok__two_processes_take_an_unsent_booking_over_once(tmp_path: Path) -> None:
    """Of those who send the form again at the same moment one asks Knock."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        store.settle(booking(1).booking_id, expected=ASKING, change=lambda found: replace(found, state=BookingState.UNSENT), now_ms=1)
    told = together(TAKE_OVER, [(path, number) for number in range(2, 6)])
    assert sorted(told) == [f"{booking(1).booking_id} False\n"] * 3 + [f"{booking(1).booking_id} True\n"]


def test_ok__a_confirmation_is_written_with_all_that_follows(tmp_path: Path) -> None:
    """Booking, appointment, PIN and job are there together; the change's own time is the store's."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        settled = store.settle(
            booking(1).booking_id,
            expected=ASKING,
            change=lambda found: replace(found, state=BookingState.CONFIRMED, appointment_id="a1", prospect_id="p1"),
            appointment=appointment(1),
            pins=pins(1),
            jobs=[(JobKind.MAIL_CONFIRMED, booking(1).booking_id)],
            now_ms=T0_MS + 7,
        )
        assert settled == store.booking(booking(1).booking_id)
        assert (settled.state, settled.changed_ms) == (BookingState.CONFIRMED, T0_MS + 7)
        assert store.appointment("a1") == replace(appointment(1), revision=1, seq=1)
        assert store.roster_page("1001", "gym", 0, 9) == ([(replace(appointment(1), revision=1, seq=1), "gym-1")], 1, False)
        assert [(job.kind, job.subject) for job in store.due_jobs(T0_MS + 7, 9)] == [(JobKind.MAIL_CONFIRMED, booking(1).booking_id)]


@pytest.mark.parametrize("state", [state for state in BookingState if state is not BookingState.ASKING])
def test_refused__settling_what_somebody_else_settled(tmp_path: Path, state: BookingState) -> None:
    """Whoever comes second is told so, and writes nothing: neither state nor code nor job."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        store.settle(booking(1).booking_id, expected=ASKING, change=lambda found: replace(found, state=state), now_ms=T0_MS)
        before = everything(path)
        with pytest.raises(StateError, match=f"the booking is {state}: somebody else settled it meanwhile"):
            confirm(store, 1, begin=False)
        with pytest.raises(StateError, match="the booking is deleted"):
            confirm(store, 2, begin=False)
        assert everything(path) == before


def test_refused__what_the_change_raises_calls_everything_off(tmp_path: Path) -> None:
    """A decision that finds more than a state amiss leaves nothing behind."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.begin(booking(1))
        before = everything(path)

        def change(_: Booking) -> Booking:
            raise StateError("the window is another one")

        with pytest.raises(StateError, match="the window is another one"):
            store.settle(booking(1).booking_id, expected=ASKING, change=change, appointment=appointment(1), pins=pins(1), now_ms=T0_MS)
        assert everything(path) == before


def test_ok__of_two_processes_that_settle_one_wins(tmp_path: Path) -> None:
    """Knock's answer and staff's hand meet: each booking is settled by exactly one of them, and its job is there once."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in range(1, 21):
            store.begin(booking(number))
        ends = (BookingState.PENDING, BookingState.REFUSED, BookingState.UNKNOWN)
        told = [list(map(int, line.split())) for line in together(SETTLE, [(path, state.value) for state in ends])]
        assert sorted(number for won in told for number in won) == list(range(1, 21))
        for state, won in zip(ends, told, strict=True):
            assert [int(found.booking_id, 16) for found in store.bookings("1001", states={state})] == won
    assert len(everything(path)["job"]) == 20


def test_ok__a_cancel_kills_the_code_in_the_same_transaction(tmp_path: Path) -> None:
    """The doors hear of it, and the PIN is free."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1)
        store.settle(
            booking(1).booking_id, expected=CONFIRMED, change=lambda found: replace(found, state=BookingState.CANCELLED), now_ms=T0_MS
        )
        ((told, pin),) = store.roster_page("1001", "front", 1, 9)[0]
        assert (told.appointment_id, told.standing, told.revision, told.seq, pin) == ("a1", Standing.CANCELLED, 2, 2, None)
        store.put_appointment(appointment(2, booking_id=None), pins(1), T0_MS)


def test_ok__a_move_gives_a_new_code_and_kills_the_old_one(tmp_path: Path) -> None:
    """Knock's new appointment takes the place of the old one, which is superseded, in one transaction; even the PIN may be the same."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1)
        new = appointment(1, appointment_id="a7", code_id="7" * 12, window=window(3))
        store.settle(
            booking(1).booking_id,
            expected=CONFIRMED,
            change=lambda found: replace(found, appointment_id="a7", window=window(3)),
            appointment=new,
            pins=pins(1),
            now_ms=T0_MS,
        )
        told = [(one.appointment_id, one.standing, pin) for one, pin in store.roster_page("1001", "front", 0, 9)[0]]
        assert told == [("a1", Standing.SUPERSEDED, None), ("a7", Standing.CONFIRMED, "front-1")]


@pytest.mark.parametrize("state", [state for state in BookingState if state is not BookingState.CONFIRMED])
def test_refused__a_code_of_a_booking_that_is_not_confirmed(tmp_path: Path, state: BookingState) -> None:
    """Whatever a booking becomes, only CONFIRMED has a live code."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1)
        store.settle(booking(1).booking_id, expected=CONFIRMED, change=lambda found: replace(found, state=state), now_ms=T0_MS)
        found = store.appointment("a1")
        assert found is not None
        assert found.standing is (Standing.SUPERSEDED if state is BookingState.SUPERSEDED else Standing.CANCELLED)


def states(store: DeskStore, *numbers: int) -> list[tuple[BookingState, Standing]]:
    """How bookings and their appointments stand."""
    found = [(store.booking(f"{number:016x}"), store.appointment(f"a{number}")) for number in numbers]
    return [(one.state, other.standing) for one, other in found if one and other]


LIVE = (BookingState.CONFIRMED, Standing.CONFIRMED)
REPLACED = (BookingState.SUPERSEDED, Standing.SUPERSEDED)


def test_ok__a_confirmation_supersedes_the_prospects_other_upcoming_tours(tmp_path: Path) -> None:
    """As Knock does: those that have not begun, of this prospect, in this community, also what a vendor told of; and no other."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1, prospect_id="p", window=window(2))
        confirm(store, 2, prospect_id="another", window=window(2))
        confirm(store, 3, prospect_id="p", window=window(-1.1), now_ms=T0_MS - HOUR_MS)
        assert states(store, 1) == [REPLACED], "3 was confirmed after it"
        confirm(store, 4, prospect_id="p", window=window(2))
        assert states(store, 3) == [LIVE], "it had begun"
        store.put_appointment(appointment(5, booking_id=None, prospect_id="p", window=window(4)), pins(5), T0_MS)
        store.put_appointment(appointment(6, booking_id=None, prospect_id="p", window=window(4), community_id="2"), pins(6), T0_MS)
        confirm(store, 7, prospect_id="p", window=window(5))
        assert states(store, 1, 2, 3, 4, 7) == [REPLACED, LIVE, LIVE, REPLACED, LIVE]
        ingested = [store.appointment(f"a{number}") for number in (5, 6)]
        assert [one.standing for one in ingested if one] == [Standing.SUPERSEDED, Standing.CONFIRMED]


def test_refused__a_tour_whose_later_one_was_confirmed_first(tmp_path: Path) -> None:
    """Its confirmation comes late: it ends superseded with what it had, nothing is put, and the later one stays."""
    path = new_store(tmp_path)
    with opened(path) as store:
        for number in (1, 2):
            store.begin(booking(number, window=window(2)))
        confirm(store, 2, prospect_id="p", begin=False)
        late = confirm(store, 1, prospect_id="p", begin=False)
        assert late == store.booking(late.booking_id)
        assert late.state is BookingState.SUPERSEDED
        assert store.appointment("a1") is None
        assert states(store, 2) == [LIVE]
        confirm(store, 3, prospect_id="p", window=window(3))
        assert states(store, 2, 3) == [REPLACED, LIVE]


def test_ok__a_confirmation_may_leave_the_others_alone(tmp_path: Path) -> None:
    """When the caller knows better, and then by a call of its own; a second one finds nothing."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1, prospect_id="p")
        confirm(store, 2, prospect_id="p", supersedes=False)
        assert states(store, 1, 2) == [LIVE, LIVE]
        ended = store.supersede_others("1001", "p", but=booking(2).booking_id, now_ms=T0_MS)
        assert [(one.booking_id, one.state) for one in ended] == [(booking(1).booking_id, BookingState.SUPERSEDED)]
        assert states(store, 1, 2) == [REPLACED, LIVE]
        assert store.supersede_others("1001", "p", but=booking(2).booking_id, now_ms=T0_MS) == []


def test_ok__an_appointment_that_knock_reuses_stays_alive(tmp_path: Path) -> None:
    """A prospect books again, and Knock answers with the appointment that it had: it is the new booking's, with the new code."""
    with opened(tmp_path / "desk.db") as store:
        confirm(store, 1, prospect_id="p")
        confirm(store, 2, prospect_id="p", appointment_id="a1", code_id="2" * 12)
        found = store.appointment("a1")
        assert found is not None
        assert (found.standing, found.booking_id, found.code_id) == (Standing.CONFIRMED, booking(2).booking_id, "2" * 12)
        one, two = (store.booking(f"{number:016x}") for number in (1, 2))
        assert (one and one.state, two and two.state) == (BookingState.SUPERSEDED, BookingState.CONFIRMED)


def test_refused__a_taken_pin_calls_the_confirmation_off(tmp_path: Path) -> None:
    """Nothing is written, not even what the confirmation would have superseded; the next attempt succeeds."""
    path = new_store(tmp_path)
    with opened(path) as store:
        confirm(store, 1)
        confirm(store, 2, prospect_id="p")
        store.begin(booking(3))
        before = everything(path)
        made = appointment(3, prospect_id="p")

        def settle(taken: dict[str, str]) -> None:
            store.settle(
                booking(3).booking_id,
                expected=ASKING,
                change=lambda found: replace(found, state=BookingState.CONFIRMED, appointment_id="a3", prospect_id="p"),
                appointment=made,
                pins=taken,
                now_ms=T0_MS,
            )

        with pytest.raises(PinTakenError, match="a live code of the door gym has the same PIN"):
            settle({"front": "front-3", "gym": "gym-1"})
        assert everything(path) == before
        settle(pins(3))
        assert states(store, 1, 2, 3) == [LIVE, REPLACED, LIVE]


def test_ok__bookings_are_listed_by_start_state_and_community(tmp_path: Path) -> None:
    """From the first instant on, before the last; at most `limit`."""
    with opened(tmp_path / "desk.db") as store:
        for number in (3, 1, 2):
            store.begin(booking(number, window=window(number)))
        store.begin(booking(4, community_id="2"))
        store.settle(booking(2).booking_id, expected=ASKING, change=lambda found: replace(found, state=BookingState.REFUSED), now_ms=1)

        def listed(**wanted: object) -> list[int]:
            return [int(found.booking_id, 16) for found in store.bookings("1001", **wanted)]  # type: ignore[arg-type]

        assert listed() == [1, 2, 3]
        assert listed(states={BookingState.ASKING}) == [1, 3]
        assert listed(states=ASKING | {BookingState.REFUSED}) == [1, 2, 3]
        assert listed(states=frozenset()) == []
        assert listed(start_from_ms=window(2).start_ms) == [2, 3]
        assert listed(start_to_ms=window(2).start_ms) == [1]
        assert listed(limit=2) == [1, 2]


def test_ok__what_has_been_asked_for_too_long_is_found(tmp_path: Path) -> None:
    """Bookings and moves whose desk died in the middle, and nothing that is settled or young."""
    with opened(tmp_path / "desk.db") as store:
        for number in range(1, 5):
            store.begin(booking(number, changed_ms=T0_MS + number))
        confirm(store, 1, begin=False, now_ms=T0_MS + 1)
        confirm(store, 2, begin=False, now_ms=T0_MS + 2)
        store.settle(
            booking(2).booking_id,
            expected=CONFIRMED,
            change=lambda found: replace(found, moving_to=window(9), move_state=BookingState.ASKING),
            now_ms=T0_MS + 2,
        )
        assert [int(found.booking_id, 16) for found in store.stale_asking(T0_MS + 4)] == [2, 3]
        assert store.stale_asking(T0_MS + 2) == []


BEGIN_OTHER = """
number = int(sys.argv[2])
try:
    print(store.begin(booking(number, person=booking(1).person))[1])
except BusyError:
    print("busy")
"""


def test_ok__two_processes_ask_for_one_person_one_after_the_other(tmp_path: Path) -> None:
    """Several forms of one person at the same moment in several desks: one of them asks Knock, the others write nothing."""
    path = new_store(tmp_path)
    told = together(BEGIN_OTHER, [(path, number) for number in range(1, 5)])
    assert sorted(told) == ["True\n", "busy\n", "busy\n", "busy\n"]
    assert len(everything(path)["booking"]) == 1


def test_refused__a_turn_while_a_move_of_the_person_is_asked_for(tmp_path: Path) -> None:
    """A move counts as a booking does, until it is answered; one that was asked for too long ago does not."""
    path = new_store(tmp_path)
    other = booking(2, person=replace(booking(1).person, phone=""))
    with opened(path) as store:
        confirm(store, 1)
        confirm(store, 3)

        def move(number: int, state: BookingState | None, turn: Turn | None = None) -> None:
            store.settle(
                booking(number).booking_id,
                expected=CONFIRMED,
                change=lambda found: replace(found, person=booking(1).person, move_state=state),
                turn=turn,
                now_ms=T0_MS + 5,
            )

        move(1, BookingState.ASKING)
        before = everything(path)
        for work in (lambda: store.begin(other), lambda: move(3, BookingState.ASKING, Turn(T0_MS + 5))):
            with pytest.raises(BusyError, match="another booking of the same person"):
                work()
        assert everything(path) == before
        move(3, BookingState.ASKING, Turn(T0_MS + 6))
        move(3, None)
        move(1, BookingState.UNKNOWN)
        assert store.begin(other)[1]


@pytest.mark.parametrize("state", [BookingState.SUPERSEDED, BookingState.CANCELLED, BookingState.REFUSED])
def test_ok__a_move_ends_with_its_tour(tmp_path: Path, state: BookingState) -> None:
    """Whatever ends a tour ends its move; and a row of an earlier version, which still has one, is not found as being asked for."""
    path = new_store(tmp_path)
    with opened(path) as store:
        confirm(store, 1)
        for end in (BookingState.CONFIRMED, state):
            store.settle(
                booking(1).booking_id,
                expected=CONFIRMED,
                change=lambda found, end=end: replace(found, state=end, moving_to=window(9), move_state=BookingState.ASKING),  # type: ignore[misc]
                now_ms=T0_MS,
            )
        ended = store.booking(booking(1).booking_id)
        assert ended is not None
        assert (ended.state, ended.moving_to, ended.move_state) == (state, None, None)
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE booking SET move_state = 'asking'")
    with opened(path) as store:
        assert store.stale_asking(T0_MS + 1) == []

"""What belongs to what, tick by tick: the edge of a release, a release that follows another, an exit, an admission's opening."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agent.core.decide import Presence
from agent.core.door import LATE_NS
from agent.daemon.door import Door
from agent.daemon.happening import Happening
from agent.daemon.openings import JUDGE_NS, MAX_WAITING, STUCK_NS
from agent.daemon.ways import Hold, Ways
from agent.store.upkeep import Passage
from drivers.base import DriverError, LockedBy, Pulse
from drivers.fake import PlayedLine
from drivers.relay import PulsedRelay
from tests.daemon.board import until

SECOND = 1_000_000_000
MS = 1_000_000
GYM = Presence("gym", 500)


class Played:
    """A door whose ticks the test chooses; its relay and guard are real."""

    def __init__(self, **ways: object) -> None:
        self.line = PlayedLine(None)
        self.faults: list[Exception] = []
        self.told: list[Happening] = []
        given = {"pulse_s": 30.0, "max_pulse_s": 60.0, "has_contact": True, "suppress_s": 8.0, **ways}
        relay = PulsedRelay(self.line, max_s=float(str(given["max_pulse_s"])), on_fault=self.faults.append)
        self.door = Door(
            "front",
            relay,
            Ways(**given),  # type: ignore[arg-type]  # as the tests name them
            lambda _name, _pulse: None,
            tell=self.told.append,
            on_fault=self.faults.append,
        )
        self.door.contact(is_open=False, at_ns=0)

    def kinds(self) -> list[str]:
        """What was told."""
        return [happening.kind for happening in self.told]

    def release(self, code_id: str | None = None) -> int:
        """Let somebody in; the tick of it."""
        assert self.door.grant()
        released_ns = self.door.release(code_id, None if code_id is None else f"appointment of {code_id}")
        assert released_ns is not None
        return released_ns

    def lock(self) -> int:
        """Lock by order, and return a tick that is surely after it."""
        self.door.lock()
        until(lambda: self.door.state == "locked")
        return time.monotonic_ns()


def hold_free(played: Played) -> None:
    """Staff hold it unlocked."""
    assert played.door.grant()
    assert played.door.hold_open(Hold(time.monotonic_ns() + 3600 * SECOND, 0))


def lock_and_judge(played: Played) -> None:
    """Lock, and let all that waits be judged."""
    locked_ns = played.lock()
    played.door.tick(locked_ns + 100 * SECOND)


@pytest.fixture
def played() -> Iterator[Played]:
    """A door that is shut and locked."""
    made = Played()
    yield made
    made.door.stop()


@pytest.mark.parametrize(("after_ns", "kind"), [(-SECOND, "opened"), (LATE_NS - SECOND // 4, "opened"), (LATE_NS + SECOND, "forced")])
def test_an_opening_just_after_the_lock(played: Played, after_ns: int, kind: str) -> None:
    """Who had the door in her hand while it was released may open it half a second later, and no longer."""
    released_ns = played.release()
    locked_ns = played.lock()
    played.door.contact(is_open=True, at_ns=max(released_ns, locked_ns + after_ns))
    assert played.kinds() == [kind]


def test_denied__an_opening_just_before_the_release(played: Played) -> None:
    """Prised open, and released a moment later: it was forced, and it is no admission's opening."""
    released_ns = played.release("a")
    played.door.contact(is_open=True, at_ns=released_ns - 50 * MS)
    assert [(happening.kind, happening.code_id) for happening in played.told] == [("forced", None)]


@pytest.mark.parametrize(
    ("opens_s", "raw", "kind"),
    [(5, False, "opened"), (12, False, "opened"), (18.5, False, "forced"), (18.5, True, "opened"), (-1, False, "forced")],
)
def test_an_opening_near_an_exit(played: Played, opens_s: float, raw: bool, kind: str) -> None:
    """From the button's press to eight seconds after it was let go; a bar that is pushed just now counts before it is debounced."""
    base_ns = time.monotonic_ns()
    played.door.exit(is_active=True, at_ns=base_ns)
    played.door.exit(is_active=False, at_ns=base_ns + 10 * SECOND)
    played.door.contact(is_open=True, at_ns=base_ns + round(opens_s * SECOND), is_exit_active=raw)
    assert played.kinds() == ["rex", kind]


def test_ok__an_opening_belongs_to_the_admission_whose_release_it_is_in(played: Played) -> None:
    """Two admissions one after the other: the first one's door stayed shut, which is told at its own end, not when the second comes."""
    played.release("a")
    played.lock()
    released_ns = played.release("b")
    assert played.told == []
    played.door.contact(is_open=True, at_ns=released_ns + SECOND)
    played.door.tick(released_ns + 2 * SECOND)
    told = [(happening.kind, happening.code_id, happening.appointment_id) for happening in played.told]
    assert told == [("opened", "b", "appointment of b"), ("not_opened", "a", "appointment of a")]


def test_ok__at_a_door_that_is_held_free_each_opening_is_the_next_ones(played: Played) -> None:
    """Two are admitted one after the other before anybody opens: first the first comes in, then the second, and nobody stayed away."""
    hold_free(played)
    played.release("a")
    released_ns = played.release("b")
    for at in (1, 2, 3):
        played.door.contact(is_open=True, at_ns=released_ns + at * SECOND)
        played.door.contact(is_open=False, at_ns=released_ns + at * SECOND)
    assert [happening.code_id for happening in played.told if happening.kind == "opened"] == ["a", "b", None]
    lock_and_judge(played)
    assert "not_opened" not in played.kinds()


def test_ok__two_may_come_in_by_one_opening(played: Played) -> None:
    """Of the second nobody says that she did not come; one whose door stayed shut all the while is told, once it is locked."""
    hold_free(played)
    played.release("a")
    released_ns = played.release("b")
    played.door.contact(is_open=True, at_ns=released_ns + SECOND)
    played.door.contact(is_open=False, at_ns=released_ns + SECOND)
    played.release("c")
    played.door.tick(released_ns + 40 * SECOND)  # longer than a pulse
    assert "not_opened" not in played.kinds()
    lock_and_judge(played)
    told = [(happening.kind, happening.code_id) for happening in played.told if happening.code_id is not None]
    assert told == [("opened", "a"), ("not_opened", "c")]


def test_denied__no_verdict_while_fire_frees_the_door(played: Played) -> None:
    """A release that fire overtakes, and an admission in fire, are judged when the door is locked again, however late that is."""
    released_ns = played.release("a")
    played.door.fire(is_on=True, at_ns=released_ns + MS)
    played.release("b")
    played.door.tick(released_ns + 600 * SECOND)
    assert played.kinds() == ["fire"]
    assert played.door.due_ns() is None
    played.door.fire(is_on=False, at_ns=released_ns + 601 * SECOND)
    played.door.tick(time.monotonic_ns() + 601 * SECOND)
    assert [(happening.kind, happening.code_id) for happening in played.told[2:]] == [("not_opened", "a"), ("not_opened", "b")]


def test_ok__what_is_opened_much_later_is_nobodys_coming(played: Played) -> None:
    """At a free door an opening a minute and more after an admission is somebody else's, and then nothing is said of that admission."""
    hold_free(played)
    released_ns = played.release("a")
    played.door.contact(is_open=True, at_ns=released_ns + 70 * SECOND)
    played.door.contact(is_open=False, at_ns=released_ns + 71 * SECOND)
    lock_and_judge(played)
    assert [happening.kind for happening in played.told if happening.code_id is not None] == []


def test_ok__two_that_were_not_opened_give_back_what_was_before_both(played: Played) -> None:
    """The same appointment twice, and another's between: the second gives back no presence that the first never was."""
    hold_free(played)
    first, other = Passage("7", "front", 1000, GYM), Passage("8", "front", 1500, None)
    for code_id, passage in (("a", first), ("b", other), ("a", Passage("7", "front", 2000, first.after))):
        assert played.door.grant()
        assert played.door.release(code_id, passage.appointment_id, passage) is not None
    lock_and_judge(played)
    given_back = [happening.passage for happening in played.told if happening.kind == "not_opened"]
    assert given_back == [first, other, Passage("7", "front", 2000, GYM)]


def test_denied__a_verdict_after_the_stop(played: Played) -> None:
    """The agent leaves a door in fire released: nobody says of whom was let in that the door was not opened."""
    played.door.fire(is_on=True, at_ns=time.monotonic_ns())
    played.release("a")
    played.door.stop()
    played.door.tick(time.monotonic_ns() + 600 * SECOND)
    assert played.kinds() == ["fire"]


def test_ok__only_so_many_wait_for_their_opening(played: Played) -> None:
    """At a door that is held free for hours the oldest are forgotten without a word."""
    hold_free(played)
    for number in range(MAX_WAITING + 3):
        played.release(f"{number}")
    lock_and_judge(played)
    told = [happening.code_id for happening in played.told if happening.kind == "not_opened"]
    assert told == [f"{number}" for number in range(3, MAX_WAITING + 3)]


def test_ok__a_release_that_was_cut_short_is_judged_by_its_end(played: Played) -> None:
    """Staff lock at once: whoever had not opened by then and a little more did not."""
    played.release("a")
    locked_ns = played.lock()
    due_ns = played.door.due_ns()
    assert due_ns is not None
    assert due_ns <= locked_ns + LATE_NS + JUDGE_NS
    played.door.tick(due_ns - 1)
    assert played.kinds() == []
    played.door.tick(due_ns)
    assert played.kinds() == ["not_opened"]
    assert played.door.due_ns() is None


def test_ok__an_opening_that_is_told_late_is_still_the_admissions(played: Played) -> None:
    """The edge counts, not when it had been debounced."""
    played.release("a")
    locked_ns = played.lock()
    played.door.contact(is_open=True, at_ns=locked_ns + LATE_NS // 2)
    played.door.tick(locked_ns + 5 * SECOND)
    assert [(happening.kind, happening.code_id) for happening in played.told] == [("opened", "a")]


def test_ok__held_open_by_its_ticks(played: Played) -> None:
    """Thirty seconds after the opening's edge it warns, sixty after it alarms, and neither a nanosecond sooner, and each once."""
    opened_ns = played.release()
    played.door.contact(is_open=True, at_ns=opened_ns)
    for at_ns, kinds in [
        (opened_ns + 30 * SECOND - 1, ["opened"]),
        (opened_ns + 30 * SECOND, ["opened", "held"]),
        (opened_ns + 60 * SECOND - 1, ["opened", "held"]),
        (opened_ns + 60 * SECOND, ["opened", "held", "held_alarm"]),
        (opened_ns + 600 * SECOND, ["opened", "held", "held_alarm"]),
    ]:
        played.door.tick(at_ns)
        assert played.kinds() == kinds


def test_ok__the_same_level_again_is_nothing(played: Played) -> None:
    """An edge that leads nowhere tells nothing, and begins no time anew."""
    opened_ns = played.release()
    played.door.contact(is_open=True, at_ns=opened_ns)
    played.door.contact(is_open=True, at_ns=opened_ns + 29 * SECOND)
    played.door.tick(opened_ns + 30 * SECOND)
    assert played.kinds() == ["opened", "held"]
    for _ in range(2):
        played.door.contact(is_open=False, at_ns=opened_ns + 40 * SECOND)
    assert played.kinds() == ["opened", "held", "shut"]


def test_ok__waiting_for_the_opening_begins_the_pulse_once() -> None:
    """With a relock on time the pulse begins with the first opening; opening and shutting again prolongs nothing."""
    played = Played(is_hold=True, relock="time", pulse_s=0.3)
    shortened: list[float] = []
    shorten = played.door._relay.shorten
    played.door._relay.shorten = lambda pulse_s: (shortened.append(pulse_s), shorten(pulse_s))[1]  # type: ignore[method-assign, func-returns-value]
    released_ns = played.release()
    for at in range(3):
        played.door.contact(is_open=True, at_ns=released_ns + at * MS)
        played.door.contact(is_open=False, at_ns=released_ns + at * MS)
    until(lambda: played.door.state == "locked")
    assert shortened == [0.3]
    played.door.stop()


def test_denied__an_opening_that_prolongs_the_longest_pulse() -> None:
    """The hard maximum holds: opened just before it is over, the release ends when it would have, not a pulse later."""
    played = Played(is_hold=True, relock="time", pulse_s=60.0, max_pulse_s=60.0)
    relay = played.door._relay
    released_ns = played.release()
    played.door.contact(is_open=True, at_ns=released_ns + SECOND)
    assert isinstance(relay, PulsedRelay)
    assert relay._under_way is not None
    assert relay._under_way.ends_ns == released_ns + 60 * SECOND
    assert relay.renewed_ns == released_ns
    played.door.stop()


def test_ok__a_door_that_stood_open_at_the_release_locks_when_it_is_shut() -> None:
    """With a relock on closing that is all that is waited for; a leaf of which nobody knew whether it was open is still to be opened."""
    played = Played(is_hold=True, relock="closed")
    opened_ns = played.release()
    played.door.contact(is_open=True, at_ns=opened_ns)
    played.lock()
    released_ns = played.release()
    played.door.contact(is_open=False, at_ns=released_ns + SECOND)
    until(lambda: played.door.state == "locked")
    assert played.line.events == ["locked", "released", "locked", "released", "locked"]
    played.door.contact_lost()
    released_ns = played.release()
    played.door.contact(is_open=False, at_ns=released_ns + SECOND)
    assert played.line.events[-1] == "released"
    played.door.stop()


def test_ok__a_rattle_before_the_release_is_no_burglary(played: Played) -> None:
    """The contact's first edge is older than the release, and it settles in it: opened, by whoever was admitted."""
    released_ns = played.release("a")
    played.door.contact(is_open=True, at_ns=released_ns - 80 * MS, settled_ns=released_ns + 220 * MS)
    assert [(happening.kind, happening.code_id) for happening in played.told] == [("opened", "a")]
    lock_and_judge(played)
    assert played.kinds()[1:] == ["held"]


def test_denied__an_exit_that_is_stuck_excuses_nothing(played: Played) -> None:
    """Active for longer than anybody presses it, it is told once, and an opening is forced again, until it was let go and is pressed."""
    base_ns = time.monotonic_ns()
    played.door.exit(is_active=True, at_ns=base_ns)
    assert played.door.due_ns() == base_ns + STUCK_NS
    played.door.tick(base_ns + STUCK_NS - 1)
    assert (played.kinds(), played.door.reasons.exit_state) == (["rex"], "active")
    for late_ns in (0, SECOND):
        played.door.tick(base_ns + STUCK_NS + late_ns)
    assert (played.kinds(), played.door.reasons.exit_state) == (["rex", "rex_stuck"], "stuck")
    played.door.contact(is_open=True, at_ns=base_ns + STUCK_NS + 2 * SECOND, is_exit_active=True)
    played.door.contact(is_open=False, at_ns=base_ns + STUCK_NS + 3 * SECOND)
    played.door.exit(is_active=False, at_ns=base_ns + STUCK_NS + 4 * SECOND)
    assert (played.kinds()[2:], played.door.reasons.exit_state) == (["forced", "secured", "rex_free"], "idle")
    played.door.contact(is_open=True, at_ns=base_ns + STUCK_NS + 5 * SECOND)
    played.door.contact(is_open=False, at_ns=base_ns + STUCK_NS + 6 * SECOND)
    played.door.exit(is_active=True, at_ns=base_ns + STUCK_NS + 7 * SECOND)
    played.door.contact(is_open=True, at_ns=base_ns + STUCK_NS + 8 * SECOND)
    assert played.kinds()[5:] == ["forced", "secured", "rex", "opened"]


def test_denied__a_forced_door_whose_wire_is_cut_is_forgotten(played: Played) -> None:
    """Lost and back, open or not yet seen, it stays forced; seen shut, it is secured."""
    at_ns = time.monotonic_ns()
    played.door.contact(is_open=True, at_ns=at_ns)
    played.door.contact_lost()
    assert played.door.leaf == "forced"
    played.door.contact(is_open=True, at_ns=at_ns + SECOND)
    assert played.kinds() == ["forced"]
    played.door.contact(is_open=False, at_ns=at_ns + 2 * SECOND)
    assert played.kinds() == ["forced", "secured"]


def test_denied__an_exit_whose_relay_does_not_move_is_told() -> None:
    """The button's own contact frees the way; ours says that it could not."""
    played = Played(exit_unlocks=True)

    def refuse(*_args: object) -> int:
        raise DriverError("played relay: the board does not answer")

    played.door._relay.release = refuse  # type: ignore[method-assign, assignment]
    played.door.exit(is_active=True, at_ns=time.monotonic_ns())
    assert played.kinds() == ["rex", "relay_failed"]
    assert played.door.state == "locked"
    played.door.stop()


def test_ok__a_pulse_that_is_over_says_nothing_of_the_next(played: Played) -> None:
    """The end of an earlier pulse that is told late does not lock the state of a later one."""
    played.release()
    number = played.door._pulse_number
    played.lock()
    released_ns = played.release()
    played.door._pulse_ended(number, Pulse(0, released_ns, LockedBy.ORDER))
    assert played.door.state == "released"

"""What the screen shows, over every event, state and instant that there can be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agent.core.door import Leaf, Lock
from agent.kiosk import view
from agent.kiosk.lockouts import MAX_ITEMS, MAX_TEXT
from agent.kiosk.view import CHECKING_TICKS, FAULT_TICKS, Facts, Kind, Screen, Way

START = Facts("front")
WELL: dict[str, Any] = {
    "event": "status",
    "doors": {"front": {"lock": "locked", "leaf": "shut", "fire": False, "readers": {"front-scanner": "ready"}, "feed": None}},
    "knock": {"is_up": True},
}
ADMITTED = {"event": "admitted", "door": "front", "units": ["101", "204 B"], "doors": ["front"]}
REFUSED = {"event": "refused", "door": "front", "reason": "too_early", "time_ms": 5_000_000, "doors": ["front"]}


def status(**door: Any) -> dict[str, Any]:  # noqa: ANN401 - a door's facts
    """A status with something of the door changed."""
    return {**WELL, "doors": {"front": {**WELL["doors"]["front"], **door}}}


def after(*events: dict[str, Any], tick: int = 0) -> Facts:
    """The facts after a well status and these events, all at one tick."""
    facts = view.heard(START, WELL, tick)
    for event in events:
        facts = view.heard(facts, event, tick)
    return facts


def kind(*events: dict[str, Any], tick: int = 0) -> Kind:
    """What is seen after them."""
    return view.screen(after(*events), tick).kind


def at_front(event: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - an event's facts
    """An event at the door."""
    return {"event": event, "door": "front", **facts}


LASTING = [
    ([], Kind.READY),
    ([at_front("unlocked")], Kind.DOOR_OPEN),
    ([at_front("unlocked"), at_front("locked")], Kind.READY),
    ([at_front("opened")], Kind.DOOR_OPEN),
    ([at_front("opened"), at_front("held")], Kind.PLEASE_CLOSE),
    ([at_front("opened"), at_front("held"), at_front("held_alarm")], Kind.PLEASE_CLOSE),
    ([at_front("opened"), at_front("held"), at_front("secured")], Kind.READY),
    ([at_front("opened"), at_front("shut")], Kind.READY),
    ([at_front("forced")], Kind.PLEASE_CLOSE),
    ([at_front("hold_open")], Kind.HELD_UNLOCKED),
    ([at_front("hold_open"), at_front("opened")], Kind.HELD_UNLOCKED),
    ([at_front("hold_open"), at_front("locked")], Kind.HELD_UNLOCKED),
    ([at_front("hold_open"), at_front("hold_open_over")], Kind.READY),
    ([at_front("hold_open"), {"event": "locked_by_staff", "user": "root"}], Kind.READY),
    ([at_front("fire")], Kind.FIRE),
    ([at_front("fire"), at_front("locked")], Kind.FIRE),
    ([at_front("fire"), {"event": "locked_by_staff", "user": "root"}], Kind.FIRE),
    ([at_front("fire"), at_front("opened"), at_front("held")], Kind.FIRE),
    ([at_front("fire"), ADMITTED], Kind.FIRE),
    ([at_front("fire"), at_front("fire_over")], Kind.READY),
    ([at_front("fire_over")], Kind.READY),
    ([at_front("scan")], Kind.CHECKING),
    ([at_front("scan"), ADMITTED], Kind.WELCOME),
    ([at_front("scan"), REFUSED], Kind.REFUSED),
    ([at_front("scan"), at_front("exit")], Kind.READY),
    ([ADMITTED, at_front("opened")], Kind.WELCOME),
    ([ADMITTED, at_front("opened"), at_front("held")], Kind.WELCOME),
    ([REFUSED, at_front("scan")], Kind.CHECKING),
    ([{"event": "store_failed"}], Kind.OUT_OF_ORDER),
    ([at_front("relay_failed")], Kind.OUT_OF_ORDER),
    ([{"event": "store_failed"}, ADMITTED, at_front("locked")], Kind.WELCOME),
    ([at_front("locked_out", reader="front-scanner", lock_s=30)], Kind.LOCKED_OUT),
    ([at_front("locked_out", reader="front-scanner", lock_s=30), ADMITTED], Kind.WELCOME),
    ([{"event": "agent_away"}], Kind.STARTING),
    ([ADMITTED, {"event": "agent_away"}], Kind.STARTING),
    ([at_front("fire"), {"event": "agent_away"}], Kind.STARTING),
    ([{"event": "agent_away"}, WELL], Kind.READY),
    ([{"event": "status_refused"}], Kind.OUT_OF_ORDER),
    ([REFUSED, {"event": "status_refused"}], Kind.REFUSED),
    ([{"event": "status_refused"}, WELL], Kind.READY),
]


@pytest.mark.parametrize(("events", "expected"), LASTING)
def test_table__what_is_seen_after_events(events: list[dict[str, Any]], expected: Kind) -> None:
    """Each row: what happened, in order, and the picture right after it."""
    assert kind(*events) is expected


STATES = [
    (status(), Kind.READY),
    (status(lock="released"), Kind.DOOR_OPEN),
    (status(lock="admitting"), Kind.READY),
    (status(lock="office"), Kind.HELD_UNLOCKED),
    (status(lock="office_admitting"), Kind.HELD_UNLOCKED),
    (status(lock="fire"), Kind.FIRE),
    (status(lock="fire_admitting"), Kind.FIRE),
    (status(lock="locked", fire=True), Kind.FIRE),
    (status(lock="stopped"), Kind.STARTING),
    (status(leaf=None), Kind.READY),
    (status(leaf="unknown"), Kind.READY),
    (status(leaf="open"), Kind.DOOR_OPEN),
    (status(leaf="held"), Kind.PLEASE_CLOSE),
    (status(leaf="alarm"), Kind.PLEASE_CLOSE),
    (status(leaf="forced"), Kind.PLEASE_CLOSE),
    (status(readers={}), Kind.READY),
    (status(readers={"a": "starting"}), Kind.READY),
    (status(readers={"a": "lost"}), Kind.OUT_OF_ORDER),
    (status(readers={"a": "lost", "b": "tampered"}), Kind.OUT_OF_ORDER),
    (status(readers={"a": "lost", "b": "ready"}), Kind.READY),
    (status(readers={"a": "lost", "front-screen": "ready"}), Kind.OUT_OF_ORDER),
    ({**WELL, "doors": {}}, Kind.OUT_OF_ORDER),
    ({**WELL, "doors": None}, Kind.OUT_OF_ORDER),
    ({**WELL, "doors": {"back": WELL["doors"]["front"]}}, Kind.OUT_OF_ORDER),
    ({**WELL, "clock": {"state": "holding"}}, Kind.READY),
    ({**WELL, "clock": {"state": "lost"}}, Kind.OUT_OF_ORDER),
    ({**status(lock="office"), "clock": {"state": "lost"}}, Kind.HELD_UNLOCKED),
    (status(locked_out={"front-scanner": 30.0}), Kind.LOCKED_OUT),
]


@pytest.mark.parametrize(("told", "expected"), STATES)
def test_table__what_is_seen_after_a_status(told: dict[str, Any], expected: Kind) -> None:
    """Each row: what a status says of the door, and the picture, whatever was known before."""
    assert view.screen(view.heard(START, told, 0), 0).kind is expected
    assert view.screen(view.heard(after(at_front("opened"), at_front("unlocked")), told, 0), 0).kind is expected


@pytest.mark.parametrize(
    ("knock", "feed", "expected"),
    [
        ({"is_up": True}, None, False),
        ({"is_up": None}, None, False),
        ({"is_up": False}, None, True),
        ({"is_up": False}, {"state": "stale"}, True),
        ({"is_up": False}, {"state": "fresh"}, False),
        ({"is_up": True}, {"state": "stale"}, False),
        (None, None, False),
    ],
)
def test_table__offline_is_when_neither_knock_nor_the_desk_is_reached(knock: object, feed: object, expected: bool) -> None:
    """It is a badge: the picture stays that of a door that works."""
    told = {**status(feed=feed), "knock": knock}
    facts = view.heard(START, told, 0)
    assert (facts.is_offline, view.screen(facts, 0).kind) == (expected, Kind.READY)


def test_ok__a_welcome_names_the_units_and_ends_by_itself() -> None:
    """After its time the screen shows what lasts: here the door that is still released, then ready."""
    facts = after(ADMITTED)
    assert view.screen(facts, 0) == Screen(Kind.WELCOME, units=("101", "204 B"), until=10_000)
    assert view.due(facts, 0) == 10_000
    assert view.screen(facts, 9_999).kind is Kind.WELCOME
    assert view.screen(facts, 10_000).kind is Kind.DOOR_OPEN
    assert view.screen(view.heard(facts, at_front("locked"), 500), 10_000).kind is Kind.READY


@pytest.mark.parametrize(
    ("more", "way"),
    [
        ([], Way.UNLOCKED),
        ([at_front("opened")], Way.UNLOCKED),
        ([at_front("locked")], Way.LOCKED),
        ([at_front("opened"), at_front("locked")], Way.OPEN),
        ([at_front("opened"), at_front("locked"), at_front("secured")], Way.LOCKED),
        ([status(lock="admitting")], Way.UNLOCKED),
        ([status(lock="released")], Way.UNLOCKED),
        ([status(lock="locked")], Way.LOCKED),
        ([status(lock="office")], Way.UNLOCKED),
        ([at_front("locked"), ADMITTED], Way.UNLOCKED),
    ],
)
def test_ok__a_welcome_outlives_the_release_and_says_so(more: list[dict[str, Any]], way: Way) -> None:
    """Who was let in still reads where to go; that the door is unlocked stands there no longer than it is."""
    assert view.screen(after(ADMITTED, *more), 9_999) == Screen(Kind.WELCOME, units=("101", "204 B"), until=10_000, way=way)


def test_ok__staff_who_lock_end_a_welcome() -> None:
    """And a refusal stays: it is true all the same."""
    locked = {"event": "locked_by_staff", "user": "root"}
    assert [kind(ADMITTED, locked), kind(ADMITTED, at_front("locked"), locked)] == [Kind.READY, Kind.READY]
    assert kind(REFUSED, locked) is Kind.REFUSED


def test_ok__a_door_without_the_time_takes_no_pins_and_says_why() -> None:
    """No code can be checked then, so nobody is asked to show one."""
    told = {**status(screen={"takes_pins": True, "serves_staff": True}), "clock": {"state": "lost"}}
    facts = view.heard(START, told, 0)
    assert (view.screen(facts, 0), facts.takes_pins, facts.serves_staff) == (Screen(Kind.OUT_OF_ORDER, reason=view.CLOCK_LOST), False, True)


def test_ok__a_status_tells_a_screen_that_was_away_of_lockouts() -> None:
    """As long as they last; the same end told again, a little off, changes nothing; one that is over is taken back."""

    def told(lock_s: float, wait_s: float) -> dict[str, Any]:
        can = {"takes_pins": True, "serves_staff": True}
        return status(locked_out={"front-scanner": lock_s, "front-screen": wait_s}, screen=can)

    facts = view.heard(START, told(60.0, 30.0), 1000)
    locked_out = Screen(Kind.LOCKED_OUT, view.PINS_WAIT, until=61_000, counts_to=61_000)
    assert (view.screen(facts, 1000), view.pin_locked_until(facts, 1000)) == (locked_out, 31_000)
    assert view.heard(facts, told(54.9, 25.1), 6000) == facts
    longer = view.heard(facts, told(120, 120), 6000)
    assert (view.screen(longer, 6000).counts_to, view.pin_locked_until(longer, 6000)) == (126_000, 126_000)
    over = view.heard(facts, status(locked_out={}), 6000)
    assert (view.screen(over, 6000).kind, view.pin_locked_until(over, 6000)) == (Kind.READY, None)
    assert view.pin_locked_until(view.heard(facts, status(), 6000), 6000) == 31_000


def test_ok__a_lockout_of_the_pad_is_the_pads_to_tell() -> None:
    """The pad has its countdown, and whoever has a code is asked for it as ever."""
    pad = after(at_front("locked_out", reader="front-screen", lock_s=30))
    assert (view.screen(pad, 0), view.pin_locked_until(pad, 0), view.due(pad, 0)) == (Screen(Kind.READY), 30_000, 30_000)
    assert view.screen(view.heard(START, status(locked_out={"front-screen": 30.0}), 0), 0) == Screen(Kind.READY)


def test_ok__a_lockout_of_a_reader_leaves_the_pad_alone() -> None:
    """It is said to everybody, without a word about PINs: here they are still looked at."""
    facts = after(status(screen={"takes_pins": True, "serves_staff": True}), at_front("locked_out", reader="front-keypad", lock_s=30))
    assert (view.screen(facts, 0).kind, view.screen(facts, 0).reason, view.pin_locked_until(facts, 0)) == (Kind.LOCKED_OUT, None, None)


def test_ok__a_refusal_says_why_when_and_where() -> None:
    """The reason, the instant that helps and the doors that the code opens are the event's own."""
    facts = after(REFUSED)
    assert view.screen(facts, 0) == Screen(Kind.REFUSED, "too_early", doors=("front",), time_ms=5_000_000, until=15_000)
    assert [view.screen(facts, tick).kind for tick in (14_999, 15_000)] == [Kind.REFUSED, Kind.READY]
    assert view.due(facts, 15_000) is None


def test_ok__a_scan_without_an_answer_is_forgotten() -> None:
    """A repeat that nobody answers does not leave the screen checking, and gives back the answer that was there."""
    facts = after(at_front("scan"))
    assert [view.screen(facts, tick).kind for tick in (CHECKING_TICKS - 1, CHECKING_TICKS)] == [Kind.CHECKING, Kind.READY]
    again = after(ADMITTED, at_front("scan"))
    assert [view.screen(again, tick).kind for tick in (CHECKING_TICKS - 1, CHECKING_TICKS)] == [Kind.CHECKING, Kind.WELCOME]


@pytest.mark.parametrize("fault", ["store_failed", "relay_failed", "not_yet_invented"])
def test_fault__a_door_that_could_not_do_it_is_out_of_order_until_it_could(fault: str) -> None:
    """Never "scan your code" before a door that cannot open: not after a minute, only after a success."""
    facts = view.heard(after({"event": "store_failed"}), status(fault=fault), 5_000)
    assert [view.screen(facts, tick).kind for tick in (5_000, 2 * FAULT_TICKS, 100 * FAULT_TICKS)] == [Kind.OUT_OF_ORDER] * 3
    later = 2 * FAULT_TICKS
    assert view.screen(view.heard(facts, status(fault=None), later), later).kind is Kind.READY
    admitted = view.heard(view.heard(facts, ADMITTED, later), at_front("locked"), later)
    assert view.screen(admitted, later + 10_000).kind is Kind.READY


@pytest.mark.parametrize("reason", ["busy", "unreadable", "locked_out", "store_failed", "relay_failed"])
def test_ok__what_is_nobodys_takes_no_welcome_down_while_the_door_is_unlocked(reason: str) -> None:
    """Neither junk before the reader nor the next one's code: who was let in reads "come in" as long as it is true."""
    refused = {**REFUSED, "reason": reason}
    kept = after(ADMITTED, at_front("scan"), refused)
    assert view.screen(kept, 0) == Screen(Kind.WELCOME, units=("101", "204 B"), until=10_000)
    assert kind(ADMITTED, at_front("opened"), refused) is Kind.WELCOME
    assert [kind(refused), kind(ADMITTED, at_front("locked"), refused)] == [Kind.REFUSED, Kind.REFUSED]
    assert view.screen(view.heard(after(ADMITTED), refused, 10_000), 10_000).kind is Kind.REFUSED


def test_ok__a_refusal_of_another_code_is_shown_at_once() -> None:
    """Whoever shows a code that is too early is told so, welcome or not."""
    assert kind(ADMITTED, REFUSED) is Kind.REFUSED


def test_ok__a_fault_heals_by_time_and_by_an_admission() -> None:
    """What was told by an event alone, such as an entry that could not be written, lasts as long as the agent's own lamps say so."""
    facts = after({"event": "store_failed"})
    assert [view.screen(facts, tick).kind for tick in (FAULT_TICKS - 1, FAULT_TICKS)] == [Kind.OUT_OF_ORDER, Kind.READY]
    healed = view.heard(view.heard(facts, ADMITTED, 100), at_front("locked"), 600)
    assert view.screen(healed, 20_000).kind is Kind.READY


def test_ok__a_lockout_counts_down_and_of_two_the_later_counts() -> None:
    """One reader's lockout ends; it is over with the last."""
    facts = after(
        at_front("locked_out", reader="front-scanner", lock_s=30), at_front("locked_out", reader="front-keypad", lock_s=60.0), tick=1000
    )
    assert view.screen(facts, 1000) == Screen(Kind.LOCKED_OUT, until=61_000, counts_to=61_000)
    assert view.due(facts, 1000) == 31_000
    assert view.screen(facts, 61_000).kind is Kind.READY


def test_ok__another_door_is_none_of_this_screens() -> None:
    """What happens at another door changes nothing here."""
    facts = after()
    for name in view._STEPS:
        if name != "status":
            assert view.heard(facts, {"event": name, "door": "back", "lock_s": 30, "reader": "back-scanner"}, 5) == facts


def test_ok__an_agent_that_goes_takes_all_that_was_known_with_it() -> None:
    """What it said before its death may be wrong after it."""
    busy = after(ADMITTED, at_front("locked_out", reader="front-scanner", lock_s=900), {"event": "store_failed"})
    assert view.heard(busy, {"event": "agent_away"}, 10) == START
    kept = view.heard(replace(START, welcome_ticks=1, refused_ticks=2), {"event": "agent_away"}, 10)
    assert (kept.welcome_ticks, kept.refused_ticks) == (1, 2)


def test_ok__what_the_agent_can_do_at_its_screen_is_what_the_status_says() -> None:
    """A door without PINs, or without a PIN of staff's, offers neither."""
    can = [
        (facts.takes_pins, facts.serves_staff)
        for told in (status(), status(screen=None), status(screen={"takes_pins": True, "serves_staff": False}), status(screen="yes"))
        for facts in [view.heard(START, told, 0)]
    ]
    assert can == [(False, False), (False, False), (True, False), (False, False)]


def test_ok__in_every_state_of_a_door_fire_is_seen_and_nothing_hides_it() -> None:
    """Every lock and leaf that the agent knows, with every event before and after it."""
    for lock, leaf, name in product(Lock, Leaf, view._STEPS):
        if lock is Lock.STOPPED:
            continue
        facts = view.heard(START, status(lock=lock.value, leaf=leaf.value), 0)
        told = at_front(name, reader="front-scanner", lock_s=30, reason="too_late")
        facts = view.heard(facts, {**told, "event": "fire"}, 0)
        facts = view.heard(facts, told, 0) if name not in {"status", "fire_over", "agent_away"} else facts
        assert [view.screen(facts, tick).kind for tick in (0, CHECKING_TICKS)] == [Kind.FIRE, Kind.FIRE]


ODD: list[Any] = [None, True, 0, -1, 30, 10**30, 0.5, float("nan"), float("inf"), "", "front", "\udc00", "x" * 1000]
ODD += [[], ["101"], [None, {}], [["a"]] * 100, {}, {"front": {}}, {"front": {"readers": {"a": "lost"}, "lock": "fire"}}, {"front": []}]
ODD += [{"front": {"locked_out": {"a": 30, "b": -1, "c": "d"}}}]
VALUES = some.sampled_from(ODD)
NAMES = ["door", "units", "doors", "reason", "time_ms", "lock_s", "reader"]
NAMES += ["knock", "front", "leaf", "lock", "readers", "clock", "locked_out"]
KEYS = some.sampled_from(NAMES)
EVENTS = some.tuples(some.sampled_from([*view._STEPS, "nonsense"]), some.dictionaries(KEYS, VALUES, max_size=6)).map(
    lambda made: {**made[1], "event": made[0]}
)


@settings(max_examples=60)
@given(some.lists(EVENTS, max_size=12), some.integers(0, 100_000))
def test_fail__no_event_breaks_the_screen_or_makes_it_grow(events: list[dict[str, Any]], tick: int) -> None:
    """Whatever comes over the socket there is a picture, it is over when it says so, and what is kept is bounded."""
    facts = START
    for event in events:
        facts = view.heard(facts, event, tick)
        seen = view.screen(facts, tick)
        assert seen.until is None or seen.until > tick
        assert len(facts.locked_out) <= MAX_ITEMS
        assert len(facts.readers) <= MAX_ITEMS
        if seen.until is not None:
            assert view.screen(facts, seen.until) != seen
            due = view.due(facts, tick)
            assert due is not None
            assert due <= seen.until


@pytest.mark.parametrize("lock_s", [0, -1, float("nan"), float("inf"), 1e300, True, "30", None])
def test_fail__a_lockout_of_no_sensible_length_is_none(lock_s: object) -> None:
    """What is no number of seconds locks nothing."""
    assert kind(at_front("locked_out", reader="front-scanner", lock_s=lock_s)) is Kind.READY


def test_fail__a_long_text_or_list_of_an_event_is_cut() -> None:
    """An event costs bounded memory."""
    facts = after({**ADMITTED, "units": ["x" * 10_000] * 1000}, {**REFUSED, "door": "front", "reason": "y" * 10_000})
    answer = after({**ADMITTED, "units": ["x" * 10_000] * 1000}).answer
    assert answer is not None
    assert (len(answer.units), len(answer.units[0])) == (MAX_ITEMS, MAX_TEXT)
    assert facts.answer is not None
    assert len(facts.answer.reason or "") == MAX_TEXT

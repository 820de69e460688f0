"""Staff at a door's screen: what a PIN of theirs shows and does, and how it is kept from being guessed."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.core.staff_pin import StaffPin
from agent.core.tour import Window
from agent.daemon import screen
from agent.daemon.screen import STAFF_LOCKOUT
from agent.errors import ScreenRefusedError
from drivers.base import DriverError
from tests.daemon.stand import HOUR_MS, JOURNAL, KNOWN, NOT_STAFF, SHOW, STAFF, Stand, run
from tests.daemon.test_pin import PIN, WRONG, rows, tell
from tests.daemon.world import CODE, NOW_MS, issued


def test_staff__see_todays_tours_and_the_journal_without_a_name(stand: Stand) -> None:
    """Units, times and whether they came; the last entries, the latest first; nothing that says who a prospect is."""
    tell(stand.world, replace(CODE, appointment_id="78", code_id="0102030405ab", window=_later(1), unit_names=("204 B",)), WRONG)
    tell(stand.world, replace(CODE, appointment_id="79", code_id="0102030405ac", window=_later(48)), "99887766")
    stand.world.scan(PIN)
    stand.world.wait_locked()
    stand.world.scan(issued(appointment_id="80", prospect_id="6", code_id="0102030405ad", unit_names=("305",)))
    stand.world.scan("nonsense")
    stand.world.journaled()
    shown = stand.ask("screen_staff", **SHOW)
    assert shown["tours"] == [
        {"units": ["101"], "start_ms": CODE.window.start_ms, "end_ms": CODE.window.end_ms, "admitted_ms": NOW_MS},
        {"units": ["204 B"], "start_ms": _later(1).start_ms, "end_ms": _later(1).end_ms, "admitted_ms": None},
        {"units": ["305"], "start_ms": None, "end_ms": None, "admitted_ms": NOW_MS},
    ]
    assert shown["entries"] == [
        {"kind": "refusal", "at_ms": NOW_MS, "reason": "unreadable"},
        {"kind": "admission", "at_ms": NOW_MS, "reason": None},
        {"kind": "admission", "at_ms": NOW_MS, "reason": None},
    ]
    assert shown["outbox"] == {"due": 2, "sending": 0, "in_doubt": 0, "dead": 0, "doubts": 0}
    assert shown["knock"] == {"is_up": True, "failures": 0}
    assert shown["clock"]["state"] == "synchronised"
    assert shown.keys() == {"tours", "entries", "outbox", "clock", "knock"}


def _later(hours: int) -> Window:
    return Window(NOW_MS + hours * HOUR_MS, NOW_MS + (hours + 1) * HOUR_MS)


def test_staff__see_no_more_than_a_page_holds(stand: Stand) -> None:
    """A journal of any length is 20 entries, those of other doors not among them."""
    for number in range(40):
        stand.world.scan(f"nonsense {number}")
        stand.ask("screen_help", door="stopped")
    stand.world.journaled()
    entries = stand.ask("screen_staff", **SHOW)["entries"]
    assert len(entries) <= 20
    assert "help_called" not in {entry["kind"] for entry in entries}


def test_staff__unlock_and_lock_are_journaled_as_the_screens(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who and why are on disk before the relay moves; a lock is of this door alone, now."""
    locked: list[str] = []
    for door in stand.world.doorman._doors.values():
        monkeypatch.setattr(door, "lock", partial(locked.append, door.name))
    assert stand.ask("screen_staff", door="front", pin=STAFF, what="unlock", reason="the plumber") == {"door": "front"}
    assert stand.world.line.found == [("unlock", 0)]
    assert stand.ask("screen_staff", door="front", pin=STAFF, what="lock") == {"door": "front", "is_fire": False}
    assert stand.ask("screen_staff", door="front", pin=STAFF, what="lock", reason="a stranger") == {"door": "front", "is_fire": False}
    assert (stand.world.line.events[:2], locked) == (["locked", "released"], ["front", "front"])
    assert rows(stand.world, JOURNAL) == [
        {"kind": "unlock", "door": "front", "reader": None, "reason": None, "detail": '{"user": "screen", "reason": "the plumber"}'},
        {"kind": "lock", "door": "front", "reader": None, "reason": None, "detail": '{"user": "screen"}'},
        {"kind": "lock", "door": "front", "reader": None, "reason": None, "detail": '{"user": "screen", "reason": "a stranger"}'},
    ]
    assert stand.told == [
        {"event": "unlocked", "door": "front", "user": "screen"},
        *[{"event": "locked_by_staff", "door": "front", "user": "screen"}] * 2,
    ]


def test_staff__a_lock_that_fails_is_not_told_as_one(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal says that the relay failed, who wanted it and why; nobody hears that the door is locked."""

    def fail() -> None:
        raise DriverError("the relay does not answer")

    monkeypatch.setattr(stand.world.doorman._doors["front"], "lock", fail)
    with pytest.raises(DriverError, match="does not answer"):
        stand.ask("screen_staff", door="front", pin=STAFF, what="lock", reason="a stranger")
    detail = '{"user": "screen", "reason": "a stranger", "words": "the relay does not answer"}'
    assert rows(stand.world, JOURNAL) == [{"kind": "relay_failed", "door": "front", "reader": None, "reason": None, "detail": detail}]
    assert stand.told == []


def test_staff__a_door_is_unlocked_so_often_an_hour(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused, journaled and told; another door, a lock and a look are free, and so is the next hour."""
    asked = {"door": "front", "pin": STAFF, "what": "unlock", "reason": "why"}
    for _ in range(screen.STAFF_UNLOCKS):
        stand.ask("screen_staff", **asked)
        stand.world.wait_locked()
    most = "staff unlock a door at its screen 10 times an hour at most: use `tourlatch unlock`"
    assert stand.refusal("screen_staff", **asked) == ("too_many", most)
    assert stand.told[-1] == {"event": "staff_unlocks_over", "door": "front", "reader": "front-screen"}
    assert rows(stand.world, JOURNAL)[-1]["kind"] == "staff_unlocks_over"
    assert stand.world.line.events.count("released") == screen.STAFF_UNLOCKS
    with pytest.raises(RuntimeError, match="in use"):
        stand.ask("screen_staff", **{**asked, "door": "stopped"})
    stand.ask("screen_staff", **{**asked, "what": "lock"})
    assert "tours" in stand.ask("screen_staff", **SHOW)
    monkeypatch.setattr(screen, "STAFF_UNLOCKS_S", 0.0)
    assert stand.ask("screen_staff", **asked) == {"door": "front"}


@pytest.mark.parametrize("reason", ["   ", "a\nb", "x" * 201, 5, ["why"]])
def test_staff__the_reason_of_a_lock_is_a_line_or_none(stand: Stand, reason: object) -> None:
    """What is no line is refused, and nothing is journaled."""
    told = stand.refusal("screen_staff", door="front", pin=STAFF, what="lock", reason=reason)
    assert told == ("no_reason", "the reason of a lock has 1 to 200 characters")
    assert rows(stand.world, JOURNAL) == []


def test_staff__an_unlock_that_cannot_be_is_told(stand: Stand) -> None:
    """A door that stopped, or whose relay is broken, is no unlock."""
    with pytest.raises(RuntimeError, match="in use"):
        stand.ask("screen_staff", door="stopped", pin=STAFF, what="unlock", reason="why")
    stand.world.line.is_broken = True
    with pytest.raises(DriverError):
        stand.ask("screen_staff", door="front", pin=STAFF, what="unlock", reason="why")
    assert stand.told == []


@pytest.mark.parametrize("what", ["hold", "", None, ["show"], "status", 1])
def test_staff__nothing_else_can_be_done(stand: Stand, what: object) -> None:
    """A door is not held unlocked from a screen, nor is anything else of the agent's reached."""
    asked = {**SHOW, "what": what, "until_ms": NOW_MS + 60_000}
    assert stand.refusal("screen_staff", **asked) == ("no_such_thing", "what staff may do at a screen: show, unlock, lock")


@pytest.mark.parametrize("reason", [None, "", "   ", "a\nb", "x" * 201, 5, ["why"]])
def test_staff__no_unlock_without_a_reason(stand: Stand, reason: object) -> None:
    """As from a shell: a line that says why."""
    told = stand.refusal("screen_staff", door="front", pin=STAFF, what="unlock", reason=reason)
    assert told == ("no_reason", "an unlock needs a reason of 1 to 200 characters")
    assert stand.world.line.events == ["locked"]


def test_staff__without_a_file_there_is_nothing_for_staff(stand: Stand) -> None:
    """A sentence that says what to make; the page is told before it asks."""
    stand = Stand(stand.world, None)
    missing = "staff have no PIN here: make one with `tourlatch staff pin` and name its file in [control] staff_pin_file"
    for what in ("show", "unlock", "lock"):
        assert stand.refusal("screen_staff", door="front", pin=STAFF, what=what, reason="why") == ("no_staff_pin", missing)
    assert stand.screen.facts("front") == {"takes_pins": True, "serves_staff": False}
    assert (stand.world.line.events, rows(stand.world, JOURNAL)) == (["locked"], [])


def test_staff__guessing_locks_the_screens_out_and_no_reader(stand: Stand) -> None:
    """Five wrong PINs, at whichever door: no PIN of staff is looked at any more, not even the right one; prospects come in as ever."""
    for number in range(STAFF_LOCKOUT.guesses):
        door = "front" if number % 2 else "stopped"
        assert stand.refusal("screen_staff", **{**SHOW, "door": door, "pin": NOT_STAFF})[0] == "wrong_pin"
    for pin in (STAFF, NOT_STAFF):
        for what in ("show", "unlock", "lock"):
            assert stand.refusal("screen_staff", door="front", pin=pin, what=what, reason="why")[0] == "locked_out"
    found = rows(stand.world, "SELECT kind, reader, reason, detail FROM journal")
    refused = {"kind": "staff_refused", "reason": "wrong_pin", "detail": "{}"}
    readers = ["stopped-screen", "front-screen", "stopped-screen", "front-screen", "stopped-screen"]
    over = {"kind": "staff_locked_out", "reader": "stopped-screen", "reason": "locked_out", "detail": '{"lock_s": 300}'}
    assert found == [*[{**refused, "reader": reader} for reader in readers], over]
    assert [told["event"] for told in stand.told] == ["staff_refused"] * 5 + ["staff_locked_out"]
    assert stand.ask("screen_pin", door="front", pin=PIN) == {"taken": True}
    stand.world.settle()
    assert stand.world.reasons() == ["granted"]


def test_staff__slow_guessing_is_locked_out_for_ever_longer(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 30 days of guessing as fast as it can, whoever has the screen gets through less than 4000 of a million PINs."""
    now_s, looked_at = 1000.0, 0
    reasons: set[str] = set()
    looking: Any = SimpleNamespace(is_opened_by=lambda _pin: False)
    stand.screen._staff._known = looking

    async def at_once(_known: StaffPin, _pin: str) -> bool:
        return False

    monkeypatch.setattr(screen, "_in_thread", at_once)
    monkeypatch.setattr(screen, "time", SimpleNamespace(monotonic=lambda: now_s))

    async def guess() -> None:
        nonlocal now_s, looked_at
        while now_s < 30 * 86_400:
            try:
                await stand.screen._staff.check(NOT_STAFF)
            except screen._WrongPinError:
                looked_at += 1
                now_s += 1
            except ScreenRefusedError as refused:
                reasons.add(refused.reason)
                now_s += 60

    run(guess())
    assert reasons == {"locked_out"}
    assert 0 < looked_at < 4000


def test_staff__right_pins_between_wrong_ones_lock_nobody_out(stand: Stand) -> None:
    """Slips of the finger are forgotten with the right PIN."""
    for _ in range(2):
        for _ in range(STAFF_LOCKOUT.guesses - 1):
            assert stand.refusal("screen_staff", **{**SHOW, "pin": NOT_STAFF})[0] == "wrong_pin"
        stand.ask("screen_staff", **SHOW)


@pytest.mark.parametrize("pin", ["", "73051", "7305184609271", "73051a", f"{STAFF}\n", None, 730518, [STAFF], {"pin": STAFF}])
def test_staff__what_can_be_no_pin_is_no_guess(stand: Stand, pin: object) -> None:
    """It is said what a PIN is like; nobody is locked out by it and nothing is journaled."""
    for _ in range(STAFF_LOCKOUT.guesses + 1):
        assert stand.refusal("screen_staff", **{**SHOW, "pin": pin}) == ("no_pin", "staff's PIN has 6 to 12 digits")
    assert (stand.told, rows(stand.world, JOURNAL)) == ([], [])


def test_staff__one_pin_is_looked_at_at_a_time(stand: Stand) -> None:
    """However many are sent at once, one costs memory and time; the others are told to try again, and are no guesses."""
    go_on, looks = threading.Event(), 0

    def slow(_pin: str) -> bool:
        nonlocal looks
        looks += 1
        return go_on.wait(10)

    stand.screen._staff._known = cast("StaffPin", SimpleNamespace(is_opened_by=slow))

    async def play() -> list[str]:
        first = asyncio.create_task(stand.answer("screen_staff", **SHOW))
        await asyncio.sleep(0)
        others = await asyncio.gather(*[stand.answer("screen_staff", **SHOW) for _ in range(20)], return_exceptions=True)
        go_on.set()
        assert "tours" in await first
        return [other.reason for other in others if isinstance(other, ScreenRefusedError)]

    assert (run(play()), looks) == (["busy"] * 20, 1)
    stand.ask("screen_staff", **SHOW)


def test_staff__a_board_without_memory_is_no_guess(stand: Stand) -> None:
    """A hash that cannot be computed refuses this time, and the next PIN is looked at."""

    def starved(_pin: str) -> bool:
        raise MemoryError

    stand.screen._staff._known = cast("StaffPin", SimpleNamespace(is_opened_by=starved))
    for _ in range(STAFF_LOCKOUT.guesses + 1):
        assert stand.refusal("screen_staff", **SHOW)[0] == "busy"
    stand.screen._staff._known = KNOWN
    assert stand.ask("screen_staff", **SHOW)["entries"] == []

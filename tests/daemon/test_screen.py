"""What a door's screen may have done: no more than fingers could, and no PIN is anywhere but in the request."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent import config
from agent.core import staff_pin
from agent.core.staff_pin import StaffPin
from agent.core.tour import Window
from agent.daemon import screen
from agent.daemon.build import Parts
from agent.daemon.events import Events
from agent.daemon.screen import STAFF_LOCKOUT, Screen
from agent.errors import ScreenRefusedError
from drivers.base import DriverError
from tests.daemon.test_pin import KEY, PIN, WRONG, rows, tell
from tests.daemon.world import CODE, NOW_MS, World, issued

STAFF, NOT_STAFF = "730518", "730519"
KNOWN = staff_pin.make(STAFF, bytes(16))
SHOW = {"door": "front", "what": "show", "pin": STAFF}
HOUR_MS = 3_600_000
JOURNAL = "SELECT kind, door, reader, reason, detail FROM journal ORDER BY seq"

Ask = Callable[..., dict[str, Any]]


class Stand:
    """A screen over a real doorman; `told` are the events, without their time."""

    def __init__(self, world: World, known: StaffPin | None = KNOWN, doors: tuple[str, ...] = ("front", "stopped")) -> None:
        self.world = world
        written = {
            "community_id": "1001",
            "time_zone": "America/Los_Angeles",
            "store": {"path": str(world.store)},
            "control": {"kiosk_users": ["nobody"], "kiosk_doors": list(doors)},
            "door": [_door(name) for name in ("front", "stopped", "back")],
        }
        self.told: list[dict[str, object]] = []
        events = Events(lambda: 7)
        events.publish = lambda event, **facts: self.told.append({"event": event, **facts})  # type: ignore[method-assign]
        doorman = world.doorman
        parts = SimpleNamespace(
            doors=doorman._doors, pin_keys=doorman._pin_keys, upkeep=world.upkeep, clock=doorman._clock, staff_pin=known
        )
        self.screen = Screen(
            settings=config.parse(written, "agent.toml"),
            parts=cast("Parts", parts),
            doorman=doorman,
            events=events,
            present=doorman.present,
            knock=lambda: {"is_up": True, "failures": 0},
        )

    async def answer(self, do: str, **request: object) -> dict[str, Any]:
        """What is answered."""
        return await self.screen.handlers()[do]({"do": do, **request}, "nobody")

    def ask(self, do: str, **request: object) -> dict[str, Any]:
        """The same, from a test that runs no loop."""
        answer: dict[str, Any] = run(self.answer(do, **request))
        return answer

    def refusal(self, do: str, **request: object) -> tuple[str, str]:
        """Why a request is refused: the reason and the sentence, which holds no PIN."""
        with pytest.raises(ScreenRefusedError) as refused:
            self.ask(do, **request)
        sentence, pin = str(refused.value), request.get("pin")
        assert not (isinstance(pin, str) and pin and pin in sentence)
        assert refused.value.__cause__ is None
        return refused.value.reason, sentence


def _door(name: str) -> dict[str, Any]:
    found = {"driver": "serial", "name": f"{name}-scanner", "port": f"/dev/{name}"}
    return {"name": name, "relay": {"driver": "played", "path": f"/tmp/relay-{name}"}, "reader": [found]}


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it gives
    """Run it on a loop of its own."""
    return asyncio.run(coroutine)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A door with a key for PINs, which has heard of one appointment."""
    made = World(tmp_path, {"front": KEY})
    tell(made)
    yield made
    made.close()


@pytest.fixture
def stand(world: World) -> Stand:
    """A screen at the front door, and at one that is stopped; staff have a PIN."""
    return Stand(world)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fingers may type as fast as the test does, and the same again counts anew."""
    monkeypatch.setattr(screen, "PIN_EVERY_S", 0.0)
    monkeypatch.setattr("agent.daemon.doorman.REPEAT_S", 0.0)


# --- a prospect's PIN ---


def test_granted__a_pin_on_the_screen_is_a_readers(stand: Stand) -> None:
    """It is handed over, decided as any reader's, written before the relay moves, and told by the screen's name."""
    assert stand.ask("screen_pin", door="front", pin=PIN) == {"taken": True}
    stand.world.settle()
    outcome = stand.world.outcomes[0]
    assert (outcome.denied, outcome.code, outcome.is_by_pin, outcome.scan.reader) == (None, CODE, True, "front-screen")
    assert stand.world.line.found == [("admission", 1)]
    assert rows(stand.world, JOURNAL) == [
        {"kind": "admission", "door": "front", "reader": "front-screen", "reason": None, "detail": '{"by": "pin"}'}
    ]


@pytest.mark.parametrize(
    "pin",
    ["", "4017023", "401702366", f"{PIN}#", f" {PIN}", f"{PIN}\n", "4017023a", "٤٠١٧٠٢٣٦", "TL1:ABC", "4" * 4000, 40170236, None, [PIN]],
)
def test_denied__what_is_no_pin_is_never_presented(stand: Stand, pin: object) -> None:
    """Eight digits and nothing else: a screen shows no tour code, and nothing else reaches the doorman by it."""
    assert stand.refusal("screen_pin", door="front", pin=pin) == ("no_pin", "a PIN has 8 digits")
    stand.world.settle()
    assert (stand.world.outcomes, stand.told, rows(stand.world, JOURNAL)) == ([], [], [])


def test_denied__a_flood_is_one_pin_a_second(stand: Stand) -> None:
    """Whoever sends PINs as fast as a machine can has one of them looked at."""
    taken = [stand.ask("screen_pin", door="front", pin=f"{number:08d}")["taken"] for number in range(200)]
    stand.world.settle()
    assert taken == [True] + [False] * 199
    assert stand.world.reasons() == ["wrong_pin"]


@pytest.mark.usefixtures("fast")
def test_denied__a_lockout_of_the_screen_is_the_screens_alone(stand: Stand) -> None:
    """After three wrong PINs the screen is locked out, the right PIN with it; keypad and scanner at the same door hear nothing of it."""
    for typed in ("00000001", "00000002", "00000003", PIN):
        assert stand.ask("screen_pin", door="front", pin=typed) == {"taken": True}
        stand.world.settle()
    assert stand.world.reasons() == ["wrong_pin", "wrong_pin", "wrong_pin", "locked_out"]
    assert stand.world.line.events == ["locked"]
    assert list(stand.world.doorman.lockouts(["scanner", "front-screen"])) == ["front-screen"]
    stand.world.scan(PIN, reader="scanner")
    assert stand.world.reasons()[-1] == "granted"


def test_denied__a_door_that_takes_no_pins(stand: Stand) -> None:
    """It says so instead of calling a PIN unreadable, and `status` tells the page before anybody types."""
    assert stand.refusal("screen_pin", door="stopped", pin=PIN) == (
        "no_pins_here",
        "the door stopped takes no PINs: it has no pin_key_file",
    )
    assert stand.screen.facts("front") == {"takes_pins": True, "serves_staff": True}
    assert stand.screen.facts("stopped") == {"takes_pins": False, "serves_staff": True}
    assert stand.screen.facts("back") is None


@pytest.mark.parametrize("door", ["back", "", "front-screen", "FRONT", None, 5, ["front"], {"front": 1}, PIN])
@pytest.mark.parametrize("do", ["screen_pin", "screen_help", "screen_staff"])
def test_denied__a_door_without_a_screen(stand: Stand, do: str, door: object) -> None:
    """A page opens no door but those that have a screen, though the board has others, and what was sent is not quoted."""
    told = stand.refusal(do, door=door, pin=PIN, what="show")
    assert told == ("no_screen", "there is no screen at such a door; there are: front, stopped")


def test_denied__after_a_standstill_nothing_is_taken(stand: Stand) -> None:
    """What was typed before the agent stood still is not of now: whoever typed it may have left."""
    stand.screen._present = lambda _scan: False
    assert stand.ask("screen_pin", door="front", pin=PIN) == {"taken": False}


# --- help ---


def test_help__is_journaled_and_told_once_in_half_a_minute(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the button is pressed; each door counts for itself."""
    assert [stand.ask("screen_help", door="front") for _ in range(3)] == [{"called": True}, {"called": False}, {"called": False}]
    assert stand.ask("screen_help", door="stopped") == {"called": True}
    monkeypatch.setattr(screen, "HELP_EVERY_S", 0.0)
    assert stand.ask("screen_help", door="front") == {"called": True}
    called = [("front", "front-screen"), ("stopped", "stopped-screen"), ("front", "front-screen")]
    assert stand.told == [{"event": "help_called", "door": door, "reader": reader} for door, reader in called]
    assert rows(stand.world, JOURNAL) == [
        {"kind": "help_called", "door": door, "reader": reader, "reason": None, "detail": "{}"} for door, reader in called
    ]


# --- staff ---


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


def test_staff__without_a_file_there_is_nothing_for_staff(world: World) -> None:
    """A sentence that says what to make; the page is told before it asks."""
    stand = Stand(world, None)
    missing = "staff have no PIN here: make one with `tourlatch staff pin` and name its file in [control] staff_pin_file"
    for what in ("show", "unlock", "lock"):
        assert stand.refusal("screen_staff", door="front", pin=STAFF, what=what, reason="why") == ("no_staff_pin", missing)
    assert stand.screen.facts("front") == {"takes_pins": True, "serves_staff": False}
    assert (world.line.events, rows(world, JOURNAL)) == (["locked"], [])


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


@pytest.mark.usefixtures("fast")
def test_denied__the_digits_are_nowhere(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a prospect's PIN nor staff's is in the store, its log included, in an event, an outcome or a line of the log."""
    for typed in (PIN, WRONG):
        stand.ask("screen_pin", door="front", pin=typed)
        stand.world.settle()
        stand.world.wait_locked()
    stand.refusal("screen_staff", **{**SHOW, "pin": NOT_STAFF})
    shown = stand.ask("screen_staff", **SHOW)
    stand.ask("screen_staff", door="front", pin=STAFF, what="unlock", reason="why")
    stand.world.journaled()
    written = b"".join(path.read_bytes() for path in stand.world.store.parent.iterdir())
    said = json.dumps(stand.told) + json.dumps(shown) + caplog.text + repr(stand.world.outcomes)
    for typed in (PIN, WRONG, STAFF, NOT_STAFF):
        assert typed.encode() not in written
        assert typed not in said

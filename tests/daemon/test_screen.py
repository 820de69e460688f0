"""What a door's screen may have done: no more than fingers could, and no PIN is anywhere but in the request."""

from __future__ import annotations

import json

import pytest

from agent.daemon import screen
from tests.daemon.stand import JOURNAL, NOT_STAFF, SHOW, STAFF, Stand
from tests.daemon.test_pin import PIN, WRONG, rows
from tests.daemon.world import CODE

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

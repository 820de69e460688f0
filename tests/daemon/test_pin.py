"""A PIN at the door: it opens as its code does, is refused as its code is, and its digits are nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core import codes, pin
from agent.core.news import RosterNews
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode, Window
from agent.store import feed, files
from agent.store.journal import Moment
from tests.daemon.world import CODE, NOW_MS, PUBLIC, World, issued

KEY = bytes(range(32, 64))
PIN, WRONG = "40170236", "40170237"
HOUR_MS = 3_600_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A door with a key for PINs, which has heard of one appointment."""
    made = World(tmp_path, {"front": KEY})
    tell(made)
    yield made
    made.close()


def tell(world: World, code: TourCode = CODE, typed: str = PIN, revision: int = 1, door: str = "front") -> None:
    """The desk tells of a confirmed appointment and its PIN at a door."""
    now = world.doorman._clock.now()
    news = RosterNews(RosterEntry(code.appointment_id, Standing.CONFIRMED, code.code_id, "Zumper", revision), code, pin.digest(KEY, typed))
    moment = Moment(now.guess_ms, now.interval)
    world.upkeep.submit(lambda conn: feed.hear_news(conn, door, [news], moment)).result(5)


def end(world: World, standing: Standing) -> None:
    """The desk tells of the end of the appointment."""
    now = world.doorman._clock.now()
    moment = Moment(now.guess_ms, now.interval)
    news = RosterNews(RosterEntry(CODE.appointment_id, standing, revision=9))
    world.upkeep.submit(lambda conn: feed.hear_news(conn, "front", [news], moment)).result(5)


def rows(world: World, sql: str) -> list[dict[str, Any]]:
    """What is in the store, once all that waits is written."""
    world.journaled()
    return files.rows(world.store, sql)


@pytest.mark.parametrize("typed", [PIN, f"{PIN}#"])
def test_granted__a_pin_writes_what_its_code_would(world: World, typed: str) -> None:
    """The admission is on disk before the relay moves, with visit and outbox row; the journal says how it was asked for."""
    outcome = world.scan(typed)
    assert outcome is not None
    assert (outcome.denied, outcome.code, outcome.is_by_pin) == (None, CODE, True)
    assert world.line.found == [("admission", 1)]
    assert rows(world, "SELECT kind, door, reader, appointment_id, code_id, detail FROM journal WHERE kind = 'admission'") == [
        {
            "kind": "admission",
            "door": "front",
            "reader": "scanner",
            "appointment_id": "77",
            "code_id": CODE.code_id,
            "detail": '{"by": "pin"}',
        }
    ]
    assert rows(world, "SELECT appointment_id, prospect_id, community_id, unit_names, source_title FROM visit") == [
        {"appointment_id": "77", "prospect_id": "5", "community_id": "1001", "unit_names": '["101"]', "source_title": "Zumper"}
    ]


def test_granted__pin_and_code_are_one_tour(world: World) -> None:
    """Whoever typed the PIN and then shows the code is the same prospect: one visit, and the uses are counted together."""
    for presented in (PIN, issued(), PIN):
        world.scan(presented)
        world.wait_locked()
    assert world.reasons() == ["granted", "granted", "used_up"]
    assert rows(world, "SELECT count(*) AS visits FROM visit") == [{"visits": 1}]
    assert rows(world, "SELECT admissions FROM used") == [{"admissions": 2}]


def test_denied__a_wrong_pin(world: World) -> None:
    """It is called wrong, journaled without its digits, and nothing moves."""
    world.scan(WRONG)
    assert world.reasons() == ["wrong_pin"]
    assert rows(world, "SELECT reason, appointment_id, code_id, detail FROM journal WHERE kind = 'refusal'") == [
        {"reason": "wrong_pin", "appointment_id": None, "code_id": None, "detail": '{"by": "pin"}'}
    ]
    assert world.line.events == ["locked"]


@pytest.mark.parametrize(
    "text", ["4017023", "401702366", f" {PIN}", f"{PIN} ", f"{PIN}##", f"#{PIN}", "4017-0236", "٤٠١٧٠٢٣٦", "4017023a", ""]
)
def test_denied__what_is_no_pin_is_unreadable(world: World, text: str) -> None:
    """Exactly eight digits and one # at most: nothing near it is tried as a PIN."""
    world.scan(text)
    assert world.reasons() == ["unreadable"]


def test_denied__without_a_key_a_pin_is_as_unreadable_as_ever(tmp_path: Path) -> None:
    """A door that was given no key answers eight digits as it answers anything, though the store knows the hash."""
    world = World(tmp_path)
    try:
        tell(world)
        world.scan(PIN)
        assert world.reasons() == ["unreadable"]
        assert rows(world, "SELECT detail FROM journal WHERE kind = 'refusal'") == [{"detail": "{}"}]
    finally:
        world.close()


@pytest.mark.parametrize("standing", [Standing.CANCELLED, Standing.SUPERSEDED])
def test_denied__an_ended_tours_pin_is_dead_at_once(world: World, standing: Standing) -> None:
    """The next time it is typed it opens nothing, and nothing that is told later revives it."""
    world.scan(PIN)
    world.wait_locked()
    end(world, standing)
    world.scan(PIN)
    tell(world, revision=50)
    world.scan(PIN, after_s=60)
    assert world.reasons() == ["granted", "wrong_pin", "wrong_pin"]


def test_denied__the_old_pin_of_a_moved_tour(world: World) -> None:
    """The newer code brings a PIN of its own, which opens; the old PIN is dead."""
    tell(world, replace(CODE, code_id="0102030405ab"), WRONG, 2)
    world.scan(PIN)
    world.scan(WRONG)
    assert world.reasons() == ["wrong_pin", "granted"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"window": Window(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS)}, "too_early"),
        ({"window": Window(NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS)}, "too_late"),
        ({"doors": ("gym",)}, "wrong_door"),
        ({"community_id": "1002"}, "wrong_community"),
    ],
)
def test_denied__a_pin_is_refused_as_its_code_is(world: World, changes: dict[str, Any], reason: str) -> None:
    """Place and time are the code's; such a refusal is no guess, and names the appointment."""
    tell(world, replace(CODE, appointment_id="78", code_id="0102030405ab", **changes), WRONG)
    outcome = world.scan(WRONG)
    assert world.reasons() == [reason]
    assert outcome is not None
    assert outcome.code is not None
    assert outcome.code.appointment_id == "78"
    assert world.doorman._records["scanner"].guesses._lockout.guesses_s == ()


def test_denied__a_pin_of_another_door(world: World) -> None:
    """What the desk told of another door of the board opens that one only."""
    tell(world, replace(CODE, appointment_id="78", code_id="0102030405ab", doors=("gym",)), WRONG, door="gym")
    world.scan(WRONG)
    assert world.reasons() == ["wrong_pin"]


def test_denied__the_pin_of_a_code_whose_key_was_retired(tmp_path: Path) -> None:
    """A retired key's codes never open again (P5), by whichever way they are presented; that is no guess."""
    world = World(tmp_path, {"front": KEY}, codes.keyring([codes.PublicKey(PUBLIC, is_retired=True)]))
    try:
        tell(world)
        world.scan(PIN)
        assert world.reasons() == ["retired_key"]
        assert world.doorman._records["scanner"].guesses._lockout.guesses_s == ()
    finally:
        world.close()


def test_denied__guessing_is_locked_out_and_a_right_pin_with_it(world: World) -> None:
    """After three wrong PINs a right one sounds exactly like a wrong one; a tour code opens all the same, and the other reader is free."""
    for guess in ("00000001", "00000002", "00000003", PIN, WRONG):
        world.scan(guess)
    assert world.reasons() == ["wrong_pin", "wrong_pin", "wrong_pin", "locked_out", "locked_out"]
    right, wrong = world.outcomes[-2:]
    assert (right.code, right.denied) == (wrong.code, wrong.denied)
    assert world.line.events == ["locked"]
    assert [row["kind"] for row in rows(world, "SELECT kind FROM journal")] == ["refusal", "refusal", "refusal", "lockout"]
    world.scan(issued())
    world.wait_locked()
    world.scan(PIN, reader="other")
    assert world.reasons()[-2:] == ["granted", "granted"]


def test_denied__during_a_lockout_even_the_open_door_does_not_tell(world: World) -> None:
    """While the door is open for the very tour, its PIN is refused like any other."""
    for guess in ("00000001", "00000002", "00000003"):
        world.scan(guess)
    world.scan(issued())
    world.scan(PIN)
    assert world.reasons()[-2:] == ["granted", "locked_out"]


def test_granted__a_pin_ends_a_row_of_guesses(world: World) -> None:
    """Two slips of the finger, the right PIN, two more slips: no lockout."""
    for typed in ("00000001", "00000002", PIN):
        world.scan(typed)
    world.wait_locked()
    for typed in ("00000003", "00000004"):
        world.scan(typed)
    assert world.reasons() == ["wrong_pin", "wrong_pin", "granted", "wrong_pin", "wrong_pin"]


def test_granted__a_pin_typed_again_while_its_door_is_open(world: World) -> None:
    """It is one admission; another prospect's PIN is asked to wait."""
    tell(world, replace(CODE, appointment_id="78", code_id="0102030405ab"), WRONG)
    world.scan(PIN)
    assert world.scan(PIN) is None
    world.scan(WRONG)
    assert world.reasons() == ["granted", "busy"]
    assert rows(world, "SELECT admissions FROM used") == [{"admissions": 1}]


def test_denied__a_store_that_cannot_be_read(world: World) -> None:
    """The door stays shut and says that it has a fault; it is no guess, and the doorman goes on."""
    world.upkeep.submit(lambda conn: conn.execute("ALTER TABLE pin RENAME TO lost")).result(5)
    world.scan(PIN)
    world.upkeep.submit(lambda conn: conn.execute("ALTER TABLE lost RENAME TO pin")).result(5)
    world.scan(PIN)
    assert world.reasons() == ["store_failed", "granted"]


def test_denied__a_row_that_was_damaged_opens_nothing(world: World) -> None:
    """What the store holds is checked as a code is: damage is a fault of the store's, not of the prospect, and not the doorman's death."""
    world.upkeep.submit(lambda conn: conn.execute("UPDATE pin SET doors = '{'")).result(5)
    world.scan(PIN)
    world.upkeep.submit(lambda conn: conn.execute("UPDATE pin SET doors = '[\"front\"]', end_ms = 0")).result(5)
    world.scan(PIN)
    assert world.reasons() == ["store_failed", "store_failed"]
    assert world.doorman.is_well()


def test_denied__the_digits_are_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the store, its log included, nor in what is told, nor in a line of the log."""
    for typed in (PIN, WRONG, "00000001", "00000002", "00000003", PIN):
        world.scan(typed)
        world.wait_locked()
    world.journaled()
    written = b"".join(path.read_bytes() for path in world.store.parent.iterdir())
    for typed in (PIN, WRONG, "00000001"):
        assert typed.encode() not in written
        assert typed not in caplog.text
        assert all(typed not in repr(replace(outcome, scan=None)) for outcome in world.outcomes)  # type: ignore[arg-type]


def test_denied__reasons_are_the_tables(world: World) -> None:
    """A wrong PIN has its own reason, so that the prospect is told to look at the PIN and not at a code."""
    outcome = world.scan(WRONG)
    assert outcome is not None
    assert outcome.denied is not None
    assert outcome.denied.reason is Reason.WRONG_PIN

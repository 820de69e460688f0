"""What a page is told, and when."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest

from agent.kiosk.run import Kiosk
from tests.kiosk.browser import Browser
from tests.kiosk.played_agent import PlayedAgent

Play = Callable[..., Any]
KEYS = {
    *("number", "version", "token", "is_remote", "language", "kind", "reason", "title", "text", "picture", "countdown_to_ms"),
    *("shown_until_ms", "now_ms", "units", "way", "phone", "is_offline", "is_dark", "is_dim", "sound", "pin", "can_book", "book"),
    *("has_help", "has_staff", "staff_idle_s", "is_locked"),
}


def test_ok__a_page_that_waits_hears_of_an_event_without_asking_again(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """One request is held, and answered by the event: the next number, what it is, and every key that a page may rely on."""
    before = browser.state()
    with ThreadPoolExecutor(1) as others:
        held = others.submit(browser.state, before["number"])
        play(agent.tell("scan", door="front", reader="front-scanner"))
        found = held.result()
    assert set(found) == KEYS
    assert (found["kind"], found["number"] != before["number"]) == ("checking", True)


def test_ok__a_welcome_names_units_and_the_way_in_the_pages_language(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """The same state in two languages: words differ, facts do not."""
    play(agent.tell("admitted", door="front", units=["204 B", "305"], doors=["front"], at_ms=time.time_ns() // 1_000_000))
    english = browser.until("welcome")
    spanish = browser.state(lang="es")
    assert english["units"] == spanish["units"] == ["204 B", "305"]
    assert english["way"] == [{"unit": "204 B", "words": "Floor 2, left"}]
    assert spanish["way"] == [{"unit": "204 B", "words": "Piso 2, a la izquierda"}]
    assert (english["language"], spanish["language"]) == ("en", "es")
    assert (english["sound"], english["phone"]) == ("granted", "+1 555 0100")
    assert english["shown_until_ms"] - english["now_ms"] <= 10_000


def test_ok__a_refusal_counts_down_to_the_time_that_helps(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """Too early: the instant is that of the event, by the agent's clock, even when this board's own is an hour off."""
    at_ms = time.time_ns() // 1_000_000 + 3_600_000
    play(agent.tell("refused", door="front", reason="too_early", time_ms=at_ms + 90_000, doors=["front"], at_ms=at_ms))
    found = browser.until("refused")
    assert (found["reason"], found["countdown_to_ms"], found["sound"]) == ("too_early", at_ms + 90_000, "denied")
    assert 0 <= found["now_ms"] - at_ms < 30_000
    assert found["title"]


def test_ok__a_time_that_is_over_is_counted_down_to_by_nobody(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """Too late: there is nothing to wait for."""
    at_ms = time.time_ns() // 1_000_000
    play(agent.tell("refused", door="front", reason="too_late", time_ms=at_ms - 90_000, doors=["front"], at_ms=at_ms))
    assert browser.until("refused")["countdown_to_ms"] is None


def test_ok__what_is_over_by_itself_reaches_a_waiting_page(agent: PlayedAgent, start: Callable[..., Kiosk], play: Play) -> None:
    """A welcome ends, and the page hears of it without an event."""
    browser = Browser(start(look={"welcome_s": 3}).address)
    browser.until("ready")
    play(agent.tell("admitted", door="front", units=[], doors=[]))
    welcome = browser.until("welcome")
    after = browser.state(welcome["number"])
    for _ in range(5):
        if after["kind"] == "ready":
            break
        after = browser.state(after["number"])
    assert after["kind"] == "ready"


def test_ok__a_page_without_a_number_or_with_an_old_one_is_answered_at_once(browser: Browser) -> None:
    """A page that comes from before a restart never waits."""
    number = browser.state()["number"]
    for after in ("", "?after=", "?after=x", "?after=-1", f"?after={number + 1}", f"?after={number - 1}", "?after=" + "9" * 400):
        assert browser.get(f"/screen/state{after}").json["number"] == number


def test_ok__no_more_than_so_many_pages_wait(
    agent: PlayedAgent, start: Callable[..., Kiosk], play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is told so; those who wait are answered all the same."""
    monkeypatch.setattr("agent.kiosk.server.MAX_WAITING", 2)
    browser = Browser(start().address)
    browser.until("ready")
    number = browser.state()["number"]
    with ThreadPoolExecutor(3) as others:
        asked = [others.submit(browser.get, f"/screen/state?after={number}") for _ in range(3)]
        refused, _ = wait(asked, return_when=FIRST_COMPLETED)
        play(agent.tell("scan", door="front"))
        statuses = sorted(one.result().status for one in asked)
    assert [one.result().status for one in refused] == [503]
    assert statuses == [200, 200, 503]


def test_ok__pages_that_leave_make_room(browser: Browser, start: Callable[..., Kiosk], play: Play) -> None:
    """A browser that hangs up while it waits is forgotten."""
    kiosk = start()
    Browser(kiosk.address).until("ready")
    number = kiosk.hub.shown.number
    lines = [socket.create_connection(kiosk.address) for _ in range(5)]
    for line in lines:
        line.sendall(f"GET /screen/state?after={number} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())

    async def waiting(count: int) -> None:
        while kiosk.hub.waiting != count:  # noqa: ASYNC110 - bounded by whoever waits for this
            await asyncio.sleep(0.005)

    play(waiting(5))
    for line in lines:
        line.close()
    play(waiting(0))
    assert browser.state()["kind"] == "ready"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"pin": {"is_shuffled": True, "clear_s": 15, "locked_to_ms": None}, "has_help": True, "has_staff": True, "book": None}),
        ({"pin_pad": None, "help": None, "staff": None}, {"pin": None, "has_help": False, "has_staff": False, "book": None}),
    ],
)
def test_ok__what_is_left_out_of_the_settings_is_not_offered(
    agent: PlayedAgent, start: Callable[..., Kiosk], changed: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Each table switches on what it is for."""
    del agent
    state = Browser(start(**changed).address).until("ready")
    assert {name: state[name] for name in expected} == expected


def test_ok__what_the_agent_cannot_do_is_not_offered(agent: PlayedAgent, start: Callable[..., Kiosk]) -> None:
    """A door without PINs has no pad, and without staff's PIN nothing for staff."""
    agent.door["screen"] = {"takes_pins": False, "serves_staff": False}
    state = Browser(start().address).until("ready")
    assert (state["pin"], state["has_staff"]) == (None, False)


def test_ok__the_pad_says_until_when_it_is_locked(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """Wrong PINs on it are its own affair, and the page asks for codes as ever; what was guessed at a reader is said to everybody."""
    number = browser.state()["number"]
    agent.door["locked_out"] = {"front-screen": 60}
    play(agent.tell("locked_out", door="front", reader="front-screen", lock_s=60))
    found = browser.state(number)
    assert (found["kind"], found["countdown_to_ms"]) == ("ready", None)
    assert 0 < found["pin"]["locked_to_ms"] - found["now_ms"] <= 60_000
    agent.door["locked_out"] = {"front-screen": 60, "front-scanner": 60}
    play(agent.tell("locked_out", door="front", reader="front-scanner", lock_s=60))
    found = browser.until("locked_out")
    assert found["text"] == "A tour code still works when you show it. PINs have to wait."
    assert 0 < found["countdown_to_ms"] - found["now_ms"] <= 60_000


def test_ok__a_screen_that_starts_during_a_lockout_knows_of_it(agent: PlayedAgent, start: Callable[..., Kiosk]) -> None:
    """What was told before its start stands in the agent's status; the pad is free."""
    agent.door["locked_out"] = {"front-scanner": 60.0}
    found = Browser(start().address).until("locked_out")
    assert 0 < found["countdown_to_ms"] - found["now_ms"] <= 60_000
    assert (found["text"], found["pin"]["locked_to_ms"]) == ("A tour code still works when you show it.", None)


def test_ok__a_welcome_says_that_the_door_is_unlocked_until_it_locks(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """The units and the way stay; staff who lock end it."""
    agent.door["lock"] = "released"
    play(agent.tell("admitted", door="front", units=["204 B"], doors=[]))
    welcome = browser.until("welcome")
    agent.door["lock"] = "locked"
    play(agent.tell("locked", door="front"))
    over = browser.state(welcome["number"])
    for state, text, is_locked in (
        (welcome, "The door is unlocked. Come in.", False),
        (over, "Scan your code again if you are still outside.", True),
    ):
        assert (state["kind"], state["text"], state["is_locked"], state["units"]) == ("welcome", text, is_locked, ["204 B"])
    assert [(one["title"], one["picture"]) for one in (welcome, over)] == [
        ("Welcome", "welcome"),
        ("The door is locked again", "locked_again"),
    ]
    assert [one["words"] for one in over["way"]] == ["Floor 2, left"]
    play(agent.tell("locked_by_staff"))
    assert browser.state(over["number"])["kind"] == "ready"


@pytest.mark.parametrize(("door", "there_are"), [("frnt", ["front"]), ("front", [])], ids=["a door that is none", "one without a screen"])
def test_fail__a_door_that_is_not_the_agents_is_named_in_the_log_once(
    agent: PlayedAgent, start: Callable[..., Kiosk], caplog: pytest.LogCaptureFixture, door: str, there_are: list[str]
) -> None:
    """With those that have a screen and where to mend it; a door that nobody knows is out of order on the screen."""
    agent.door["screen"] = {"takes_pins": True, "serves_staff": True} if there_are else None
    browser = Browser(start(door=door).address)
    browser.until("out_of_order" if there_are else "ready")
    Browser(start(door=door).address).until("out_of_order" if there_are else "ready")
    told = [record.facts for record in caplog.records if record.getMessage() == "door_unknown"]  # type: ignore[attr-defined]
    assert [(one["door"], one["there_are"]) for one in told] == [(door, there_are)] * 2  # once by each of the two
    assert "kiosk.toml" in told[0]["because"]


def test_fail__without_the_time_nobody_is_asked_for_a_code(agent: PlayedAgent, start: Callable[..., Kiosk]) -> None:
    """The screen says that it is its fault, and whom to call; there is no pad."""
    agent.answers["status"] = {"ok": True, "doors": {"front": agent.door}, "knock": {"is_up": True}, "clock": {"state": "lost"}}
    found = Browser(start().address).until("out_of_order")
    assert (found["text"], found["pin"], found["phone"]) == (
        "No code can be checked just now: this door does not know the time.",
        None,
        "+1 555 0100",
    )


def test_ok__sounds_are_a_setting(agent: PlayedAgent, start: Callable[..., Kiosk], play: Play) -> None:
    """A quiet screen is told of no sound."""
    browser = Browser(start(look={"sounds": False}).address)
    browser.until("ready")
    play(agent.tell("admitted", door="front", units=[], doors=[]))
    assert browser.until("welcome")["sound"] is None

"""A screen's page before the real agent, over the socket: what it gets, and where no PIN is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.daemon.screen import PIN_EVERY_S
from agent.demo.stage import Stage
from agent.errors import RequestRefusedError
from tests.control.screened import KIOSK_USER, PIN, STAFF, screened, start

Play = Callable[..., Any]
OTHER_USER = """
import os, pwd, socket, sys
user = pwd.getpwnam(sys.argv[1])
os.setgroups([]), os.setgid(user.pw_gid), os.setuid(user.pw_uid)
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(10), peer.connect("agent.sock")
peer.sendall(b'{"do":"status"}\\n')
sys.stdout.write(peer.makefile().readline())
"""
"""Asks for the status as somebody else, in the folder of the socket."""
WRONG, NOT_STAFF = "98321477", "662915"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[Stage]:
    """A running agent whose door has a screen."""
    made = screened(tmp_path_factory.mktemp("stage"))
    try:
        play(start(made))
        yield made
    finally:
        play(made.close())


async def _typed(stage: Stage, digits: str) -> dict[str, Any]:
    """What becomes of a PIN on the screen."""
    for _ in range(100):
        if (await stage.ask({"do": "screen_pin", "door": "front", "pin": digits}))["taken"]:
            return await stage.event("admitted", "refused")
        await asyncio.sleep(PIN_EVERY_S / 10)
    raise AssertionError("no PIN is taken any more")


def test_ok__status_tells_what_the_screen_can_do(stage: Stage, play: Play) -> None:
    """The page knows whether to show a keypad and staff's key before anybody touches it."""
    assert play(stage.ask({"do": "status"}))["doors"]["front"]["screen"] == {"takes_pins": True, "serves_staff": True}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_ok__the_screens_own_user_is_told_less_than_staff(stage: Stage, play: Play) -> None:
    """Over the real socket, by a process of that user's: how the door is, and neither keys nor the queue nor who the agent belongs to."""
    stage.folder.chmod(0o755)
    command = [sys.executable, "-I", "-c", OTHER_USER, KIOSK_USER]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, cwd=stage.folder).stdout)
    whole = play(stage.ask({"do": "status"}))
    assert set(told) == {"ok", "at_ms", "doors", "knock", "clock"}
    assert (set(told["knock"]), set(told["clock"])) == ({"is_up"}, {"state"})
    assert set(told["doors"]["front"]) == {"lock", "leaf", "fire", "fault", "readers", "locked_out", "screen", "feed"}
    assert told["doors"]["front"]["readers"] == whole["doors"]["front"]["readers"]


def test_ok__a_pin_opens_and_no_digit_is_anywhere(stage: Stage, play: Play) -> None:
    """Right, wrong and malformed ones, a prospect's and staff's: none is in an event, an answer, an error, a log line or a file."""
    said: list[str] = []
    events: list[dict[str, Any]] = []
    wrong_asks: list[dict[str, Any]] = [
        {"do": "screen_pin", "door": "front", "pin": PIN + "9"},
        {"do": "screen_pin", "door": PIN, "pin": PIN},
        {"do": "screen_pin", "door": "front", "pin": [PIN]},
        {"do": "screen_staff", "door": "front", "pin": NOT_STAFF, "what": "show"},
        {"do": "screen_staff", "door": "front", "pin": STAFF, "what": STAFF},
        {"do": "screen_staff", "door": "front", "pin": STAFF + "#", "what": "unlock", "reason": "x"},
        {"do": "screen_staff", "door": "front", "pin": STAFF, "what": "unlock", "reason": ""},
    ]

    async def story() -> None:
        events.append(await _typed(stage, WRONG))
        events.append(await _typed(stage, PIN))
        for request in wrong_asks:
            with pytest.raises(RequestRefusedError) as refused:
                await stage.ask(request)
            said.append(str(refused.value))
        shown = await stage.ask({"do": "screen_staff", "door": "front", "pin": STAFF, "what": "show"})
        assert [tour["units"] for tour in shown["tours"]] == [["101", "204 B"]]
        assert shown["tours"][0]["admitted_ms"] is not None
        said.append(json.dumps(shown))
        await stage.relay_record("locked", 0)
        await stage.ask({"do": "screen_staff", "door": "front", "pin": STAFF, "what": "lock"})
        events.append(await stage.event("locked_by_staff"))

    play(story())
    wrong, right, _ = events
    assert (wrong["event"], wrong["reason"], wrong["reader"], wrong["by"]) == ("refused", "wrong_pin", "front-screen", "pin")
    assert (right["event"], right["units"], right["doors"], right["reader"]) == ("admitted", ["101", "204 B"], ["front"], "front-screen")
    written = b"".join(path.read_bytes() for path in stage.folder.iterdir() if path.is_file())
    assert b"front-screen" in written
    for digits in (PIN, WRONG, STAFF, NOT_STAFF):
        assert digits.encode() not in written
        assert digits not in json.dumps(events) + "".join(said)
    assert "traceback" not in stage.agent_log().lower()


def test_ok__help_is_told_and_journaled(stage: Stage, play: Play) -> None:
    """Once; pressed again at once it is not."""

    async def story() -> None:
        request = {"do": "screen_help", "door": "front"}
        assert [await stage.ask(request), await stage.ask(request)] == [{"ok": True, "called": True}, {"ok": True, "called": False}]
        assert (await stage.event("help_called"))["door"] == "front"

    play(story())

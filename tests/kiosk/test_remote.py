"""The page on another device: with a token, and to look at only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigError
from agent.kiosk.run import Kiosk
from tests.kiosk.browser import Browser
from tests.kiosk.conftest import settings
from tests.kiosk.played_agent import PlayedAgent

Play = Callable[..., Any]
TOKEN = "0123456789abcdef0123456789abcdef"


def token_file(folder: Path, text: str = TOKEN) -> str:
    """A private file with the token."""
    path = folder / "screen-token"
    path.touch(0o600)
    path.write_text(text + "\n", "ascii")
    return str(path)


@pytest.fixture(name="kiosk")
def _kiosk(tmp_path: Path, agent: PlayedAgent, start: Callable[..., Kiosk]) -> Kiosk:
    del agent
    kiosk = start(remote={"port": 0, "token_file": token_file(tmp_path)}, book={"url": "http://127.0.0.1:9", "community": "juniper-flats"})
    Browser(kiosk.address).until("ready")
    return kiosk


@pytest.fixture(name="device")
def _device(kiosk: Kiosk) -> Browser:
    return Browser(kiosk.remote_address)


def enter(device: Browser, token: object = TOKEN) -> int:
    """Show a token."""
    headers = {"Content-Type": "application/json", "Origin": device.origin}
    return device.ask("POST", "/screen/enter", json.dumps({"token": token}).encode(), headers).status


def test_ok__a_device_that_shows_its_token_follows_the_screen(device: Browser) -> None:
    """Its cookie is kept from scripts and from other sites; the state offers nothing that could be touched, nor a token to do so."""
    got = device.ask(
        "POST", "/screen/enter", b'{"token":"%s"}' % TOKEN.encode(), {"Content-Type": "application/json", "Origin": device.origin}
    )
    assert got.status == 204
    assert "; Path=/; HttpOnly; SameSite=Strict" in got.headers["set-cookie"]
    assert TOKEN not in got.headers["set-cookie"]
    state = device.until("ready")
    assert {name: state[name] for name in ("token", "pin", "book", "can_book", "has_help", "has_staff", "is_remote")} == {
        **dict.fromkeys(("token", "pin", "book")),
        **dict.fromkeys(("can_book", "has_help", "has_staff"), False),
        "is_remote": True,
    }


def test_ok__a_device_hears_what_happens_and_comes_back_after_a_restart(
    device: Browser, agent: PlayedAgent, play: Play, start: Callable[..., Kiosk], tmp_path: Path
) -> None:
    """The cookie is good for another kiosk with the same token: a screen on a wall needs nobody after an update."""
    enter(device)
    play(agent.tell("admitted", door="front", units=["101"], doors=["front"]))
    assert device.until("welcome")["units"] == ["101"]
    other = Browser(start(remote={"port": 0, "token_file": token_file(tmp_path)}).remote_address)
    other.cookie = device.cookie
    assert other.until("ready")["is_remote"] is True


def test_fail__other_devices_never_take_the_places_of_this_boards_screen(
    tmp_path: Path, agent: PlayedAgent, play: Play, start: Callable[..., Kiosk]
) -> None:
    """One device more than there may be is told so, and the screen at the door waits and hears as ever."""
    kiosk = start(remote={"port": 0, "token_file": token_file(tmp_path), "max_screens": 1})
    local, device = Browser(kiosk.address), Browser(kiosk.remote_address)
    number = local.until("ready")["number"]
    enter(device)
    with ThreadPoolExecutor(3) as others:
        remote = [others.submit(device.get, f"/screen/state?after={number}") for _ in range(2)]
        wait(remote, return_when=FIRST_COMPLETED)
        here = others.submit(local.state, number)
        while kiosk.hub.waiting < 2:
            time.sleep(0.005)
        play(agent.tell("scan", door="front"))
        assert here.result()["kind"] == "checking"
        assert sorted(one.result().status for one in remote) == [200, 503]


@pytest.mark.parametrize("token", ["", "0" * 32, TOKEN[:-1], TOKEN + "0", TOKEN.upper(), None, 5, [TOKEN], "\u00e9" * 32, "x" * 600])
def test_fail__a_wrong_token_shows_nothing(device: Browser, token: object) -> None:
    """No cookie, no state; the page itself holds no facts."""
    assert enter(device, token) in {400, 401}
    assert device.cookie is None
    assert device.get("/screen/state").status == 401
    assert device.get("/").status == 200


@pytest.mark.parametrize("cookie", ["screen=", "screen=1", f"screen={TOKEN}", "other=1", "screen=\u00e9", "screen=" + "0" * 64])
def test_fail__a_made_up_cookie_shows_nothing(device: Browser, cookie: str) -> None:
    """Only what the token makes counts, and not the token itself."""
    assert device.ask("GET", "/screen/state", headers={"Cookie": cookie.encode("utf-8").decode("latin-1")}).status == 401


def test_fail__a_page_of_another_site_cannot_enter(device: Browser) -> None:
    """Even with the token."""
    headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    assert device.ask("POST", "/screen/enter", b'{"token":"%s"}' % TOKEN.encode(), headers).status == 403


@pytest.mark.parametrize("target", ["/screen/pin", "/screen/help", "/screen/staff", "/juniper-flats/register"])
def test_fail__nothing_can_be_touched_from_another_device(device: Browser, kiosk: Kiosk, agent: PlayedAgent, target: str) -> None:
    """There is no such path, not even with the local page's token."""
    enter(device)
    headers = {"Content-Type": "application/json", "Origin": device.origin, "X-Screen-Token": Browser(kiosk.address).state()["token"]}
    assert device.ask("POST", target, b'{"pin":"12345678","what":"show"}', headers).status == 404
    assert {one["do"] for one in agent.asked} == {"status", "events"}


@pytest.mark.parametrize("target", ["/juniper-flats", "/juniper-flats/times", "/tour/abc", "/static/x.css"])
def test_fail__no_page_of_the_desk_is_passed_to_another_device(device: Browser, target: str) -> None:
    """Booking is the local screen's."""
    enter(device)
    assert device.get(target).status == 404


def test_fail__the_local_page_takes_no_token(kiosk: Kiosk) -> None:
    """And the remote one is not there without its table."""
    assert enter(Browser(kiosk.address)) == 404


@pytest.mark.parametrize("text", ["short", "x" * 31])
def test_fail__a_short_token_stops_the_start(tmp_path: Path, text: str) -> None:
    """The sentence says how to make one."""
    with pytest.raises(ConfigError, match="shorter than 32 characters: openssl rand -hex 32 makes one"):
        Kiosk(settings(tmp_path / "agent.sock", remote={"token_file": token_file(tmp_path, text)}))


def test_fail__a_token_that_others_can_read_stops_the_start(tmp_path: Path) -> None:
    """As every secret's file."""
    name = token_file(tmp_path)
    Path(name).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Kiosk(settings(tmp_path / "agent.sock", remote={"token_file": name}))

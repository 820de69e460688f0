"""The real kiosk beside the real agent and the real desk, each a process of its own."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.demo.stage import Stage
from agent.demo.visitor import Visitor
from tests.kiosk.browser import Browser

Play = Callable[..., Any]
PATIENCE_S = 20.0
KIOSK_USER = next(user for user in ("nobody", "daemon") if pwd.getpwnam(user).pw_uid != os.getuid())
"""Whoever runs the tests runs the kiosk, too, and may ask the agent anything; but there is a screen only where a user of it is named."""


class Program:
    """One kiosk process; by its command, or as that starts it."""

    def __init__(self, folder: Path, text: str, env: dict[str, str] | None = None, *, is_by_command: bool = False) -> None:
        self.config_path = folder / "kiosk.toml"
        self.config_path.write_text(text, "utf-8")
        self.log_path = folder / "kiosk.log"
        with self.log_path.open("wb") as log:
            command = [sys.executable, "-I", "-X", "utf8", "-m", "agent.kiosk", str(self.config_path)]
            if is_by_command:
                command = [sys.executable, "-m", "agent.cli", "kiosk", "-c", str(self.config_path)]
            self.process = subprocess.Popen(command, stderr=log, env=env)

    def log(self) -> str:
        """What it wrote so far."""
        return self.log_path.read_text("utf-8", "replace")

    def address(self) -> tuple[str, int]:
        """Where it listens, once it says so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and self.process.poll() is None:
            if found := re.search(r"listening host=(\S+) port=(\d+)", self.log()):
                return found[1], int(found[2])
            time.sleep(0.02)
        raise AssertionError(f"the kiosk does not listen: {self.log()}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it, and its exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """Whatever is left of it."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(PATIENCE_S)


def text(folder: Path, more: str = "") -> str:
    """A configuration beside a stage in a folder."""
    return (
        f'door = "front"\ntime_zone = "America/Los_Angeles"\nagent_socket = "{folder}/agent.sock"\nhelp_phone = "+1 555 0100"\n'
        f"[listen]\nport = 0\n[look]\nwelcome_s = 3\nrefused_s = 5\n[pin_pad]\n[help]\n[staff]\n{more}"
    )


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[Stage]:
    """A desk, and an agent that has a screen."""
    control = f'[control]\nkiosk_users = ["{KIOSK_USER}"]\n'
    made = Stage(tmp_path_factory.mktemp("site"), has_desk=True, replace={"[control]\n": control, "pulse_s = 0.5": "pulse_s = 0.1"})
    play(made.open())
    try:
        play(made.start_desk())
        play(made.start_agent())
        yield made
    finally:
        play(made.close())


@pytest.fixture(scope="module", name="kiosk")
def _kiosk(site: Stage) -> Iterator[Program]:
    book = f'[book]\nurl = "{site.desk.url}"\ncommunity = "juniper-flats"\n'
    program = Program(site.folder, text(site.folder, book))
    yield program
    program.kill()


@pytest.fixture(name="browser")
def _browser(kiosk: Program) -> Browser:
    found = Browser(kiosk.address())
    found.until("ready")
    return found


def booked(play: Play, browser: Browser, who: str, number: int) -> str:
    """A tour of 204 B booked on the screen: its PIN."""
    visitor = Visitor()
    times = play(visitor.get(f"{browser.origin}/juniper-flats/times"))
    form = play(visitor.get(times.link("/register", number)))
    page = play(
        visitor.submit(
            form, first_name=who, last_name="Example", email=f"{who}@example.com", phone=f"(415) 555-28{number:02d}", unit="204 B"
        )
    )
    pin = re.search(r"\b(\d{4}) (\d{4})\b", page.text)
    assert pin is not None, page.text
    return pin[1] + pin[2]


def tour_code(site: Stage) -> str:
    """A genuine code of the desk's key for a tour that is now."""
    start_s = time.time() - 60
    start, end = (time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at_s)) for at_s in (start_s, start_s + 900))
    return site.sign({"appointmentId": f"s{time.monotonic_ns()}", "prospectId": "p1"}, start, end)


def test_ok__a_scan_is_welcomed_on_a_page_that_waits(site: Stage, browser: Browser) -> None:
    """From the scanner's line through the agent to the page: units by name, and the screen goes back by itself."""
    number = browser.state()["number"]
    with ThreadPoolExecutor(1) as others:
        held = others.submit(browser.state, number)
        site.scan(tour_code(site))
        assert held.result()["kind"] in {"checking", "welcome"}
    assert browser.until("welcome")["units"] == ["101", "204 B"]
    browser.until("ready")


def test_ok__a_tour_booked_on_the_screen_opens_the_door_by_the_pin_typed_there(play: Play, site: Stage, browser: Browser) -> None:
    """The whole way of a passer-by without a phone: book, read the PIN, type it, come in."""
    state = browser.state()
    while not state["can_book"]:
        state = browser.state(state["number"])
    pin = booked(play, browser, "ada", 0)
    began_ns = time.monotonic_ns()

    # the door hears of the booking
    while play(site.event("roster"))["changed"] == 0:
        pass
    taken = browser.touch("pin", {"pin": pin}).json
    assert taken == {"taken": True}
    found = browser.until("welcome")
    assert found["units"] == ["204 B"]
    assert play(site.relay_record("released", began_ns)) > began_ns
    browser.until("ready")


def test_fail__a_wrong_pin_is_refused_by_the_agent(play: Play, site: Stage, browser: Browser) -> None:
    """The reader of the refusal is the screen's own, the reason is the one table's, and the PIN is in no log."""
    while browser.touch("pin", {"pin": "00000001"}).json != {"taken": True}:
        time.sleep(0.1)
    found = browser.until("refused")
    assert (found["reason"], found["phone"]) == ("wrong_pin", "+1 555 0100")
    event = play(site.event("refused"))
    assert (event["reader"], event["reason"]) == ("front-screen", "wrong_pin")
    assert "00000001" not in site.agent_log()


def test_ok__a_call_for_help_is_an_event_of_the_door(play: Play, site: Stage, browser: Browser) -> None:
    """Staff who follow the events hear of it."""
    assert browser.touch("help", {}).json == {"called": True, "staff": "nobody"}
    assert play(site.event("help_called"))["door"] == "front"
    assert browser.touch("help", {}).json == {"called": False, "staff": "nobody"}


def test_fail__staff_without_a_pin_file_are_served_nothing(browser: Browser) -> None:
    """The agent has no PIN of staff's, so the page has nothing for them; and who asks all the same is told why."""
    assert browser.state()["has_staff"] is False
    got = browser.touch("staff", {"pin": "123456", "what": "show"})
    assert (got.status, got.json["reason"]) == (409, "no_staff_pin")


def test_ok__an_agent_that_dies_is_shown_as_starting_and_back_as_ready(play: Play, site: Stage, browser: Browser) -> None:
    """Killed as by a power cut, started again: the kiosk is the same process all along."""
    play(site.kill_agent())
    browser.until("starting")
    play(site.start_agent())
    browser.until("ready")


def test_ok__a_stop_lets_waiting_pages_go_and_ends_well(tmp_path: Path) -> None:
    """SIGTERM with pages that wait, and without an agent: exit status 0, and every page was answered."""
    program = Program(tmp_path, text(tmp_path), is_by_command=True)
    try:
        browser = Browser(program.address())
        number = browser.state()["number"]
        with ThreadPoolExecutor(4) as others:
            held = [others.submit(browser.get, f"/screen/state?after={number}") for _ in range(4)]
            while not all(one.running() for one in held):
                time.sleep(0.005)
            time.sleep(0.3)
            assert program.end() == 0
            assert [one.result().status for one in held] == [200] * 4
        assert "traceback" not in program.log()
    finally:
        program.kill()


def test_ok__systemd_is_told_and_the_launcher_sees_a_page_that_asks(tmp_path: Path) -> None:
    """READY=1 once it listens, WATCHDOG=1 again and again, STOPPING=1 at the end; `polled` is made at the start and moves with a page."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(PATIENCE_S)
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000", "RUNTIME_DIRECTORY": str(tmp_path)}
        env.pop("WATCHDOG_PID", None)
        program = Program(tmp_path, text(tmp_path), env)
        try:
            browser = Browser(program.address())
            told: list[str] = []
            while told.count("WATCHDOG=1") < 3 or "READY=1" not in told:
                told += notified.recv(1000).decode().splitlines()
            assert (tmp_path / "polled").exists()
            (tmp_path / "polled").unlink()
            while not (tmp_path / "polled").exists():
                browser.state()
                told += notified.recv(1000).decode().splitlines()  # nobody waits for systemd, so what it does not read is lost
            assert program.end() == 0
            while "STOPPING=1" not in told:
                told += notified.recv(1000).decode().splitlines()
        finally:
            program.kill()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("port = 0", 'port = "x"'), "listen.port"),
        (("[staff]", "[staf]"), "staf: there is no such key; did you mean staff?"),
        (("welcome_s = 3", 'logo = "/nowhere/logo.png"'), "the logo /nowhere/logo.png cannot be read: No such file or directory"),
        (("[pin_pad]", '[remote]\\ntoken_file = "/nowhere/token"'), "/nowhere/token"),
        (
            ("port = 0", 'host = "0.0.0.0"'),
            "must be this machine's own (127.0.0.1, ::1 or localhost); for another device there is [remote]",
        ),
    ],
)
def test_fail__what_cannot_be_used_stops_the_start_with_a_sentence(tmp_path: Path, changed: tuple[str, str], sentence: str) -> None:
    """Exit status 1, the sentence on stderr, no traceback."""
    program = Program(tmp_path, text(tmp_path).replace(changed[0], changed[1].replace("\\n", "\n")))
    assert program.process.wait(PATIENCE_S) == 1
    assert sentence in program.log().replace("\\n", "\n")
    assert "Traceback" not in program.log()


def test_fail__a_port_in_use_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    """Two kiosks on one port: the second says which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = Program(tmp_path, text(tmp_path).replace("port = 0", f"port = {port}"))
        assert program.process.wait(PATIENCE_S) == 1
    assert f"Port {port} of 127.0.0.1 is in use by another program" in program.log()

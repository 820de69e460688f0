"""The browser's launcher, with stand-ins for cage and the browsers: which one, when, with what, and when it starts anew."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.units import FOLDER

SCRIPT = FOLDER / "screen.sh"
GIGABYTE = 1024 * 1024
CAGE = """#!/bin/sh
# Stands in for cage: tells its version and options, and runs what it is given.
case $1 in -v) echo "Cage version $CAGE_VERSION"; exit ;; -h) echo "$CAGE_OPTIONS" >&2; exit ;; esac
echo "cage $*" >>"$RECORD"
while [ "$1" != -- ]; do shift; done
shift
"$@"
"""
TOOL = """#!/bin/sh
echo "${0##*/} $*" >>"$RECORD"
[ -z "${STAYS:-}" ] || exec sleep 60
[ "${0##*/}" != wlr-randr ] || [ $# != 0 ] || printf 'HDMI-A-1 "A screen"\\n  Enabled: yes\\n'
"""


class Board:
    """A board with so much memory and such programs."""

    def __init__(self, folder: Path, memory_kb: int, *programs: str) -> None:
        self.polled = folder / "polled"
        self.rules = folder / "chromium" / "managed" / "tourlatch.json"
        self._has_rules = True
        self._record = folder / "record"
        self._record.touch()
        commands = folder / "commands"
        commands.mkdir()
        for tool in ("sh", "sed", "find", "grep", "sleep", "rm", "kill", "mkdir"):
            (commands / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
        for name in programs:
            (commands / name).write_text(CAGE if name == "cage" else TOOL, "utf-8")
            (commands / name).chmod(0o755)
        (folder / "meminfo").write_text(f"MemTotal:       {memory_kb} kB\nMemFree:        1 kB\n", "ascii")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        self._environment = {
            "PATH": str(commands),
            "XDG_RUNTIME_DIR": str(folder),
            "SCREEN_MEMINFO": str(folder / "meminfo"),
            "SCREEN_PYTHON": sys.executable,
            "SCREEN_POLLED": str(self.polled),
            "SCREEN_LOOK_S": "0.1",
            "SCREEN_URL": self.url,
            "SCREEN_TEMPLATE": str(FOLDER / "tourlatch-chromium.json"),
            "SCREEN_RULES": str(self.rules),
            "RECORD": str(self._record),
            "CAGE_VERSION": "0.2.0",
            "CAGE_OPTIONS": " -d\t Don't draw client side decorations, when possible",
        }

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        """Start the launcher, in a process group of its own."""
        return subprocess.Popen(
            ["/bin/sh", str(SCRIPT), *words], env=self._environment | settings, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def run(self, *words: str, **settings: str) -> tuple[int, str]:
        """The launcher's exit status, and what it said; as the unit does, it writes the rules first, unless there are words."""
        if not words and self._has_rules:
            self.run("rules", **settings)
        with self.start(*words, **settings) as process:
            _, said = process.communicate(timeout=60)
        return process.returncode, said

    def without_rules(self) -> None:
        """Nothing writes them from now on."""
        self._has_rules = False

    def did(self) -> list[str]:
        """What was run."""
        return self._record.read_text("utf-8").splitlines()

    def close(self) -> None:
        """Serve the page no longer."""
        self._server.close()


Boards = Callable[..., Board]


@pytest.fixture
def board_of(tmp_path: Path) -> Iterator[Boards]:
    """Makes the board of a test."""
    made: list[Board] = []

    def make(memory_kb: int, *programs: str) -> Board:
        made.append(Board(tmp_path, memory_kb, *programs))
        return made[-1]

    yield make
    for board in made:
        board.close()


def _browser(board: Board) -> list[str]:
    return board.did()[-1].split()


@pytest.mark.parametrize(
    ("memory_kb", "programs", "settings", "chosen"),
    [
        (900_000, ("cog",), {}, "cog"),
        (900_000, ("cog", "chromium"), {}, "cog"),
        (1_890_000, ("cog",), {}, "cog"),
        (1_890_000, ("cog", "chromium"), {}, "chromium"),
        (1_890_000, ("chromium-browser",), {}, "chromium-browser"),
        (8 * GIGABYTE, ("cog", "chromium"), {"SCREEN_BROWSER": "cog"}, "cog"),
        (8 * GIGABYTE, ("cog", "chromium"), {"SCREEN_BROWSER": "chromium"}, "chromium"),
    ],
)
def test_ok__the_browser_that_the_board_can_hold(
    board_of: Boards, memory_kb: int, programs: tuple[str, ...], settings: dict[str, str], chosen: str
) -> None:
    """By what is installed and by memory, unless a setting says which; it opens the page, and its end is an end to start anew after."""
    board = board_of(memory_kb, "cage", *programs)
    status, said = board.run(**settings)
    assert (status, _browser(board)[0], _browser(board)[-1]) == (1, chosen, board.url), said
    assert "the browser ended (0)" in said


@pytest.mark.parametrize(
    ("board", "settings", "status", "words"),
    [
        ((450_000, "cage", "cog", "chromium"), {}, 78, "this board has 439 MB and a browser needs a board of 1 GB"),
        ((450_000, "cage", "cog"), {"SCREEN_BROWSER": "cog"}, 78, "show the page on another device ([remote] in kiosk.toml)"),
        ((900_000, "cage", "chromium"), {"SCREEN_BROWSER": "chromium"}, 78, "Chromium needs a board of 2 GB"),
        ((900_000, "cage", "chromium"), {}, 1, "apt install --no-install-recommends cog"),
        ((1_890_000, "cage"), {}, 1, "there is no browser for a board of 1845 MB"),
        ((1_890_000, "cage", "cog"), {"SCREEN_BROWSER": "chromium"}, 1, "Chromium is not installed"),
        ((1_890_000, "cog"), {}, 1, "cage is not installed: apt install --no-install-recommends cage seatd"),
        ((1_890_000, "cage", "cog"), {"CAGE_VERSION": "0.1.4"}, 1, "does not start without Xwayland"),
        ((1_890_000, "cage", "cog"), {"SCREEN_BROWSER": "firefox"}, 78, "SCREEN_BROWSER must be auto, cog or chromium, not firefox"),
        ((1_890_000, "cage", "cog"), {"SCREEN_ROTATE": "45"}, 78, "SCREEN_ROTATE must be 0, 90, 180 or 270, not 45"),
        ((1_890_000, "cage", "cog"), {"SCREEN_SCALE": "1;x"}, 78, "SCREEN_SCALE must be a number like 1 or 1.5, not 1;x"),
        ((1_890_000, "cage", "cog"), {"SCREEN_URL": "https://example.com/"}, 78, "the browser reaches nothing else"),
        ((1_890_000, "cage", "cog"), {"SCREEN_URL": "--help"}, 78, "SCREEN_URL must be the kiosk's page on this board"),
    ],
)
def test_fail__what_is_missing_is_a_sentence(
    board_of: Boards, board: tuple[Any, ...], settings: dict[str, str], status: int, words: str
) -> None:
    """Nothing is started; what no later try can mend ends with 78, which the unit does not try again."""
    made = board_of(*board)
    found, said = made.run(**settings)
    assert (found, made.did()) == (status, []), said
    assert words in said
    assert said.count("\n") == 1


def test_ok__an_old_cage_with_xwayland_starts(board_of: Boards) -> None:
    """The cage of Debian 12 is content once Xwayland is there."""
    board = board_of(GIGABYTE, "cage", "cog", "Xwayland")
    board.run(CAGE_VERSION="0.1.4")
    assert _browser(board)[0] == "cog"


@pytest.mark.parametrize(("angle", "options"), [("0", []), ("90", ["-r"]), ("180", ["-r", "-r"]), ("270", ["-r", "-r", "-r"])])
def test_ok__turned_by_an_old_cage(board_of: Boards, angle: str, options: list[str]) -> None:
    """A cage that can turn the screen itself is told to."""
    board = board_of(GIGABYTE, "cage", "cog")
    board.run(SCREEN_ROTATE=angle, CAGE_OPTIONS=" -r\t Rotate the output 90 degrees clockwise")
    assert board.did()[0].split()[1:] == ["-d", *options, "--", "/bin/sh", str(SCRIPT), "inside", "cog"]


def test_ok__turned_from_inside_a_newer_cage(board_of: Boards) -> None:
    """A cage that cannot is turned before the browser starts."""
    board = board_of(GIGABYTE, "cage", "cog", "wlr-randr")
    board.run(SCREEN_ROTATE="270")
    cage, outputs, turned, cog = board.did()
    assert "-r" not in cage.split()
    assert (outputs.strip(), turned) == ("wlr-randr", "wlr-randr --output HDMI-A-1 --transform 270")
    assert cog.startswith("cog ")


def test_fail__a_screen_that_cannot_be_turned_is_still_a_screen(board_of: Boards) -> None:
    """Without wlr-randr it is said, and the browser starts."""
    board = board_of(GIGABYTE, "cage", "cog")
    _, said = board.run(SCREEN_ROTATE="90")
    assert "the screen is not turned: apt install --no-install-recommends wlr-randr" in said
    assert _browser(board)[0] == "cog"


@pytest.mark.parametrize(
    ("browser", "flags"),
    [
        ("cog", {"--webprocess-failure=exit", "--set-permissions=none", "--enable-developer-extras=false", "--scale=1.5"}),
        (
            "chromium",
            {
                "--kiosk",
                "--no-first-run",
                "--noerrdialogs",
                "--disable-pinch",
                "--overscroll-history-navigation=0",
                "--hide-crash-restore-bubble",
                "--block-new-web-contents",
                "--ui-disable-partial-swap",
                "--force-device-scale-factor=1.5",
            },
        ),
    ],
)
def test_ok__there_is_no_way_out_of_the_page(board_of: Boards, browser: str, flags: set[str]) -> None:
    """Each browser is started without whatever leads away from the page, and with the larger page that was asked for."""
    board = board_of(8 * GIGABYTE, "cage", browser)
    board.run(SCREEN_SCALE="1.5")
    assert flags <= set(_browser(board))


def test_ok__chromium_begins_anew_each_time(board_of: Boards, tmp_path: Path) -> None:
    """Its profile is in the folder in memory, and what a crash left there is gone."""
    board = board_of(8 * GIGABYTE, "cage", "chromium")
    (tmp_path / "profile").mkdir()
    board.run()
    assert not (tmp_path / "profile").exists()
    assert {f"--user-data-dir={tmp_path}/profile", f"--disk-cache-dir={tmp_path}/cache"} <= set(_browser(board))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_fail__chromium_may_open_the_pages_port_and_no_other(board_of: Boards, host: str) -> None:
    """The rules that are written name the page at SCREEN_URL, exactly; whatever else listens on this board is closed."""
    board = board_of(8 * GIGABYTE, "cage", "chromium")
    port = board.url.rstrip("/").rpartition(":")[2]
    assert board.run(SCREEN_URL=f"http://{host}:{port}/?lang=es")[0] == 1
    rules = json.loads(board.rules.read_text("utf-8"))
    assert (rules["URLBlocklist"], rules["URLAllowlist"]) == (["*"], [f"http://{'.' * (host == 'localhost')}{host}:{port}"])
    assert rules | {"URLAllowlist": ["@PAGE@"]} == json.loads((FOLDER / "tourlatch-chromium.json").read_text("utf-8"))
    assert _browser(board)[0] == "chromium"


@pytest.mark.parametrize("is_old", [True, False])
def test_fail__no_chromium_without_its_rules(board_of: Boards, *, is_old: bool) -> None:
    """Rules that are missing, or are another page's, start nothing: it is said, and tried again."""
    board = board_of(8 * GIGABYTE, "cage", "chromium")
    if is_old:
        board.run("rules", SCREEN_URL="http://127.0.0.1:1/")
    board.without_rules()
    status, said = board.run()
    assert (status, board.did()) == (1, [])
    assert "Chromium is not started without its rules" in said


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8@evil.example/", "http://127.0.0.1:8770x/", "http://127.0.0.1:/", "http://127.0.0.1:877000/"),
        *("http://localhost:8770@evil.example", "http://localhost.evil.example:8770/", "http://127.0.0.1", "file:///etc/passwd", "http:"),
        *("http://127.0.0.1:80|x", "http://127.0.0.1:80:90/", 'http://127.0.0.1:80"/'),
    ],
)
def test_fail__an_address_that_is_not_the_pages_writes_no_rules(board_of: Boards, url: str) -> None:
    """Host and port, and a path: nothing that a browser would read as another place."""
    board = board_of(8 * GIGABYTE, "cage", "chromium")
    status, said = board.run("rules", SCREEN_URL=url)
    assert (status, board.rules.exists(), said.count("\n")) == (78, False, 1)
    assert "SCREEN_URL must be the kiosk's page on this board" in said


def test_ok__it_waits_for_the_page(board_of: Boards) -> None:
    """While nothing answers no browser is started; it says so once."""
    board = board_of(GIGABYTE, "cage", "cog")
    board.close()
    process = board.start()
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == f"screen: waiting for {board.url} (systemctl status tourlatch-kiosk)\n"
        assert board.did() == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        _, rest = process.communicate(timeout=60)
    assert "waiting" not in rest


def test_ok__a_page_that_fell_silent_is_started_anew(board_of: Boards) -> None:
    """The kiosk runs and the page has not asked it for minutes: the launcher ends, so that systemd ends all and begins again."""
    board = board_of(GIGABYTE, "cage", "cog")
    board.polled.touch()
    os.utime(board.polled, times=(time.time() - 300,) * 2)
    process = board.start(STAYS="1")
    try:
        assert process.wait(timeout=60) == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert "the page has not asked for news for two minutes" in said


@pytest.mark.parametrize("is_there", [True, False])
def test_fail__a_page_that_asks_or_a_kiosk_that_is_away_ends_nothing(board_of: Boards, *, is_there: bool) -> None:
    """A fresh file, and none, are looked at many times without a consequence."""
    board = board_of(GIGABYTE, "cage", "cog")
    if is_there:
        board.polled.touch()
    process = board.start(STAYS="1")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    assert "two minutes" not in said


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck on this machine")
def test_ok__shellcheck_finds_no_fault() -> None:
    """The launcher is plain POSIX shell without a known trap."""
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout

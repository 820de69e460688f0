"""The page of the screen at `front`, under its own unit: it follows the lock, and neither its end nor its user touches the door.

The browser has no GPU here: of its unit only the start is tried, up to the sentence that says what is missing.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

from tests.lab.board import LabError, main_pid, sh, until
from tests.lab.site import DOORS, SECOND, Site

PORT = 8770
CONFIG = """
door = "front"
time_zone = "America/Los_Angeles"
[pin_pad]
[help]
"""
FRONT = DOORS["front"].pin
SHOWN_S = 0.5
"""How soon after the relay's edge the page has to have its welcome: a tenth of a second on a board, which this one has a quarter of."""
USERS = ("tourlatch-kiosk", "tourlatch-screen")
CLOSED = (
    *("/dev/gpiochip0", "/var/lib/tourlatch/journal.db", "/etc/tourlatch/doors/front.osdp-key", "/etc/tourlatch/kiosk/token"),
    *("/etc/tourlatch/credentials/knock-appointment-key", "/run/credentials/tourlatch.service/knock-appointment-key"),
)


def _unit(name: str, about: str = "tourlatch-kiosk") -> str:
    return sh(f"systemctl show {about} -P {name}")


class Page:
    """What a browser asks the page's server for."""

    def ask(self, method: str, path: str, body: object = None, *, token: str = "", wait_s: float = 60) -> tuple[int, bytes]:
        """One request as the page makes it: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=wait_s)
        headers = {"Origin": f"http://127.0.0.1:{PORT}", "Content-Type": "application/json", "X-Screen-Token": token} if token else {}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def state(self, after: int | None = None) -> dict[str, Any]:
        """What is shown; after a picture's number, the next one."""
        status, body = self.ask("GET", "/screen/state" + ("" if after is None else f"?after={after}"))
        if status != http.client.OK:
            raise LabError(f"/screen/state: {status}")
        found: dict[str, Any] = json.loads(body)
        return found

    def until(self, kind: str, limit_s: float = 60) -> dict[str, Any]:
        """Until it shows such a picture."""
        found: list[dict[str, Any]] = []

        def shows() -> bool:
            found[:] = [self.state()]
            return bool(found[0]["kind"] == kind)

        until(shows, limit_s, lambda: f"the screen shows {kind}; it shows {found[0]['kind']}", pause_s=0.2)
        return found[0]


class Follower(threading.Thread):
    """A page that follows: every picture's kind, with the instant it came."""

    def __init__(self, page: Page, number: int) -> None:
        super().__init__(daemon=True)
        self.seen: list[tuple[float, str]] = []
        self._page, self._number = page, number

    def run(self) -> None:
        """Until three pictures came."""
        for _ in range(3):
            state = self._page.state(self._number)
            self._number = int(state["number"])
            self.seen.append((time.monotonic(), str(state["kind"])))


class ScreenLab:
    """The steps with the page, on a lab whose agent was proved before."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.lab = site.lab
        self.record = site.record
        self.page = Page()

    def start(self) -> None:
        """Its unit says READY when the page can be asked for; the door is there."""
        Path("/etc/tourlatch/kiosk.toml").write_text(CONFIG)
        token = Path("/etc/tourlatch/kiosk/token")
        token.touch(0o600)
        token.write_text("a" * 64)
        sh("tourlatch check -c /etc/tourlatch/kiosk.toml")
        began_s = time.monotonic()
        sh("systemctl start tourlatch-kiosk")
        took_s = time.monotonic() - began_s
        status, body = self.page.ask("GET", "/")
        if status != http.client.OK or b"/screen/static/" not in body:
            raise LabError(f"the page: {status}, {len(body)} bytes")
        self.page.until("ready")
        self.lab.say("the screen's page: READY by its own word, shows the door ready", f"{took_s:.0f} s, {_unit('StatusText')}")

    def follow(self) -> None:
        """A code: the waiting page has its welcome right after the relay's edge, and is ready again when that is over."""
        mark = len(self.record.pulses(FRONT))
        follower = Follower(self.page, self.page.until("ready")["number"])
        follower.start()
        time.sleep(1)
        self._admit()
        until(lambda: "welcome" in [kind for _, kind in follower.seen], 20, lambda: f"a welcome; seen: {follower.seen}")
        self.record.settle()
        edge_s = self.record.pulses(FRONT)[mark][0]
        late_s = next(at_s for at_s, kind in follower.seen if kind == "welcome") - edge_s
        if not 0 <= late_s <= SHOWN_S:
            raise LabError(f"the welcome came {late_s:.3f} s after the relay")
        self.site.until_locked("front")
        self.page.until("ready")
        self.lab.say("a code: the relay, then the welcome on the waiting page; ready again", f"{late_s * 1000:.0f} ms after the relay")

    def _admit(self) -> None:
        self.site.release("front")
        self.site.released[SECOND] += 1

    def touch(self) -> None:
        """A call for help is in the door's journal; a PIN needs a door that takes PINs, and no page of another origin asks for anything."""
        since, token = self.lab.last(), str(self.page.state()["token"])
        status, body = self.page.ask("POST", "/screen/help", {}, token=token)
        if status != http.client.OK:
            raise LabError(f"help: {status} {body!r}")
        self.lab.until_kinds(since, "front", ["help_called"])
        refused = [
            self.page.ask("POST", "/screen/pin", {"pin": "12345678"}, token=token)[0],
            self.page.ask("POST", "/screen/help", {}, token="x" * len(token))[0],
            self.page.ask("POST", "/screen/help", {})[0],
        ]
        if refused != [409, 403, 403]:
            raise LabError(f"a PIN at a door without PINs, a false token, none: {refused}")
        self.lab.say("help from the page: journaled; a false token, and none: refused", "help_called, 403, 403")

    def keep_apart(self) -> None:
        """Page's and browser's users: none of the agent's files, none of its commands but what a screen may ask."""
        if missing := [path for path in CLOSED if not Path(path).exists()]:
            raise LabError(f"not there at all: {missing}")
        for user in USERS:
            opened = [path for path in CLOSED if sh(f"runuser -u {user} -- sh -c 'exec 3<{path} && echo yes'", is_needed=False)]
            if opened:
                raise LabError(f"{user} opened {opened}")
            changes = len(self.record.changes)
            asked = sh(f"runuser -u {user} -- tourlatch unlock front --reason lab 2>&1; echo code=$?", is_needed=False)
            if asked.endswith("code=0") or len(self.record.changes) > changes:
                raise LabError(f"{user} asked for an unlock: {asked}")
        self.lab.say("page's and browser's users: agent's files opened, unlocks", f"0 of {len(USERS) * len(CLOSED)}, 0 of {len(USERS)}")
        exposure = re.findall(r"level for \S+: ([0-9.]+)", sh("systemd-analyze security tourlatch-kiosk --no-pager"))
        used = f"{int(_unit('MemoryCurrent')) / 2**20:.0f} MB, {_unit('TasksCurrent')} threads"
        self.lab.say("the page's unit: security score, memory", f"{exposure[0]}, {used}")

    def die(self) -> None:
        """The page killed while a code is shown: the door opens as ever. The agent killed: the page says so and finds it again."""
        pid = _unit("MainPID")
        sh(f"kill -KILL {pid}")
        self._admit()
        self.site.until_locked("front")
        until(lambda: _unit("SubState") == "running" and _unit("MainPID") != pid, 120, "the page's program again", pause_s=0.3)
        self.page.until("ready")
        self.lab.say("the page killed: a code opens meanwhile; running again, ready", f"{_unit('NRestarts')} restart")
        agent = main_pid()
        sh(f"kill -KILL {agent}")
        self.page.until("starting", 20)
        self.site.until_running(agent)
        self.page.until("ready")
        self.lab.say("the agent killed: the page shows that it starts, then ready", "starting, ready")

    def browse(self) -> None:
        """The browser's unit on a board without a browser: its launcher runs in its sandbox, and says which package is missing."""
        sh("systemctl start tourlatch-screen")

        def said() -> list[str]:
            return re.findall(r"screen: (.*)", sh("journalctl -u tourlatch-screen --no-pager -o cat"))

        until(lambda: any("apt install" in line for line in said()), 30, lambda: f"what to install; said: {said()}", pause_s=0.5)
        sh("systemctl stop tourlatch-screen")
        self.lab.say("the browser's unit without a browser, says", next(line for line in said() if "apt install" in line)[:60])

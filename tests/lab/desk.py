"""The desk on the emulated board, beside the agent: set up as systemd/README.md says, with Knock played on loopback.

What the door does is seen on its line, what it says in its journal; the seconds are those of the emulation.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.lab.board import LabError, sh, until
from tests.lab.doors import check
from tests.lab.readers import TABLES, TRIES, Readers
from tests.lab.site import DOORS, HEAD, PULSE_S, SECOND, Site, door_table

GRACE_MIN = 180
"""So wide that the first free tours have begun as far as the door is concerned."""
DESK_CONFIG = f"""
public_url = "http://127.0.0.1:8780"
[knock]
base_url = "http://127.0.0.1:8790"
prospect_key_file = "knock-prospect-key"
[[community]]
id = "1001"
slug = "juniper-flats"
name = "Juniper Flats"
time_zone = "America/Los_Angeles"
address = "12 Juniper Street, Portland, OR 97201"
grace_before_min = {GRACE_MIN}
[[community.door]]
name = "front"
[[community.door]]
name = "side"
"""
DOOR_KEYS = 'desk_token_file = "door_front.token"\npin_key_file = "door_front.pin-key"'
KNOCK_URL = 'base_url = "http://127.0.0.1:8790"\nprospect_key_file = "knock-prospect-key"'
AGENT_HEAD = HEAD.replace('base_url = "http://127.0.0.1:9"', KNOCK_URL).replace("[rules]", f"[rules]\ngrace_before_min = {GRACE_MIN}")
AGENT_CONFIG = "".join(
    (
        AGENT_HEAD,
        '[desk]\nurl = "http://127.0.0.1:8780"\n',
        door_table("front", more=DOOR_KEYS, readers=TABLES),
        *(door_table(name) for name in DOORS if name != "front"),
    )
)
# `tourlatch sandbox`, but open day and night, so that the lab can be run at any hour
KNOCK = """
import asyncio
from dataclasses import replace
from agent.sandbox.server import serve
from agent.sandbox.settings import JUNIPER_FLATS, SandboxSettings
asyncio.run(serve(SandboxSettings(communities=(replace(JUNIPER_FLATS, opening="00:00-24:00"),)), lambda _: None))
"""
KEYS = {"knock-appointment-key": "syndication-appointment-TEST-KEY", "knock-prospect-key": "syndication-prospect-TEST-KEY"}
OWN = {
    "tourlatch": ("dev/gpiochip0", "var/lib/tourlatch/journal.db", "run/credentials/tourlatch.service/door_front.token"),
    "tourlatch-desk": (
        "etc/tourlatch/desk/keys/*.key",
        "var/lib/tourlatch-desk/desk.db",
        "run/credentials/tourlatch-desk.service/desk-secret",
    ),
}
ROOTS = ("etc/tourlatch/credentials/desk-secret", "etc/tourlatch/doors/front.token", "etc/tourlatch/doors/front.pin-key")
HEARD_S = 15.0
"""How soon a door has to know of a cancel here; it is two seconds on a board of a Pi's speed."""


def told(what: str) -> int:
    """How often the agent's journal says something."""
    return int(sh(f"journalctl -u tourlatch --no-pager -o cat | grep -c '{what}'", is_needed=False))


def knock(route: str) -> list[dict[str, Any]]:
    """The requests that the played Knock accepted, oldest first."""
    with urllib.request.urlopen(f"http://127.0.0.1:8791/received?route={route}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def shown(property_name: str) -> str:
    """What systemd says of the desk's unit."""
    return sh(f"systemctl show tourlatch-desk -P {property_name}")


class DeskLab:
    """The steps with the desk, on a lab whose agent was proved before."""

    def __init__(self, site: Site, readers: Readers) -> None:
        self.site = site
        self.lab = site.lab
        self.record = site.record
        self.readers = readers
        self._tours: list[dict[str, Any]] = []
        self._before, self._killed_s = 0, 0.0

    def start(self) -> None:
        """Configured by hand as the README says; systemd's start returns when the desk says that it serves."""
        Path("/etc/tourlatch/desk.toml").write_text(DESK_CONFIG)
        for name, key in KEYS.items():
            path = Path("/etc/tourlatch/credentials") / name
            path.touch(0o600)
            path.write_text(f"{key}\n")
        Path("/root/knock.py").write_text(KNOCK)
        sh("systemd-run -q -u knock /opt/tourlatch/venv/bin/python -I /root/knock.py")
        began_s = time.monotonic()
        sh("systemctl start tourlatch-desk")
        took_s = time.monotonic() - began_s
        if shown("StatusText") != "Serving http://127.0.0.1:8780":
            raise LabError(f"the desk says {shown('StatusText')!r}")
        self.lab.say("the desk: started under its unit, READY by its own word", f"{took_s:.0f} s")

    def join(self) -> None:
        """The door's token and PIN key by root's shell; the agent restarted with them, and the key of the desk it was given before."""
        folder = "/etc/tourlatch/doors"
        sh(f"tourlatch tokens new-door --door front --out {folder}/front.token --pin-key-out {folder}/front.pin-key")
        Path("/etc/tourlatch/agent.toml").write_text(AGENT_CONFIG)
        sh("systemctl restart tourlatch")
        if not self.record.are_locked():
            raise LabError("released by the restart")
        took_s = until(lambda: self._feed()["state"] == "fresh", 90, lambda: f"a fresh feed: {self._feed()}", pause_s=1)
        self.lab.say("a token for the door, the agent restarted: the feed is fresh", f"{took_s:.0f} s")

    def _feed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(sh("tourlatch status --json"))["doors"]["front"]["feed"]
        return found

    def book(self) -> None:
        """Two prospects, the first free times; the door hears of both."""
        starts = json.loads(sh("tourlatch availability --json"))["starts"]
        heard, began_s = told("roster door=front"), time.monotonic()
        for number, start in enumerate(starts[:2]):
            person = f"--first-name Ada --last-name Lovelace --email ada{number}@example.com --phone '+1 503 555 010{number}'"
            self._tours.append(json.loads(sh(f"tourlatch book --json --start {start} {person}")))
        took_s = time.monotonic() - began_s
        if [tour["state"] for tour in self._tours] != ["confirmed"] * 2:
            raise LabError(f"not confirmed: {[(tour['state'], tour['words']) for tour in self._tours]}")
        until(lambda: told("roster door=front") >= heard + 2, HEARD_S, "the door hearing of both", pause_s=0.5)
        self.lab.say("`tourlatch book` in root's shell, of free times", f"2 confirmed, {took_s / 2:.0f} s each")

    def open(self) -> None:
        """The first prospect's code, their PIN at the same reader, and their PIN on the Wiegand keypad."""
        pin = str(self._tours[0]["pin"])
        self._pulse("the booking's code at front", lambda: self.site.show("front", self._tours[0]["code"]))
        self._pulse("the booking's PIN at front", lambda: self.site.show("front", pin))
        self._pulse("the booking's PIN on the Wiegand keypad", lambda: self.readers.type_pin(pin), tries=TRIES)

    def _pulse(self, what: str, show: Callable[[], None], *, tries: int = 1) -> None:
        """What is shown makes one pulse of the right length; a Wiegand keypad may have to be used again, see there."""
        pin = DOORS["front"].pin
        mark = len(self.record.pulses(pin))
        for attempt in range(tries):
            show()
            try:
                until(lambda: len(self.record.pulses(pin)) > mark, 15 if tries == 1 else 5, what)
                break
            except LabError:
                if attempt == tries - 1:
                    raise
        self.site.released.update((pin, SECOND))
        self.site.until_locked("front")
        begin_s, end_s = self.record.pulses(pin)[-1]
        until(lambda: self.record.is_locked(SECOND), 10, "the second relay at rest")
        self.lab.say(what, f"{check(what, end_s - begin_s, PULSE_S)} for {PULSE_S} s")

    def crash(self) -> None:
        """SIGKILL: systemd starts the desk anew."""
        self._before, self._killed_s, pid = told("feed_back"), time.monotonic(), shown("MainPID")
        sh("systemctl kill -s KILL tourlatch-desk")
        until(lambda: shown("SubState") == "running" and shown("MainPID") != pid, 180, "the desk running again", pause_s=0.5)
        if shown("NRestarts") != "1":
            raise LabError(f"restarted {shown('NRestarts')} times")
        self.lab.say("the desk, SIGKILL: serving again", f"{time.monotonic() - self._killed_s:.0f} s")

    def heal(self) -> None:
        """The door hears the new desk without anybody's help; how soon depends on how long it had asked in vain, a minute at most."""
        until(lambda: told("feed_back") > self._before, 120, "the door hearing the desk again", pause_s=0.5)
        self.lab.say("the door: hears the desk again by itself", f"{time.monotonic() - self._killed_s:.0f} s after the kill")

    def cancel(self) -> None:
        """Cancelled in root's shell: the door hears it from the running desk, and refuses code and PIN; Knock is told."""
        heard, tour = told("roster door=front"), self._tours[0]
        sh(f"tourlatch cancel {tour['appointment_id']}")
        took_s = until(lambda: told("roster door=front") > heard, HEARD_S, "the door hearing of the cancel", pause_s=0.2)
        self._refuse(tour["code"], "cancelled")
        self._refuse(tour["pin"], "wrong_pin")
        self.lab.say("`tourlatch cancel`, then the code and the PIN: refused", f"heard within {took_s:.1f} s")
        feed = self._feed()
        if feed["state"] != "fresh" or feed["trouble"]:
            raise LabError(f"the feed: {feed}")
        self.lab.say("`tourlatch status`: the feed", f"{feed['state']}, {feed['applied']} entries")
        until(lambda: len(knock("cancel")) == 1, 60, "the cancel at Knock", pause_s=1)

    def _refuse(self, text: str, reason: str) -> None:
        """Shown at front, it is refused for this reason and moves no line."""
        since, words = len(self.record.changes), f"refused door=front .*reason={reason}"
        before = told(words)
        self.site.show("front", text)
        until(lambda: told(words) > before, 30, words, pause_s=0.2)
        if self.record.changes[since:]:
            raise LabError(f"refused as {reason}, and a line moved: {self.record.changes[since:]}")

    def keep_apart(self) -> None:
        """Neither program's user can open what is the other's, or root's; each can open its own."""
        own = {user: [str(next(Path("/").glob(path))) for path in paths] for user, paths in OWN.items()}
        paths = [path for owned in own.values() for path in owned] + [str(next(Path("/").glob(path))) for path in ROOTS]
        opened = {
            (user, path): sh(f"runuser -u {user} -- sh -c 'exec 3<{path} && echo yes'", is_needed=False) for user in own for path in paths
        }
        wrong = [f"{user} {path}" for (user, path), is_open in opened.items() if (is_open == "yes") != (path in own[user])]
        devices = sorted(path.name for path in Path(f"/proc/{shown('MainPID')}/root/dev").glob("gpiochip*"))
        if wrong or devices:
            raise LabError(f"can be opened, or not, against what is promised: {wrong}; the desk sees {devices}")
        count = sum(len(owned) for owned in own.values())
        self.lab.say("stores, keys, secrets, pins: others' opened, own opened", f"0 of {len(opened) - count}, {count} of {count}")
        exposure = re.findall(r"level for tourlatch-desk.service: ([0-9.]+)", sh("systemd-analyze security tourlatch-desk --no-pager"))
        self.lab.say("security score of the desk's running unit", exposure[0])

    def stop(self) -> None:
        """The desk stopped in an orderly way; the second prospect's code opens all the same, and so does the PIN."""
        self.lab.say("the desk's memory and threads", f"{int(shown('MemoryCurrent')) / 2**20:.0f} MB, {shown('TasksCurrent')}")
        began_s = time.monotonic()
        sh("systemctl stop tourlatch-desk")
        took_s = time.monotonic() - began_s
        if shown("Result") != "success" or shown("SubState") != "dead":
            raise LabError(f"the desk ended as {shown('Result')}, {shown('SubState')}")
        self.lab.say("the desk stopped, in an orderly way", f"{took_s:.1f} s")
        for name in ("code", "pin"):
            self._pulse(f"without a desk: another booking's {name}", partial(self.site.show, "front", str(self._tours[1][name])))

    def count(self) -> None:
        """Knock has what was booked, who came, and what was cancelled: each once."""
        expected = sorted(str(tour["appointment_id"]) for tour in self._tours)

        def came() -> list[str]:
            return sorted(str(one["body"]["appointmentId"]) for one in knock("visit"))

        until(lambda: len(came()) >= len(expected), 60, lambda: f"visits at Knock: {came()}", pause_s=1)
        if came() != expected or len(knock("request")) != len(expected):
            raise LabError(f"booked {expected}, requests {len(knock('request'))}, visits {came()}")
        self.lab.say("at Knock: booked, visited, cancelled", f"{len(expected)}, {len(expected)}, {len(knock('cancel'))}")

"""What the agent's unit keeps from whoever runs in it: tried from inside, by a unit that is the agent's file with another program.

It is tried twice: as the unit's own user, and as root without capabilities, for whom the modes of files are no obstacle, so that what is
denied is denied by the sandbox itself.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.board import Lab, LabError, sh

UNIT = Path("/usr/local/lib/systemd/system/tourlatch.service")
DROP_IN = """[Service]
Type=oneshot
ExecStart=
ExecStart=/opt/tourlatch/venv/bin/python -I -B /usr/local/share/lab_probe.py
ExecStopPost=
Restart=no
WatchdogSec=0
# Folders of its own, for systemd gives them to the unit's user
StateDirectory=
StateDirectory=lab-probe
RuntimeDirectory=
RuntimeDirectory=lab-probe
WorkingDirectory=/run/lab-probe
BindReadOnlyPaths=/run/cpuinfo:/proc/cpuinfo
StandardOutput=file:/run/lab-probe.json
"""
PROBE = Path(__file__).with_name("probe.py")
CREDENTIALS = "/etc/tourlatch/credentials/knock-appointment-key"
ALLOWED = {
    "device /dev/gpiochip0": True,
    "write /var/lib/lab-probe": True,
    "write /run/lab-probe": True,
    "write /tmp": True,
    "socket unix": True,
    "socket inet": True,
    "socket inet6": True,
    "read /proc/cpuinfo": True,
    "credential knock-appointment-key": True,
}
DENIED = (
    *(f"device {path}" for path in ("/dev/vda", "/dev/mem", "/dev/kmsg", "/dev/uinput", "/dev/fuse", "/dev/console", "/dev/hidg0")),
    *(f"write {path}" for path in ("/", "/etc", "/etc/tourlatch", "/usr", "/opt/tourlatch/venv/", "/var", "/var/lib")),
    *(f"write {path}" for path in ("/home", "/root", "/dev", "/var/lib/tourlatch", "/run")),
    *(f"read {path}" for path in ("/root/keys", "/home/lab/secret", CREDENTIALS, "/dev/kmsg")),
    *(f"socket {family}" for family in ("netlink", "packet", "vsock", "bluetooth", "can", "alg")),
    *("mount", "new user namespace", "new network namespace", "reboot", "set the clock", "real-time scheduling", "load a module"),
    *("trace a process", "memory written and executed", "set-user-id file", "another user", "32-bit personality"),
    "see pid 1",
)

BY_USER = frozenset({"write /dev", "write /run", f"read {CREDENTIALS}", "see pid 1"})
"""Denied to the unit's user for being another one than root: nothing of the sandbox."""


class Sandbox:
    """The steps inside the unit's sandbox."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def deny(self) -> None:
        """Each thing tried, as both users; the whole tables are compared."""
        Path("/usr/local/share/lab_probe.py").write_text(PROBE.read_text())
        sh("mkdir -p /home/lab; echo secret > /home/lab/secret; chmod 755 /home/lab; chmod 644 /home/lab/secret")
        unit = Path("/etc/systemd/system/lab-probe.service")
        unit.write_text(UNIT.read_text())
        drop_in = Path("/etc/systemd/system/lab-probe.service.d/probe.conf")
        drop_in.parent.mkdir()
        for user, more in (("the unit's user", ""), ("root without capabilities", "User=root\nGroup=root\n")):
            drop_in.write_text(DROP_IN + more)
            sh("systemctl daemon-reload; rm -f /run/lab-probe.json; systemctl start lab-probe")
            found: dict[str, bool] = json.loads(Path("/run/lab-probe.json").read_text())
            denied = [what for what in DENIED if not more or what not in BY_USER]
            found = {what: is_done for what, is_done in found.items() if what in denied or what not in BY_USER}
            expected = ALLOWED | dict.fromkeys(denied, False)
            wrong = {what: found.get(what) for what in expected if found.get(what) != expected[what]} | {
                what: done for what, done in found.items() if what not in expected
            }
            if wrong:
                raise LabError(f"the sandbox, as {user}: {wrong} is not as promised")
            counts = (f"{len(names)} of {len(names)}" for names in (denied, ALLOWED))
            self.lab.say(f"the unit's sandbox, as {user}: denied, allowed", ", ".join(counts))

"""The units as their tests read them: by their settings, and by the word of the real systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
AGENT = FOLDER / "tourlatch.service"
DESK = FOLDER / "tourlatch-desk.service"
CAMERA = FOLDER / "tourlatch-camera.service"
KIOSK = FOLDER / "tourlatch-kiosk.service"
SCREEN = FOLDER / "tourlatch-screen.service"
LAUNCHER = "/usr/local/lib/tourlatch/screen.sh"
PROGRAM = "/opt/tourlatch/venv/bin/tourlatch"

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze on this machine")


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Every setting of a unit with its values, in the unit's order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def only(unit: Path, key: str) -> str:
    """The value of a setting that stands there once."""
    (value,) = settings_of(unit)[key]
    return value


def installed(unit: Path, folder: Path) -> Path:
    """A copy of the unit with this environment's own command in it, so that systemd finds what it starts."""
    copy = folder / unit.name
    command = Path(sys.executable).with_name("tourlatch")
    copy.write_text(unit.read_text("utf-8").replace(PROGRAM, str(command)).replace(LAUNCHER, str(FOLDER / "screen.sh")), "utf-8")
    return copy


def faults(unit: Path) -> list[str]:
    """What `systemd-analyze verify` says of the unit."""
    result = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    said = [line for line in (result.stdout + result.stderr).splitlines() if unit.name in line]
    return said or ([] if result.returncode == 0 else [f"exit status {result.returncode}"])


def exposure(unit: Path) -> float:
    """The number by which `systemd-analyze security` rates the unit: 0 is best, 10 worst."""
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    found = re.search(rf"exposure level for {re.escape(unit.name)}: (\d+\.\d)", result.stdout)
    assert found is not None, result.stdout + result.stderr
    return float(found[1])


def unexplained(unit: Path) -> list[str]:
    """Settings with neither a comment above them nor another of their family, such as RuntimeDirectoryMode= after RuntimeDirectory=."""
    found, above = [], ""
    for line in unit.read_text("utf-8").splitlines():
        key, family = line.partition("=")[0], above.partition("=")[0]
        is_setting = line and not line.startswith(("#", "[")) and key not in ("Description", "Documentation", "WantedBy")
        if is_setting and not (above.startswith("# ") or (family and key.startswith(family))):
            found.append(line)
        above = line
    return found


def folders() -> dict[str, list[str]]:
    """Every folder that tmpfiles makes, with its mode, user and group."""
    lines = (FOLDER / "tourlatch.tmpfiles").read_text("utf-8").splitlines()
    return {line.split()[1]: line.split()[2:5] for line in lines if line.startswith("d ")}

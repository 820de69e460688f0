"""An upgrade takes over only when it has proved itself, and the version before is kept; played on stand-ins for Python and systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
# Stands in for Python: makes environments that hold itself and a tourlatch that tells its version.
for last; do :; done
case "$*" in
*"-m venv"*)
  mkdir -p "$last/bin" "$last/lib"
  cp "$0" "$last/bin/python"
  printf '#!/bin/sh\\nexit %s\\n' "${BROKEN:-0}" >"$last/bin/tourlatch"
  chmod 755 "$last/bin/tourlatch"
  ;;
esac
echo "python $*" >>"$RECORD"
"""


class Device:
    """A device below a folder, with the commands that the installer calls recorded."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self._folder = folder
        self._record = folder / "record"
        self._count = 0
        commands = folder / "commands"
        checkout = folder / "checkout"
        for name in ("config", ".lock"):
            shutil.copytree(ROOT / name, checkout / name)
        shutil.copytree(ROOT / "systemd", checkout / "systemd")
        (checkout / "pyproject.toml").touch()
        self._script = checkout / "systemd" / "install.sh"
        # the system's own folders become this one's
        text = (
            self._script.read_text("utf-8").replace("HOME_DIR=/opt/tourlatch", f"HOME_DIR={self.home}").replace("/etc/", f"{folder}/etc/")
        )
        self._script.write_text(text, "utf-8")
        commands.mkdir()
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "modprobe", "udevadm", "sync"):
            self._command(name, f'echo "{name} $*" >>"$RECORD"; case "$*" in is-active*) exit 1 ;; esac')
        self._command("id", "echo 0")
        self._command("date", 'echo "$NOW"')
        (commands / "python3").write_text(PYTHON, "utf-8")
        (commands / "python3").chmod(0o755)

    def _command(self, name: str, script: str) -> None:
        path = self._folder / "commands" / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    def install(self, *arguments: str, now: str = "", broken: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the installer at another time than before."""
        self._count += 1
        self._record.write_text("", "utf-8")
        environment = {
            "PATH": f"{self._folder / 'commands'}:{os.environ['PATH']}",
            "PREFIX": str(self._folder / "usr/local"),
            "RECORD": str(self._record),
            "NOW": now or f"release-{self._count}",
            "BROKEN": str(broken),
        }
        command = ["sh", str(self._script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def did(self) -> list[str]:
        """The commands of the last run."""
        return self._record.read_text("utf-8").splitlines()

    def link(self, name: str) -> str | None:
        """The release that a link names."""
        path = self.home / name
        return path.readlink().name if path.is_symlink() else None

    def releases(self) -> set[str]:
        """The releases that are kept."""
        return {path.name for path in (self.home / "releases").iterdir()}


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device on which nothing was installed yet."""
    return Device(tmp_path)


def test_ok__the_first_installation_starts_nothing(device: Device) -> None:
    """The files are there and systemd knows them, but no door moves before a person has measured its relay."""
    done = device.install()
    assert done.returncode == 0, done.stderr
    assert (device.link("venv"), device.link("previous")) == ("release-1", None)
    assert not any(word in line for line in device.did() for word in (" start", "enable"))
    assert "systemctl daemon-reload" in device.did()
    assert "polarity first" in done.stdout


def test_ok__an_upgrade_keeps_one_version_to_go_back_to(device: Device) -> None:
    """The third installation keeps the second, and forgets the first."""
    for _ in range(3):
        done = device.install()
        assert done.returncode == 0, done.stderr
    assert (device.link("venv"), device.link("previous")) == ("release-3", "release-2")
    assert device.releases() == {"release-2", "release-3"}
    assert device.did()[-2:] == ["systemctl try-restart tourlatch.service", "systemctl is-active -q tourlatch.service"]


def test_ok__rolled_back_and_forth(device: Device) -> None:
    """Back is the version before, and back again the new one; the agent is restarted, if it runs, each time."""
    device.install()
    device.install()
    for now, before in (("release-1", "release-2"), ("release-2", "release-1")):
        done = device.install("--roll-back")
        assert done.returncode == 0, done.stderr
        assert (device.link("venv"), device.link("previous")) == (now, before)
        assert device.did() == ["systemctl try-restart tourlatch.service"]
    assert device.releases() == {"release-1", "release-2"}


def test_fail__a_version_that_does_not_start_is_never_used(device: Device) -> None:
    """A new version that fails is taken away whole; the one in use stays, and the agent is not touched."""
    device.install()
    device.install()
    done = device.install(broken=1)
    assert done.returncode != 0
    assert (device.link("venv"), device.link("previous")) == ("release-2", "release-1")
    assert device.releases() == {"release-1", "release-2"}
    assert not any(line.startswith("systemctl") for line in device.did())


def test_fail__the_version_in_use_is_never_built_over(device: Device) -> None:
    """Two runs in one second: the second stops, and what the first made stays."""
    device.install(now="same")
    done = device.install(now="same", broken=1)
    assert done.returncode != 0
    assert device.link("venv") == "same"
    assert (device.home / "venv" / "bin" / "tourlatch").is_file()

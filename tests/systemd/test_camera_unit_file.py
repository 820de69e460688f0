"""The camera's unit: a user of its own, the camera's devices and no others, no network, and no way to take the door down."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.camera.run import CLOSE_S, OPEN_LIMIT_S, PICTURE_LIMIT_S
from agent.cli import COMMANDS, tourlatch
from agent.settings.readers import CameraReader
from tests.systemd import units
from tests.systemd.device import ROOT, Device

OWN = "tourlatch-camera"


def _settings() -> dict[str, list[str]]:
    return units.settings_of(units.CAMERA)


def _only(key: str) -> str:
    return units.only(units.CAMERA, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "always"),
        ("WatchdogSignal", "SIGKILL"),
        ("User", OWN),
        ("Group", OWN),
        ("SupplementaryGroups", "video"),
        ("RuntimeDirectoryMode", "0700"),
        ("PrivateNetwork", "yes"),
        ("ProtectClock", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_NETLINK"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
    ],
)
def test_ok__what_keeps_it_in_its_place(key: str, value: str) -> None:
    """Each measure beside those of every unit is there, once, and as strong as it was."""
    assert _only(key) == value


def test_fail__no_device_but_the_cameras() -> None:
    """Neither pins nor scanners: video, media and the memory of pictures, and nothing more."""
    assert _settings()["DeviceAllow"] == ["char-video4linux rw", "char-media rw", "char-dma_heap rw"]


def test_fail__nothing_of_the_doors_or_the_desks() -> None:
    """It gets no secret, keeps no state, and cannot look where the others keep theirs."""
    settings = _settings()
    assert not {"LoadCredential", "SetCredential", "StateDirectory", "ReadWritePaths", "BindPaths", "EnvironmentFile"} & set(settings)
    hidden = {path.removeprefix("-") for path in _only("InaccessiblePaths").split()}
    private = {folder for folder, (mode, *_) in units.folders().items() if mode == "0700"}
    assert hidden >= private - {"/etc/tourlatch/desk/keys"}
    assert {f"/var/lib/{units.only(unit, 'StateDirectory')}" for unit in (units.AGENT, units.DESK)} <= hidden
    assert settings["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]


def test_fail__it_cannot_take_the_door_down() -> None:
    """No bond to the agent's unit either way, killed first when memory is short, and the agent goes before it everywhere."""
    bonds = {"Requires", "Requisite", "BindsTo", "PartOf", "Conflicts", "OnFailure", "Before", "After", "Wants", "Upholds"}
    assert not bonds & set(_settings())
    assert OWN not in units.AGENT.read_text("utf-8")
    assert int(_only("OOMScoreAdjust")) > int(units.only(units.DESK, "OOMScoreAdjust")) > int(units.only(units.AGENT, "OOMScoreAdjust"))
    assert int(_only("CPUWeight")) < 100 < int(units.only(units.AGENT, "CPUWeight"))
    assert int(_only("MemoryMax").removesuffix("M")) <= 320


def test_ok__what_it_starts_is_a_command_of_ours() -> None:
    """The command exists with the option that it is given, and reads the agent's own file."""
    assert _only("ExecStart").split() == [units.PROGRAM, "camera", "-c", units.only(units.AGENT, "ExecStart").split()[-1]]
    assert "camera" in COMMANDS
    result = CliRunner().invoke(tourlatch, ["camera", "--help"])
    assert result.exit_code == 0
    assert "-c, --config" in result.output


def test_ok__there_is_time_for_a_slow_camera() -> None:
    """The process's own limits end it with a sentence before systemd's end it without."""
    assert float(_only("TimeoutStartSec")) > OPEN_LIMIT_S + PICTURE_LIMIT_S
    assert float(_only("WatchdogSec")) > PICTURE_LIMIT_S
    assert float(_only("TimeoutStopSec")) > 2 * CLOSE_S


def test_ok__the_agent_knows_the_user() -> None:
    """The user that the settings believe when nothing else is written is the unit's."""
    assert CameraReader.model_fields["user"].default == _only("User")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="there is no systemd-sysusers on this machine")
def test_ok__systemd_makes_the_user(tmp_path: Path) -> None:
    """In an empty root the camera's user is made, without a shell or a home, in the group video and no other's."""
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(units.FOLDER / "tourlatch.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (user,) = [line for line in (tmp_path / "etc" / "passwd").read_text("utf-8").splitlines() if line.startswith(f"{OWN}:")]
    assert user.endswith(":/nonexistent:/usr/sbin/nologin")
    groups = [line.split(":") for line in (tmp_path / "etc" / "group").read_text("utf-8").splitlines()]
    assert [name for name, _, _, members in groups if OWN in members.split(",")] == ["video"]


def test_ok__the_memory_of_pictures_belongs_to_the_group() -> None:
    """The one rule gives the heaps that libcamera takes to the group that the unit joins, and opens them to nobody else."""
    rules = [
        line for line in (units.FOLDER / "71-tourlatch-camera.rules").read_text("utf-8").splitlines() if line and not line.startswith("#")
    ]
    assert rules == ['SUBSYSTEM=="dma_heap", KERNEL=="linux,cma|default_cma_region|vidbuf_cached", GROUP="video", MODE="0660"']


# --- install.sh --camera ---

PARTS = ("systemd/system/tourlatch-camera.service", "udev/rules.d/71-tourlatch-camera.rules")


def _is_there(folder: Path) -> list[bool]:
    return [(folder / "usr/local/lib" / part).is_file() for part in PARTS]


def test_ok__installed_when_it_is_asked_for(tmp_path: Path) -> None:
    """The unit, the rule and the locked packages come, the environment sees apt's picamera2, and nothing is started."""
    device = Device(tmp_path)
    done = device.install("--camera")
    assert done.returncode == 0, done.stderr
    assert _is_there(tmp_path) == [True, True]
    did = device.did()
    assert any("-m venv --system-site-packages" in line for line in did)
    assert [line.rsplit("/", 1)[-1] for line in did if "pillow.txt" in line or "zxing-cpp.txt" in line] == ["pillow.txt", "zxing-cpp.txt"]
    assert any("import picamera2, PIL.Image, zxingcpp, agent.camera.run" in line for line in did)
    assert "udevadm trigger --subsystem-match=dma_heap" in did
    assert not any(word in line for line in did for word in (" start", "enable"))
    assert "enable --now tourlatch-camera" in done.stdout


def test_ok__an_upgrade_remembers_it_by_the_configuration(tmp_path: Path) -> None:
    """Once agent.toml names a camera, the option need not be given again; a commented line does not count."""
    device = Device(tmp_path)
    device.install()
    assert _is_there(tmp_path) == [False, False]
    config = device.etc / "agent.toml"
    config.write_text('# reader = [{ driver = "camera" }]\n', "utf-8")
    device.install()
    assert _is_there(tmp_path) == [False, False]
    config.write_text('[[door]]\nreader = [{ name = "lens", driver = "camera" }]\n', "utf-8")
    device.install()
    assert _is_there(tmp_path) == [True, True]


def test_fail__a_server_without_a_door_has_no_camera(tmp_path: Path) -> None:
    """A desk alone gets none of it."""
    device = Device(tmp_path)
    done = device.install("--desk-only", "--camera")
    assert done.returncode == 0, done.stderr
    assert _is_there(tmp_path) == [False, False]
    assert not any("picamera2" in line or "zxing" in line for line in device.did())


def test_fail__without_picamera2_the_installer_says_what_to_type(tmp_path: Path) -> None:
    """The system's package is looked for before anything is touched."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *picamera2*) exit 1 ;; esac\nexit 0\n', "utf-8")
    python.chmod(0o755)
    command = ["sh", str(ROOT / "systemd" / "install.sh"), "--dry-run", "--camera"]
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "apt install python3-picamera2" in done.stderr


def test_ok__the_locked_packages_are_found_with_their_hashes() -> None:
    """Both packages are in the lock with hashes, as the installer takes them from there."""
    lock = (ROOT / ".lock" / "dev.txt").read_text("utf-8")
    for name in ("pillow", "zxing-cpp"):
        assert re.search(rf"^{name}==[\d.]+ \\\n +--hash=sha256:[0-9a-f]{{64}}", lock, re.MULTILINE)

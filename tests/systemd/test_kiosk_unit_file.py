"""The kiosk's unit: a user of its own that reads nothing of the others', no device, and no way to take the door down."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import config
from agent.cli import COMMANDS, tourlatch
from agent.settings.agent import ControlSettings
from agent.settings.kiosk import KioskSettings, RemoteSettings
from tests.systemd import units
from tests.systemd.device import ROOT, Device

OWN = "tourlatch-kiosk"


def _settings() -> dict[str, list[str]]:
    return units.settings_of(units.KIOSK)


def _only(key: str) -> str:
    return units.only(units.KIOSK, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ConditionPathExists", "/etc/tourlatch/kiosk.toml"),
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "always"),
        ("WatchdogSignal", "SIGKILL"),
        ("User", OWN),
        ("Group", OWN),
        ("PrivateDevices", "yes"),
        ("ProcSubset", "pid"),
        ("ProtectClock", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
    ],
)
def test_ok__what_keeps_it_in_its_place(key: str, value: str) -> None:
    """Each measure beside those of every unit is there, once, and as strong as it was."""
    assert _only(key) == value


def test_fail__nothing_of_the_doors_or_the_desks() -> None:
    """It has no device, no group and no state, is handed its own secrets alone, and cannot look where the others keep theirs."""
    settings = _settings()
    assert not {"DeviceAllow", "SupplementaryGroups", "StateDirectory", "ReadWritePaths", "BindPaths", "EnvironmentFile"} & set(settings)
    assert settings["LoadCredential"] == ["kiosk:/etc/tourlatch/kiosk"]
    assert settings["SetCredential"] == ["kiosk:\\n"]
    hidden = {path.removeprefix("-") for path in _only("InaccessiblePaths").split()}
    private = {folder for folder, (mode, *_) in units.folders().items() if mode == "0700"}
    assert hidden >= private - {"/etc/tourlatch/desk/keys"}
    assert {f"/var/lib/{units.only(unit, 'StateDirectory')}" for unit in (units.AGENT, units.DESK)} <= hidden
    assert settings["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]


def test_fail__it_cannot_take_the_door_down() -> None:
    """No bond to the agent's unit either way, killed before the others when memory is short, and the agent goes before it everywhere."""
    bonds = {"Requires", "Requisite", "BindsTo", "PartOf", "Conflicts", "OnFailure", "Before", "After", "Wants", "Upholds"}
    assert not bonds & set(_settings())
    assert OWN not in units.AGENT.read_text("utf-8")
    order = [int(units.only(unit, "OOMScoreAdjust")) for unit in (units.AGENT, units.DESK, units.CAMERA, units.KIOSK, units.SCREEN)]
    assert order == sorted(set(order))
    assert int(_only("CPUWeight")) < 100 < int(units.only(units.AGENT, "CPUWeight"))
    assert int(_only("MemoryMax").removesuffix("M")) <= 128


def test_ok__what_it_starts_is_a_command_of_ours() -> None:
    """The command exists with the option that it is given, and reads the file without which nothing starts."""
    assert _only("ExecStart").split() == [units.PROGRAM, "kiosk", "-c", _only("ConditionPathExists")]
    assert "kiosk" in COMMANDS
    result = CliRunner().invoke(tourlatch, ["kiosk", "--help"])
    assert result.exit_code == 0
    assert "-c, --config" in result.output


def test_ok__it_finds_the_agent_and_its_secrets() -> None:
    """The socket that its settings name lies where the agent's unit makes it, and the token's name is one of the folder's."""
    socket = KioskSettings.model_fields["agent_socket"].default
    assert socket == ControlSettings().socket
    assert socket.parent == Path("/run") / units.only(units.AGENT, "RuntimeDirectory")
    assert RemoteSettings().token_file.startswith("kiosk_")
    assert units.folders()["/etc/tourlatch/kiosk"] == ["0700", "root", "root"]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="there is no systemd-sysusers on this machine")
def test_ok__systemd_makes_both_users(tmp_path: Path) -> None:
    """In an empty root both are made without a shell or a home: the kiosk's in no group, the browser's in those of seat, GPU and sound."""
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(units.FOLDER / "tourlatch.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    users = [
        line for line in (tmp_path / "etc" / "passwd").read_text("utf-8").splitlines() if line.split(":")[0] in (OWN, "tourlatch-screen")
    ]
    assert len(users) == 2
    assert all(user.endswith(":/nonexistent:/usr/sbin/nologin") for user in users)
    groups = [line.split(":") for line in (tmp_path / "etc" / "group").read_text("utf-8").splitlines()]
    assert [name for name, _, _, members in groups if OWN in members.split(",")] == []
    assert sorted(name for name, _, _, members in groups if "tourlatch-screen" in members.split(",")) == ["audio", "render", "video"]


# --- install.sh --kiosk ---

PARTS = (
    "lib/systemd/system/tourlatch-kiosk.service",
    "lib/systemd/system/tourlatch-screen.service",
    "lib/tourlatch/screen.sh",
    "lib/tourlatch/chromium.json",
    "lib/udev/rules.d/72-tourlatch-screen.rules",
    "share/doc/tourlatch/kiosk.toml",
    "share/doc/tourlatch/screen.env",
)


def _missing(folder: Path) -> list[str]:
    return [part for part in PARTS if not (folder / "usr/local" / part).is_file()]


def test_ok__installed_when_it_is_asked_for(tmp_path: Path) -> None:
    """Units, launcher, rules and examples come, the devices are looked at anew, nothing is started, and what is next is said."""
    device = Device(tmp_path)
    done = device.install("--kiosk")
    assert done.returncode == 0, done.stderr
    assert _missing(tmp_path) == []
    assert config.load_as(KioskSettings, device.etc / "kiosk.toml").door == "front"
    assert (device.etc / "kiosk").stat().st_mode & 0o777 == 0o700
    did = device.did()
    assert "udevadm trigger --subsystem-match=input" in did
    assert any(line.endswith("-c import agent.kiosk.run") for line in did)
    assert not any(word in line for line in did for word in (" start", "enable"))
    assert "sudo systemctl enable --now tourlatch-kiosk" in done.stdout


def test_ok__the_unit_finds_the_launcher_and_that_its_rules(tmp_path: Path) -> None:
    """The launcher lies where the unit names it, and beside it the rules that it fills in."""
    Device(tmp_path).install("--kiosk")
    unit = tmp_path / "usr/local/lib/systemd/system/tourlatch-screen.service"
    launcher = Path(units.only(unit, "ExecStart").split()[1])
    assert launcher.read_bytes() == (units.FOLDER / "screen.sh").read_bytes()
    assert "TEMPLATE=${SCREEN_TEMPLATE:-${0%/*}/chromium.json}" in launcher.read_text("utf-8")
    assert (launcher.parent / "chromium.json").read_bytes() == (units.FOLDER / "tourlatch-chromium.json").read_bytes()


def test_ok__by_itself_once_there_is_a_kiosk_toml(tmp_path: Path) -> None:
    """An upgrade without the option keeps the screen, and what a person wrote."""
    device = Device(tmp_path)
    device.install("--kiosk")
    for name in ("kiosk.toml", "screen.env"):
        (device.etc / name).write_text("mine", "utf-8")
    (tmp_path / "usr/local" / PARTS[0]).write_text("old", "utf-8")
    done = device.install()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "usr/local" / PARTS[0]).read_bytes() == units.KIOSK.read_bytes()
    for name in ("kiosk.toml", "screen.env"):
        assert (device.etc / name).read_text("utf-8") == "mine"
        assert f"Kept {device.etc / name} as it is" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("--desk-only", "--kiosk")])
def test_fail__neither_unasked_nor_on_a_server_without_a_door(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A door alone and a desk alone get none of it."""
    device = Device(tmp_path)
    done = device.install(*arguments)
    assert done.returncode == 0, done.stderr
    assert _missing(tmp_path) == list(PARTS)
    assert not (device.etc / "kiosk.toml").exists()
    assert not any("kiosk.run" in line or "subsystem-match=input" in line for line in device.did())


def test_ok__below_a_folder_for_a_package(tmp_path: Path) -> None:
    """With DESTDIR the same files are put there, and the unit names what will be theirs."""
    command = ["sh", str(ROOT / "systemd" / "install.sh"), "--kiosk"]
    environment = {"PATH": "/usr/bin:/bin", "DESTDIR": str(tmp_path), "PREFIX": "/usr"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [part for part in PARTS if not (tmp_path / "usr" / part).is_file()] == []
    assert units.only(tmp_path / "usr" / PARTS[1], "ExecStart") == "/bin/sh /usr/lib/tourlatch/screen.sh"

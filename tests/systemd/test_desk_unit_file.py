"""The desk's unit: a user of its own, secrets that only it gets, room for doors that wait, and nothing of the door's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import COMMANDS, tourlatch
from agent.desk.run import FINISH_S
from agent.settings.desk import DeskKeysSettings, DeskStoreSettings, ListenSettings, StaffSettings
from agent.settings.knock import KnockSettings
from tests.systemd import units

OWN = "tourlatch-desk"


def _settings() -> dict[str, list[str]]:
    return units.settings_of(units.DESK)


def _only(key: str) -> str:
    return units.only(units.DESK, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ConditionPathExists", "/etc/tourlatch/desk.toml"),
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("Restart", "on-failure"),
        ("WatchdogSignal", "SIGKILL"),
        ("User", OWN),
        ("Group", OWN),
        ("StateDirectoryMode", "0700"),
        ("RuntimeDirectoryMode", "0700"),
        ("LimitNOFILE", "8192"),
        ("PrivateDevices", "yes"),
        ("PrivateUsers", "yes"),
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


def test_fail__no_device_group_or_folder_of_the_doors() -> None:
    """The desk reaches no pin, no scanner, no control socket and no journal."""
    settings = _settings()
    assert not {"DeviceAllow", "SupplementaryGroups", "ReadWritePaths", "BindPaths", "EnvironmentFile", "ExecStartPre"} & set(settings)
    assert settings["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert "/etc/tourlatch/doors" not in units.DESK.read_text("utf-8")


def test_ok__what_it_starts_is_a_command_of_ours() -> None:
    """The command exists with the option that it is given, and reads the file without which nothing starts."""
    program, command, option, path = _only("ExecStart").split()
    assert (program, command, option, path) == (units.PROGRAM, "desk", "-c", _only("ConditionPathExists"))
    assert command in COMMANDS
    result = CliRunner().invoke(tourlatch, [command, "--help"])
    assert result.exit_code == 0
    assert "-c, --config" in result.output
    assert path in result.output


def test_ok__each_credential_is_the_file_of_its_name_and_may_be_missing() -> None:
    """What the settings name by default is handed over; a missing file is the desk's to tell, in a sentence."""
    settings = _settings()
    loaded = dict(value.split(":") for value in settings["LoadCredential"])
    assert loaded == {name: f"/etc/tourlatch/credentials/{name}" for name in loaded}
    assert list(loaded) == ["knock-appointment-key", "knock-prospect-key", "desk-secret", "mail-password"]
    assert settings["SetCredential"] == [f"{name}:\\n" for name in loaded]
    assert {KnockSettings().appointment_key_file, DeskKeysSettings().desk_secret_file} <= set(loaded)


def test_ok__the_folders_are_the_ones_of_the_settings() -> None:
    """What systemd makes is where the desk looks when nothing else is written, and only the desk's user can look there."""
    assert DeskStoreSettings().path.parent == Path("/var/lib") / _only("StateDirectory")
    folders = units.folders()
    for folder in (DeskKeysSettings().folder, StaffSettings().accounts_file.parent):
        assert folders[str(folder)] == ["0700", OWN, OWN]
    assert _only("WorkingDirectory") == f"%t/{_only('RuntimeDirectory')}"


def test_ok__doors_that_wait_fit_in() -> None:
    """Every connection that the settings allow by default has a file, with room for the store and for Knock."""
    assert int(_only("LimitNOFILE")) >= 2 * ListenSettings().max_connections


def test_ok__there_is_time_to_stop() -> None:
    """The desk's own waits at its end fit into the limit twice, and the watchdog leaves room for a slow disk."""
    assert float(_only("TimeoutStopSec")) >= 4 * FINISH_S
    assert 15 <= float(_only("WatchdogSec")) <= 60


def test_ok__the_door_goes_first_and_the_desk_last_when_a_board_is_short() -> None:
    """Out of memory, the desk is killed before the agent, and its own bound is below a small board's memory."""
    assert int(_only("OOMScoreAdjust")) > int(units.only(units.AGENT, "OOMScoreAdjust"))
    assert int(_only("MemoryMax").removesuffix("M")) <= 300


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="there is no systemd-sysusers on this machine")
def test_ok__systemd_makes_the_user(tmp_path: Path) -> None:
    """In an empty root the desk's user is made, without a shell and in no group but its own."""
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(units.FOLDER / "tourlatch.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (user,) = [line for line in (tmp_path / "etc" / "passwd").read_text("utf-8").splitlines() if line.startswith(f"{OWN}:")]
    assert user.endswith(f":/var/lib/{OWN}:/usr/sbin/nologin")
    groups = [line.split(":") for line in (tmp_path / "etc" / "group").read_text("utf-8").splitlines()]
    assert [name for name, _, _, members in groups if OWN in members.split(",")] == []

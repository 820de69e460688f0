"""The unit holds what promise P1 and a locked-down service need, each setting with its reason, by the word of the real systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import COMMANDS, tourlatch
from agent.daemon.build import STORE_CLOSE_S
from agent.daemon.run import DOORMAN_CLOSE_S
from agent.settings.agent import AgentSettings, ControlSettings, StoreSettings
from agent.settings.knock import KnockSettings
from tests.systemd import units
from tests.systemd.units import FOLDER

STALL_S = 2.0
"""How long a card may stall in one sync."""


def _settings() -> dict[str, list[str]]:
    return units.settings_of(units.AGENT)


def _only(key: str) -> str:
    return units.only(units.AGENT, key)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("User", "tourlatch"),
        ("Restart", "always"),
        ("StateDirectoryMode", "0700"),
        ("RuntimeDirectoryMode", "0755"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6"),
        ("RestrictNamespaces", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
    ],
)
def test_ok__what_keeps_it_in_its_place(key: str, value: str) -> None:
    """Each measure beside those of every unit is there, once, and as strong as it was."""
    assert _only(key) == value


def test_ok__the_clock_can_be_read_and_not_set() -> None:
    """The agent asks adjtimex(2) whether NTP holds the clock (promise P6): the calls are allowed, and no capability lets them write."""
    settings = _settings()
    assert settings["SystemCallFilter"] == ["@system-service", "~@privileged @resources", "adjtimex clock_adjtime clock_adjtime64"]
    assert "ProtectClock" not in settings
    assert settings["CapabilityBoundingSet"] == [""]


def test_ok__pins_and_scanners_pass_and_nothing_else() -> None:
    """The devices are the pins and the serial ports, and their groups are the user's."""
    settings = _settings()
    assert settings["DeviceAllow"] == [*(f"char-{name} rw" for name in ("gpiochip", "ttyACM", "ttyUSB", "ttyAMA", "ttyS")), "char-input r"]
    assert settings["SupplementaryGroups"] == ["gpio dialout"]
    assert not {"PrivateDevices", "PrivateUsers", "ProcSubset", "PrivateNetwork"} & set(settings)


def test_ok__usb_scanners_are_known_before_the_start() -> None:
    """The names in DeviceAllow= mean something only once their modules are loaded."""
    modules = [line for line in (FOLDER / "tourlatch.modules").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert modules == ["cdc_acm", "usbserial"]


@pytest.mark.parametrize("key", ["ExecStart", "ExecStopPost"])
def test_ok__what_it_starts_is_a_command_of_ours(key: str) -> None:
    """The commands exist with the options that they are given."""
    program, command, option, path = _only(key).split()
    assert (program, option, path) == (units.PROGRAM, "-c", "/etc/tourlatch/agent.toml")
    assert command in COMMANDS
    result = CliRunner().invoke(tourlatch, [command, "--help"])
    assert result.exit_code == 0
    assert "-c, --config" in result.output


def test_ok__it_locks_after_every_end() -> None:
    """ExecStopPost= locks, with no prefix that would hide its failure, and an exit status never keeps the door from coming back."""
    assert _only("ExecStopPost").startswith(f"{units.PROGRAM} lock ")
    assert not {"RestartPreventExitStatus", "SuccessExitStatus", "RestartForceExitStatus", "KillMode", "SendSIGKILL"} & set(_settings())


def test_ok__whether_it_locks_does_not_hang_on_keys_of_knock() -> None:
    """Each credential has a place holder, so a missing file fails in the agent and not before ExecStopPost= could run."""
    settings = _settings()
    loaded = [value.partition(":")[0] for value in settings["LoadCredential"]]
    assert [value.partition(":")[0] for value in settings["SetCredential"]] == loaded
    assert loaded == ["knock-appointment-key", "knock-prospect-key", "door"]
    assert KnockSettings().appointment_key_file == loaded[0]
    assert [value.partition(":")[2] for value in settings["LoadCredential"]] == [
        "/etc/tourlatch/credentials/knock-appointment-key",
        "/etc/tourlatch/credentials/knock-prospect-key",
        "/etc/tourlatch/doors",
    ]


def test_ok__the_doors_secrets_are_the_files_of_one_folder() -> None:
    """Each file is handed over with `door_` before its name: what the example names is a file there, and root alone reads the folder."""
    example = (FOLDER.parent / "config" / "agent.toml").read_text("utf-8")
    names = re.findall(r'^#(?:desk_token|pin_key)_file = "(.*)"$', example, re.MULTILINE)
    assert names == ["door_front.token", "door_front.pin-key"]
    assert units.folders()["/etc/tourlatch/doors"] == ["0700", "root", "root"]
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"/etc/tourlatch/doors/{name.removeprefix('door_')}" in readme for name in names)


def test_fail__nothing_of_the_desks_is_the_agents() -> None:
    """On a board with both, the agent is given neither the desk's secret nor the keys that sign."""
    text = units.AGENT.read_text("utf-8")
    assert "desk-secret" not in text
    assert "/etc/tourlatch/desk" not in text
    assert "tourlatch-desk" not in text


def test_ok__the_watchdog_outlasts_a_stalled_card() -> None:
    """A card that stalls for seconds kills no agent: the loop feeds every third of the limit, and twice that is left beside a stall."""
    limit_s = float(_only("WatchdogSec"))
    assert limit_s - limit_s / 3 >= 3 * STALL_S
    assert limit_s <= 30
    assert _only("WatchdogSignal") == "SIGKILL"


def test_ok__there_is_time_to_stop() -> None:
    """The agent's own waits at its end fit into the limit several times, so that it is never killed in an orderly stop."""
    assert float(_only("TimeoutStopSec")) >= 5 * (STORE_CLOSE_S + DOORMAN_CLOSE_S)
    assert float(_only("RestartSec")) <= 5


def test_ok__the_folders_are_the_ones_of_the_settings() -> None:
    """What systemd makes is where the agent looks when nothing else is written."""
    assert StoreSettings().path.parent == Path("/var/lib") / _only("StateDirectory")
    assert ControlSettings().socket.parent == Path("/run") / _only("RuntimeDirectory")
    assert _only("WorkingDirectory") == str(ControlSettings().socket.parent)
    assert _settings()["Environment"] == ["LG_WD=/run/tourlatch", "GPIOZERO_PIN_FACTORY=lgpio"]


def test_ok__the_users_and_folders_that_the_unit_counts_on_are_made() -> None:
    """Sysusers makes the user and groups; tmpfiles the folders, Knock's keys for root alone and the public ones readable."""
    users = (FOLDER / "tourlatch.sysusers").read_text("utf-8").splitlines()
    made = {line.split()[1] for line in users if line.startswith(("u ", "g "))}
    assert {_only("User"), *_only("SupplementaryGroups").split()} <= made
    folders = units.folders()
    assert folders["/etc/tourlatch/credentials"] == ["0700", "root", "root"]
    assert folders[str(AgentSettings.model_fields["keys"].default.folder)] == ["0755", "root", "root"]
    assert folders["/run/tourlatch"] == ["0755", "tourlatch", "tourlatch"]


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="there is no systemd-sysusers on this machine")
def test_ok__systemd_makes_the_user(tmp_path: Path) -> None:
    """systemd-sysusers takes the file: in an empty root it makes the user, without a shell, in its groups."""
    (tmp_path / "etc").mkdir()
    command = ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "tourlatch.sysusers")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (user,) = [line for line in (tmp_path / "etc" / "passwd").read_text("utf-8").splitlines() if line.startswith("tourlatch:")]
    assert user.endswith(":/var/lib/tourlatch:/usr/sbin/nologin")
    groups = (tmp_path / "etc" / "group").read_text("utf-8").splitlines()
    assert {line.partition(":")[0] for line in groups if line.endswith(":tourlatch")} == {"gpio", "dialout"}


def test_ok__the_pins_belong_to_their_group() -> None:
    """The rules give the pins to the group that the unit joins; each line is a comment or a whole rule."""
    rules = [line for line in (FOLDER / "70-tourlatch.rules").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert rules == ['SUBSYSTEM=="gpio", KERNEL=="gpiochip[0-9]*", GROUP="gpio", MODE="0660"']

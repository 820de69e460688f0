"""`install.sh --desk`: what a desk needs is made once, on the machine that uses it, and nothing that is there is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import config
from agent.settings.desk import DeskSettings
from tests.systemd.device import RESTART, Device

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "systemd" / "install.sh"


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device on which nothing was installed yet."""
    return Device(tmp_path)


def _below(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "DESTDIR": str(folder)}
    return subprocess.run(["sh", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_ok__a_desk_beside_the_door(device: Device) -> None:
    """Secret, signing key and configuration are there, the door on the same board knows the key, and nothing is started."""
    done = device.install("--desk")
    assert done.returncode == 0, done.stderr
    secret = device.etc / "credentials/desk-secret"
    assert re.fullmatch(r"[0-9a-f]{64}", secret.read_text("ascii"))
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (device.etc / "desk/keys/01234567.key").stat().st_mode & 0o777 == 0o600
    assert (device.etc / "keys/01234567.pub.toml").stat().st_mode & 0o777 == 0o644
    assert config.load_as(DeskSettings, device.etc / "desk.toml").public_url == "https://tours.example.com"
    assert not any(word in line for line in device.did() for word in (" start", "enable"))
    assert "The desk does not run yet" in done.stdout


def test_fail__the_key_that_signs_is_never_beside_the_public_ones(device: Device) -> None:
    """The folder that the agent reads gets the public half alone."""
    device.install("--desk")
    assert [path.name for path in (device.etc / "keys").iterdir()] == ["01234567.pub.toml"]


def test_ok__again_changes_nothing_of_the_desks(device: Device) -> None:
    """A second run keeps secret, keys and configuration byte for byte, whatever they hold, and says so."""
    device.install("--desk")
    (device.etc / "desk.toml").write_text("mine", "ascii")
    (device.etc / "credentials/desk-secret").write_text("mine", "ascii")
    before = _content(device.etc)
    done = device.install("--desk")
    assert done.returncode == 0, done.stderr
    assert _content(device.etc) == before
    for name in ("desk.toml", "credentials/desk-secret"):
        assert f"Kept {device.etc / name} as it is" in done.stdout
    assert f"Kept the signing keys in {device.etc}/desk/keys" in done.stdout


def test_ok__two_desks_have_different_secrets(tmp_path: Path) -> None:
    """A secret comes from the system's randomness each time."""
    secrets = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = Device(tmp_path / name)
        made.install("--desk")
        secrets.add((made.etc / "credentials/desk-secret").read_text("ascii"))
    assert len(secrets) == 2


def test_ok__without_the_option_no_desk_is_set_up(device: Device) -> None:
    """The unit is there for later, but neither secret nor key nor configuration."""
    done = device.install()
    assert done.returncode == 0, done.stderr
    assert not (device.etc / "desk.toml").exists()
    assert not (device.etc / "credentials/desk-secret").exists()
    assert list((device.etc / "desk/keys").iterdir()) == []


def test_ok__a_server_without_a_door(device: Device) -> None:
    """Neither agent.toml nor pins nor scanners, and the desk is set up whole; its key is copied to doors by hand."""
    done = device.install("--desk-only")
    assert done.returncode == 0, done.stderr
    assert not (device.etc / "agent.toml").exists()
    assert list((device.etc / "keys").iterdir()) == []
    assert (device.etc / "desk/keys/01234567.key").exists()
    assert (device.etc / "desk.toml").exists()
    assert not any(line.startswith(("udevadm", "modprobe")) or "lgpio" in line for line in device.did())
    assert "polarity" not in done.stdout


def test_ok__every_desk_is_restarted_after_all_is_in_place(device: Device) -> None:
    """What runs is restarted by an upgrade and by a roll-back, each desk of several with it, when the users and folders are made."""
    device.install("--desk")
    did = device.did()
    assert did.index(RESTART) > max(did.index(line) for line in did if line.startswith(("systemd-sysusers", "systemd-tmpfiles")))
    device.install("--desk")
    device.install("--roll-back")
    assert device.did() == [RESTART]


def test_fail__a_version_that_does_not_start_makes_no_secret(device: Device) -> None:
    """A failed installation leaves nothing of a desk behind."""
    assert device.install("--desk", broken=1).returncode != 0
    assert not device.etc.exists()


def test_ok__a_dry_run_makes_nothing(device: Device) -> None:
    """Every step is told, the secret itself is not, and no file is made."""
    done = device.install("--dry-run", "--desk")
    assert done.returncode == 0, done.stderr
    assert f"would: make {device.etc}/credentials/desk-secret" in done.stdout
    assert f"would: make a signing key in {device.etc}/desk/keys" in done.stdout
    assert not device.etc.exists()
    assert not re.search(r"[0-9a-f]{64}", done.stdout)


@pytest.mark.parametrize("option", ["--desk", "--desk-only"])
def test_fail__a_package_holds_no_secret(tmp_path: Path, option: str) -> None:
    """With DESTDIR the example and empty folders are put there: a secret in a package would be everybody's."""
    done = _below(tmp_path, option)
    assert done.returncode == 0, done.stderr
    own = set(_content(tmp_path / "etc/tourlatch"))
    assert own == ({"desk.toml", "agent.toml"} if option == "--desk" else {"desk.toml"})
    assert (tmp_path / "etc/tourlatch/desk/keys").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_ok__a_key_that_root_makes_is_the_desks(tmp_path: Path) -> None:
    """In the desk's folder root's new key belongs to the desk, which could not read it otherwise; in root's own it stays root's."""
    from agent import credentials

    for owner in (65534, 0):
        folder = tmp_path / str(owner)
        folder.mkdir()
        os.chown(folder, owner, owner)
        credentials.new_key(folder)
        assert {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()} == {(owner, owner)}

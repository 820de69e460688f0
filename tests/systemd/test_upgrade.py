"""An upgrade takes over only when it has proved itself, and the version before is kept; played on stand-ins for Python and systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systemd.device import RESTART, Device


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
    assert device.did()[-2:] == [RESTART, "systemctl is-active -q tourlatch.service"]


def test_ok__rolled_back_and_forth(device: Device) -> None:
    """Back is the version before, and back again the new one; the agent is restarted, if it runs, each time."""
    device.install()
    device.install()
    for now, before in (("release-1", "release-2"), ("release-2", "release-1")):
        done = device.install("--roll-back")
        assert done.returncode == 0, done.stderr
        assert (device.link("venv"), device.link("previous")) == (now, before)
        assert device.did() == [RESTART]
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


@pytest.mark.parametrize(
    "written",
    [
        '[[door.reader]]\ndriver = "osdp"\n',
        "[[door.reader]]\ndriver='osdp'\n",
        'reader = [{ driver = "osdp", name = "wall" }]\n',
        'reader = [\n  { name = "wall", driver = "osdp" },\n]\n',
        '"driver" = "osdp"  # on the wall\n',
    ],
)
def test_ok__an_upgrade_brings_what_the_readers_of_the_configuration_need(device: Device, written: str) -> None:
    """In whatever way TOML lets the reader be written: without its package the new version would not start."""
    device.install("--osdp")
    (device.etc / "agent.toml").write_text(f"[[door]]\n{written}", "utf-8")
    done = device.install()
    assert done.returncode == 0, done.stderr
    assert [line for line in device.did() if "import osdp_sys" in line] != []


def test_fail__a_reader_that_is_commented_out_brings_nothing(device: Device) -> None:
    """Only what is in force counts."""
    device.install()
    (device.etc / "agent.toml").write_text('  # driver = "osdp"\ndriver = "serial"\n', "utf-8")
    device.install()
    assert [line for line in device.did() if "osdp" in line] == []

"""What every unit of ours has, by the word of the real systemd: no fault, a reason above each setting, and what locks a service down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.systemd import units

EXPOSURE = {
    units.AGENT: (2.0, "the agent's unit"),
    units.DESK: (1.9, "the desk's"),
    units.CAMERA: (1.2, "the camera's"),
    units.KIOSK: (1.6, "the kiosk's"),
    units.SCREEN: (2.4, "the browser's"),
}
"""The most that `systemd-analyze security` may say of each, and whose number the README calls it."""
every_unit = pytest.mark.parametrize("unit", EXPOSURE, ids=lambda unit: unit.stem)


def test_ok__no_unit_is_left_out() -> None:
    """A unit that is new comes into this table."""
    assert set(units.FOLDER.glob("*.service")) == set(EXPOSURE)


@units.needs_systemd
@every_unit
def test_ok__systemd_finds_no_fault(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say."""
    assert units.faults(units.installed(unit, tmp_path)) == []


@units.needs_systemd
@every_unit
def test_ok__the_exposure_is_small(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze security` rates it no higher than that, and the README tells the number."""
    most, whose = EXPOSURE[unit]
    found = units.exposure(units.installed(unit, tmp_path))
    assert found <= most
    assert f"{whose} **{found}**" in (units.FOLDER / "README.md").read_text("utf-8")


@every_unit
def test_ok__each_setting_has_its_reason_above_it(unit: Path) -> None:
    """A setting follows a comment, or another of its family, such as RuntimeDirectoryMode= after RuntimeDirectory=."""
    assert units.unexplained(unit) == []


@every_unit
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("StartLimitIntervalSec", "0"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
        ("CapabilityBoundingSet", ""),
        ("AmbientCapabilities", ""),
        ("NoNewPrivileges", "yes"),
        ("DevicePolicy", "closed"),
        ("PrivateTmp", "yes"),
        ("PrivateMounts", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("ProtectProc", "invisible"),
        ("ProtectKernelTunables", "yes"),
        ("ProtectKernelModules", "yes"),
        ("ProtectKernelLogs", "yes"),
        ("ProtectControlGroups", "yes"),
        ("ProtectHostname", "yes"),
        ("RestrictRealtime", "yes"),
        ("RestrictSUIDSGID", "yes"),
        ("LockPersonality", "yes"),
        ("RemoveIPC", "yes"),
        ("KeyringMode", "private"),
        ("SystemCallArchitectures", "native"),
    ],
)
def test_ok__what_keeps_every_unit_in_its_place(unit: Path, key: str, value: str) -> None:
    """Each measure is there, once, and as strong as it was."""
    assert units.only(unit, key) == value


@every_unit
def test_ok__each_has_a_user_of_its_own(unit: Path) -> None:
    """Named as the unit is, and nobody else's."""
    assert units.only(unit, "User") == unit.stem

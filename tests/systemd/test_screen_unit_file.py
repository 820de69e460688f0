"""The browser's unit: a user who reads nothing of ours and no keyboard, this board's page and no other, and a restart for ever."""

from __future__ import annotations

import json
import re

import pytest

from agent.settings.kiosk import ScreenListenSettings
from tests.systemd import units

OWN = "tourlatch-screen"


def _settings() -> dict[str, list[str]]:
    return units.settings_of(units.SCREEN)


def _only(key: str) -> str:
    return units.only(units.SCREEN, key)


def _environment() -> dict[str, str]:
    return dict(word.split("=", 1) for line in _settings()["Environment"] for word in line.split())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "exec"),
        ("Restart", "always"),
        ("RestartPreventExitStatus", "78"),
        ("OOMPolicy", "kill"),
        ("User", OWN),
        ("Group", OWN),
        ("SupplementaryGroups", "video render audio"),
        ("RuntimeDirectoryMode", "0700"),
        ("MemoryMax", "50%"),
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "127.0.0.1"),
        ("SocketBindDeny", "any"),
        ("ProtectClock", "yes"),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK"),
        ("RestrictNamespaces", "user pid net"),
    ],
)
def test_ok__what_keeps_it_in_its_place(key: str, value: str) -> None:
    """Each measure beside those of every unit is there, once, and as strong as it was."""
    assert _only(key) == value


def test_fail__no_keyboard_no_scanner_and_no_pin() -> None:
    """The GPU and the loudspeaker alone; the touch panel is handed over by seatd."""
    assert _settings()["DeviceAllow"] == ["char-drm rw", "char-alsa rw"]
    assert _environment()["LIBSEAT_BACKEND"] == "seatd"
    assert "seatd.service" in _only("Wants").split()


def test_fail__nothing_of_the_agents_the_kiosks_or_the_desks() -> None:
    """No secret is handed over, and neither settings, journals nor the control socket can be looked at; the page's own news can."""
    settings = _settings()
    assert not {"LoadCredential", "SetCredential", "StateDirectory", "ReadWritePaths", "BindPaths"} & set(settings)
    assert {path.removeprefix("-") for path in _only("InaccessiblePaths").split()} == {
        "/etc/tourlatch",
        "/var/lib/tourlatch",
        "/var/lib/tourlatch-desk",
        "/run/tourlatch",
        "/run/dbus",
    }
    assert units.only(units.KIOSK, "RuntimeDirectoryMode") == "0755"


def test_ok__all_that_a_browser_keeps_is_in_memory() -> None:
    """Its home is the folder in /run that systemd takes away with every restart."""
    assert {_environment()[key] for key in ("HOME", "XDG_RUNTIME_DIR")} == {"%t/%N"}
    assert (_only("RuntimeDirectory"), _only("WorkingDirectory")) == ("%N", "%t/%N")
    assert "RuntimeDirectoryPreserve" not in _settings()


def test_fail__it_holds_nobody_up() -> None:
    """It is neither bound to the kiosk nor to the agent, which do not know it: only its start waits for the page's."""
    settings = _settings()
    assert not {"Requires", "Requisite", "BindsTo", "PartOf", "OnFailure", "Before", "Upholds"} & set(settings)
    assert settings["Conflicts"] == ["getty@tty1.service"]
    assert all(OWN not in unit.read_text("utf-8") for unit in (units.AGENT, units.KIOSK, units.DESK, units.CAMERA))


def test_ok__it_opens_the_kiosks_page() -> None:
    """Without any setting the address is the one that the kiosk listens on, and the example says the same."""
    listen = ScreenListenSettings()
    url = f"http://{listen.host}:{listen.port}/"
    written = dict(re.findall(r"^#?(SCREEN_[A-Z]+)=(.*)$", (units.FOLDER / "screen.env").read_text("utf-8"), re.MULTILINE))
    assert _environment()["SCREEN_URL"] == url
    assert written == {key: value for key, value in _environment().items() if key.startswith("SCREEN_")}
    assert f"SCREEN_URL:-{url}" in (units.FOLDER / "screen.sh").read_text("utf-8")


def test_ok__chromium_is_shown_the_rules_that_are_written_at_each_start() -> None:
    """By the launcher, in the folder in memory, before the browser."""
    assert _only("ExecStartPre") == f"-{_only('ExecStart')} rules"
    assert _only("BindReadOnlyPaths") == "-%t/%N/chromium:/etc/chromium/policies"


def test_fail__chromium_opens_nothing_but_the_page() -> None:
    """Every address is closed but the one that the launcher writes there; nothing is remembered, downloaded, printed or looked into."""
    rules = json.loads((units.FOLDER / "tourlatch-chromium.json").read_text("utf-8"))
    assert rules["URLBlocklist"] == ["*"]
    assert rules["URLAllowlist"] == ["@PAGE@"]
    assert (rules["DownloadRestrictions"], rules["DeveloperToolsAvailability"], rules["IncognitoModeAvailability"]) == (3, 2, 1)
    never = (
        "AutofillAddressEnabled",
        "AutofillCreditCardEnabled",
        "PasswordManagerEnabled",
        "PrintingEnabled",
        "AllowFileSelectionDialogs",
    )
    assert [rules[name] for name in never] == [False] * len(never)


def test_fail__the_screen_takes_fingers_alone() -> None:
    """The one rule in force makes the compositor deaf to whatever is no touch screen."""
    rules = (units.FOLDER / "72-tourlatch-screen.rules").read_text("utf-8").splitlines()
    assert [line for line in rules if line and not line.startswith("#")] == [
        'ACTION!="remove", SUBSYSTEM=="input", KERNEL=="event*", ENV{ID_INPUT_TOUCHSCREEN}!="1", ENV{LIBINPUT_IGNORE_DEVICE}="1"'
    ]

"""Secrets come from files that nobody else can read, and no error text holds one (promise P7)."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from agent import credentials
from agent.errors import ConfigError

SECRET = "s3cr3t-of-knock"


@pytest.fixture
def unit_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which systemd hands over credentials."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def _write(path: Path, content: bytes, mode: int) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def _refusal(name: str) -> str:
    with pytest.raises(ConfigError) as caught:
        credentials.read_secret(name)
    text = "".join(traceback.format_exception(caught.value))
    assert SECRET not in text
    assert SECRET[:6] not in text
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_ok__a_private_file(tmp_path: Path, mode: int, end: bytes) -> None:
    """The secret is the file's one line, whatever editor ended it."""
    assert credentials.read_secret(str(_write(tmp_path / "key", SECRET.encode() + end, mode))) == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o620, 0o602, 0o777])
def test_fail__a_file_that_others_can_read_or_change(tmp_path: Path, mode: int) -> None:
    """Any right for group or others is refused, with the command that mends it."""
    path = _write(tmp_path / "key", SECRET.encode(), mode)
    assert f"chmod 600 {path}" in _refusal(str(path))


def test_ok__a_credential_of_the_unit(unit_folder: Path) -> None:
    """A bare name is looked up where systemd hands credentials over; there systemd has seen to the modes."""
    _write(unit_folder / "knock-appointment-key", SECRET.encode() + b"\n", 0o440)
    assert credentials.read_secret("knock-appointment-key") == SECRET


def test_fail__a_bare_name_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the unit a bare name is refused rather than looked up in the working directory."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert "LoadCredential=" in _refusal("knock-appointment-key")


def test_fail__the_place_holder_of_the_unit_is_no_key(unit_folder: Path) -> None:
    """The unit puts an empty line in place of a missing key (SetCredential=), and the agent refuses it by its file's name."""
    path = _write(unit_folder / "knock-appointment-key", b"\n", 0o440)
    assert _refusal("knock-appointment-key") == f"the secret in {path} must be one line of visible characters, without spaces around it"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        SECRET.encode() + b"\nmore",
        b" " + SECRET.encode(),
        SECRET.encode() + b" \n",
        SECRET.encode() + b"\x00",
        SECRET.encode() + b"\xff",
        SECRET.encode() * 400,
    ],
)
def test_fail__what_cannot_be_a_key(tmp_path: Path, content: bytes) -> None:
    """Empty, two lines, not text or far too long: refused by the file's name, without a letter of what is in it."""
    path = _write(tmp_path / "key", content, 0o600)
    assert str(path) in _refusal(str(path))


def test_fail__a_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    """A missing file and a folder are named."""
    assert "cannot be read: No such file or directory" in _refusal(str(tmp_path / "key"))
    assert str(tmp_path) in _refusal(str(tmp_path))


def test_ok__keys_are_made_with_a_private_half(tmp_path: Path) -> None:
    """The half that signs is for its owner alone from its first instant, the other for everybody."""
    made = credentials.new_key(tmp_path / "desk")
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in (tmp_path / "desk").iterdir()}
    assert modes == {".key": 0o600, ".toml": 0o644}
    assert len(credentials.signing_seed(tmp_path / "desk", made.key.key_id)) == 32


def test_fail__a_signing_key_that_others_can_read(tmp_path: Path) -> None:
    """No code is signed with a key that may have been copied, and the error does not hold it."""
    made = credentials.new_key(tmp_path)
    path = tmp_path / f"{made.key.key_id}.key"
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}") as caught:
        credentials.signing_seed(tmp_path)
    assert path.read_text("ascii").strip() not in repr(caught.value)


@pytest.mark.parametrize("content", ["zz", "00" * 31, "00" * 32])
def test_fail__a_damaged_signing_key(tmp_path: Path, content: str) -> None:
    """A key that is none, or that is not the public half's, signs nothing."""
    made = credentials.new_key(tmp_path)
    path = tmp_path / f"{made.key.key_id}.key"
    path.write_text(content, "ascii")
    with pytest.raises(ConfigError, match=r"is damaged|does not belong") as caught:
        credentials.signing_seed(tmp_path)
    assert content not in str(caught.value)


@pytest.mark.parametrize("content", ["", "public = 5", 'public = "00"', 'public = "zz"', "public = ", f'public = "{"00" * 32}"'])
def test_fail__a_public_key_that_is_none(tmp_path: Path, content: str) -> None:
    """A damaged or renamed file stops with its name: to skip it would silently shut out every guest of that key."""
    path = tmp_path / "0123456789abcdef.pub.toml"
    path.write_text(content, "ascii")
    with pytest.raises(ConfigError, match=r"0123456789abcdef\.pub\.toml"):
        credentials.list_keys(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose commands these are")
def test_ok__roots_commands_find_what_the_units_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shell of root's a credential is the file that the unit hands over, as private as ever; a unit's own folder goes before it."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(credentials, "UNITS_FOLDER", tmp_path / "units")
    assert "is not set; in a shell, be root" in _refusal("knock-key")
    (tmp_path / "units").mkdir()
    path = _write(tmp_path / "units" / "knock-key", b"in etc\n", 0o600)
    assert credentials.read_secret("knock-key") == "in etc"
    path.chmod(0o644)
    assert f"chmod 600 {path}" in _refusal("knock-key")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    _write(tmp_path / "knock-key", b"of the unit\n", 0o600)
    assert credentials.read_secret("knock-key") == "of the unit"

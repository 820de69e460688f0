"""`tourlatch staff pin`: a PIN's hash in a file for its owner alone, and the PIN nowhere."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.credentials import read_staff_pin
from agent.errors import ConfigError

Call = Callable[..., tuple[int, str, str]]
PIN, OTHER = "730518", "4602198375"


def told(file: Path) -> str:
    """What is said when it is done."""
    return f"{file} holds the hash of staff's PIN: name it in [control] staff_pin_file and restart the agent.\n"


def secret(folder: Path, text: str) -> Path:
    """A file of a PIN."""
    path = folder / "typed"
    path.touch(0o600)
    path.write_text(text + "\n", "ascii")
    return path


def test_ok__a_file_that_only_its_pin_opens(call: Call, tmp_path: Path) -> None:
    """The file is closed to others whatever the mask is, holds no PIN, and is read by the agent's own reader."""
    file = tmp_path / "staff-pin"
    assert call("staff", "pin", file, "--pin-file", secret(tmp_path, PIN)) == (0, "", told(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PIN not in file.read_text()
    known = read_staff_pin(str(file))
    assert [known.is_opened_by(pin) for pin in (PIN, OTHER, "")] == [True, False, False]


def test_ok__asked_twice_without_showing_it(call: Call, tmp_path: Path) -> None:
    """Typed at the prompt; nothing of it is on the screen."""
    status, out, err = call("staff", "pin", tmp_path / "f", stdin=f"{PIN}\n{PIN}\n")
    assert (status, PIN in out + err) == (0, False)
    assert read_staff_pin(str(tmp_path / "f")).is_opened_by(PIN)


def test_ok__another_pin_takes_the_place_of_the_old_one(call: Call, tmp_path: Path) -> None:
    """The old PIN opens nothing any more, and no other file is left beside it."""
    file = tmp_path / "staff-pin"
    for pin in (PIN, OTHER):
        assert call("staff", "pin", file, "--pin-file", secret(tmp_path, pin))[0] == 0
    known = read_staff_pin(str(file))
    assert [known.is_opened_by(pin) for pin in (PIN, OTHER)] == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["staff-pin", "typed"]


@pytest.mark.parametrize("pin", ["73051", "7305184609271", "73051x", "777777", "123456"])
def test_fail__a_pin_that_cannot_be_used(call: Call, tmp_path: Path, pin: str) -> None:
    """One sentence that does not hold the PIN; no file is made, and one that is there stays."""
    file = tmp_path / "staff-pin"
    call("staff", "pin", file, "--pin-file", secret(tmp_path, OTHER))
    before = file.read_text()
    status, out, err = call("staff", "pin", file, "--pin-file", secret(tmp_path, pin))
    assert (status, out, pin in err, "staff PIN" in err) == (1, "", False, True)
    assert file.read_text() == before


def test_fail__typed_differently_the_second_time(call: Call, tmp_path: Path) -> None:
    """A slip of the finger locks nobody out: it is asked again, and without an answer nothing is written."""
    status, out, err = call("staff", "pin", tmp_path / "f", stdin=f"{PIN}\n{OTHER}\n")
    assert (status, PIN in out + err, OTHER in out + err) == (1, False, False)
    assert not (tmp_path / "f").exists()


def test_fail__a_folder_that_is_not_there(call: Call, tmp_path: Path) -> None:
    """A sentence with the file's name."""
    file = tmp_path / "gone" / "staff-pin"
    status, _, err = call("staff", "pin", file, "--pin-file", secret(tmp_path, PIN))
    assert (status, err) == (1, f"tourlatch: the file of staff's PIN {file} cannot be written: No such file or directory\n")


def test_fail__without_a_terminal(program: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """In a script nothing is asked in the open; one sentence, and no file."""
    started = program("staff", "pin", tmp_path / "f", stdin=subprocess.PIPE, start_new_session=True)
    out, err = started.communicate(f"{PIN}\n{PIN}\n", timeout=30)
    assert (started.returncode, out) == (1, "")
    assert err.splitlines()[-1].endswith("there is no terminal to ask for the PIN: give it in a file with --pin-file")
    assert not (tmp_path / "f").exists()


def test_fail__a_file_that_others_can_read_or_that_holds_no_hash(tmp_path: Path) -> None:
    """The agent does not start on either; what is in the file is not quoted."""
    file = secret(tmp_path, PIN)
    with pytest.raises(ConfigError, match=r"typed holds none: make it anew with `tourlatch staff pin`$") as refused:
        read_staff_pin(str(file))
    assert PIN not in str(refused.value)
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"can be read by others: chmod 600"):
        read_staff_pin(str(file))

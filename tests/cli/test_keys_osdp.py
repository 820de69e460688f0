"""`tourlatch keys osdp`: a reader gets a key that nobody has seen, and a file keeps it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import osdp_sys
import pytest

from drivers.osdp_frames import command_of
from tests.drivers.osdp_line import OTHER_KEY, Line, Reader, line_of

Call = Callable[..., tuple[int, str, str]]
INSTALL = osdp_sys.FLAG_INSTALL_MODE
KEYSET = 0x75


def set_up(call: Call, line: Line, file: Path) -> tuple[int, str, str]:
    """The command on this line."""
    return call("keys", "osdp", "--port", line.path, "--address", "5", file)


def keys_set(reader: Reader) -> list[str]:
    """The keys that a reader was given, as they are written."""
    return [found["data"].hex() + "\n" for found in reader.seen if found["command"] == osdp_sys.CMD_KEYSET]


def test_osdp__gives_a_reader_a_new_key_and_keeps_it_for_its_owner(call: Call, tmp_path: Path) -> None:
    """The file holds what the reader was given, for its owner alone, and it is not printed; a second reader gets another."""
    given = []
    for count in range(2):
        there, file = Reader(5, None, flags=INSTALL), tmp_path / f"{count}.key"
        with line_of(tmp_path / "bus", there) as line:
            status, out, err = set_up(call, line, file)
        told = f"The reader at address 5 has the key in {file}. End its set-up mode, and name the file as its `key_file`.\n"
        assert (status, out, err) == (0, "", told)
        assert (keys_set(there), stat.S_IMODE(file.stat().st_mode)) == ([file.read_text()], 0o600)
        given.append(file.read_text())
    assert len(set(given)) == 2


def test_osdp__overwrites_nothing(call: Call, tmp_path: Path) -> None:
    """A file that is there stays, for a reader's key may be in it, and the reader gets none."""
    there, file = Reader(5, None, flags=INSTALL), tmp_path / "there.key"
    file.write_text("what was there")
    with line_of(tmp_path / "bus", there) as line:
        status, out, err = set_up(call, line, file)
    assert (status, out, keys_set(there), file.read_text()) == (1, "", [], "what was there")
    assert f"{file} is there already" in err


@pytest.mark.parametrize("flags", [0, osdp_sys.FLAG_ENFORCE_SECURE])
def test_osdp__leaves_a_reader_with_a_key_alone(flags: int, call: Call, tmp_path: Path) -> None:
    """One that is not in its set-up mode keeps its key, and no file is left of a key that is nobody's."""
    there, file = Reader(5, OTHER_KEY, flags=flags), tmp_path / "new.key"
    with line_of(tmp_path / "bus", there) as line:
        status, out, err = set_up(call, line, file)
    assert (status, out, keys_set(there), file.exists()) == (1, "", [], False)
    assert "is not in its set-up mode" in err


def test_osdp__keeps_a_key_that_the_reader_may_have(call: Call, tmp_path: Path) -> None:
    """When the key was sent and the reader did not come back with it, the file stays, and what to do is told."""
    there, file = Reader(5, None, flags=INSTALL), tmp_path / "new.key"
    there.refuses.add(osdp_sys.CMD_KEYSET)
    with line_of(tmp_path / "bus", there) as line:
        status, out, err = set_up(call, line, file)
    assert (status, out, keys_set(there)) == (1, "", [file.read_text()])
    assert f"Keep {file}" in err
    assert file.read_text().strip() not in err


def broken_off(line: Line, file: Path, when: Callable[[], bool]) -> tuple[int, str]:
    """The command in a process of its own, broken off by ^C at that moment."""
    command = [sys.executable, "-m", "agent.cli", "keys", "osdp", "--port", str(line.path), "--address", "5", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(4000):
            if when():
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=40)
    return process.returncode, err


def test_osdp__broken_off_before_the_key_was_sent_leaves_nothing(tmp_path: Path) -> None:
    """Who waits for a reader in vain and breaks it off is told that no key was sent, and the file is gone."""
    file = tmp_path / "new.key"
    with line_of(tmp_path / "bus") as line:
        status, err = broken_off(line, file, lambda: bool(line.commands))
    assert (status, file.exists()) == (1, False)
    assert "Broken off. No key was sent." in err


def test_osdp__broken_off_after_the_key_was_sent_keeps_it(tmp_path: Path) -> None:
    """Once the key is on its way the reader may have it: the file stays, and that is said."""
    there, file = Reader(5, None, flags=INSTALL), tmp_path / "new.key"

    def from_the_key_on_nothing(command: bytes) -> bytes:
        there.is_dead = there.is_dead or command_of(command)[1] == KEYSET
        return b""

    with line_of(tmp_path / "bus", there) as line:
        line.answer = from_the_key_on_nothing
        status, err = broken_off(line, file, lambda: (5, KEYSET) in line.commands)
        assert (status, file.exists()) == (1, True)
    assert f"Keep {file}, which may hold its key" in err
    assert file.read_text().strip() not in err


def test_osdp__an_adapter_that_takes_nothing_ends_it(call: Call, tmp_path: Path) -> None:
    """The command does not hang on it: no key was sent, and no file is left."""
    file = tmp_path / "new.key"
    with line_of(tmp_path / "bus") as line:
        terminal = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcflow(terminal, termios.TCOOFF)
            status, out, err = set_up(call, line, file)
        finally:
            os.close(terminal)
    assert (status, out, file.exists()) == (1, "", False)
    assert "does not answer" in err


def test_osdp__a_port_that_the_agent_holds_is_named(call: Call, tmp_path: Path) -> None:
    """The agent is stopped first."""
    from drivers.reader_osdp import OsdpReader

    file = tmp_path / "new.key"
    with line_of(tmp_path / "bus") as line:
        agents = OsdpReader("front", str(line.path), key=OTHER_KEY)
        agents.open()
        status, out, err = set_up(call, line, file)
        agents.close()
    assert (status, out, file.exists()) == (1, "", False)
    assert "is held by another program. Stop that one first" in err

"""What a person can mend is told in a sentence: no traceback, nothing on stdout, exit status 1."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.demo.stage import configuration
from agent.store import files

Call = Callable[..., tuple[int, str, str]]
Words = tuple[str, ...]

READS_CONFIG: list[Words] = [
    ("check",),
    ("code", "check", "--door", "front", "TL1:."),
    ("events",),
    ("events", "--follow"),
    ("lock",),
    ("outbox", "drop", "--yes", "x"),
    ("outbox", "export"),
    ("outbox", "list"),
    ("outbox", "retry", "--all"),
    ("status",),
    ("unlock", "front", "--reason", "why"),
    ("visits",),
]
NEEDS_AGENT: list[Words] = [("events", "--follow"), ("status",), ("unlock", "front", "--reason", "why")]
NEEDS_STORE: list[Words] = [("events",), ("outbox", "export"), ("outbox", "list"), ("visits",)]
HAS_JSON: list[Words] = [("check",), ("lock",), ("outbox", "list"), ("outbox", "retry", "--all"), ("status",), ("visits",)]


def in_one_sentence(err: str) -> str:
    """The sentence after the program's name, of which there is just one on stderr."""
    found = re.fullmatch(r"tourlatch: ([^\n]+)\n", err)
    assert found, err
    return found[1]


@pytest.mark.parametrize("words", READS_CONFIG, ids="-".join)
def test_configuration__that_cannot_be_read(words: Words, call: Call, tmp_path: Path) -> None:
    """Every command that reads a configuration says that it is missing, is a folder, is no text or is no TOML, and does nothing else."""
    broken, binary = tmp_path / "broken.toml", tmp_path / "binary.toml"
    broken.write_text("community_id = \n")
    binary.write_bytes(b"community_id = '\xff'\n")
    told = {
        tmp_path / "gone.toml": "cannot be read: No such file or directory",
        tmp_path: "cannot be read: Is a directory",
        binary: "is not UTF-8 text",
        broken: "is not TOML: Invalid value (at line 1, column 16)",
    }
    for path, sentence in told.items():
        assert call(*words, "-c", path) == (1, "", f"tourlatch: the configuration {path} {sentence}\n")
    assert sorted(tmp_path.iterdir()) == [binary, broken]


def test_configuration__every_mistake_is_a_sentence_of_its_own(call: Call, tmp_path: Path) -> None:
    """All mistakes of a file are told at once, one sentence a mistake, each with its place and what to write instead."""
    path = tmp_path / "agent.toml"
    mistaken = {
        'community_id = "1001"': "community_id = 1001",
        'time_zone = "America/Los_Angeles"': 'time_zone = "America/Los_Angles"',
        "pulse_s = 0.5": 'pulse_s = "0.5"',
        "max_pulse_s = 2.0": "max_puls_s = 2.0",
        'driver = "serial"': 'driver = "telepathy"',
        "grace_before_min = 120": "grace_before_min = 721",
        'path = "/tmp/tourlatch-demo/journal.db"': 'path = "journal.db"',
        'base_url = "http://127.0.0.1:8790"': 'base_url = "http://example.com"',
        "[outbox]": "[outbox]\nat_once = 1.5",
    }
    text = configuration().replace("max_pulse_s = 2.0", "max_puls_s = 2.0")
    for right, wrong in mistaken.items():
        text = text.replace(right, wrong)
    path.write_text(text)
    status, out, err = call("check", "-c", path, "--json")
    told = [line.removeprefix(f"tourlatch: {path}: ") for line in err.splitlines()]
    assert (status, out) == (1, "")
    assert sorted(line.partition(": ")[0] for line in told) == [
        "community_id",
        "door.0.max_puls_s",
        "door.0.pulse_s",
        "door.0.reader.0.driver",
        "knock.base_url",
        "outbox.at_once",
        "rules.grace_before_min",
        "store.path",
        "time_zone",
    ]
    assert "door.0.max_puls_s: there is no such key; did you mean max_pulse_s?" in told
    assert any(line.startswith("time_zone: 'America/Los_Angles' is no time zone; write one like America/Los_Angeles") for line in told)
    assert not re.search(r"Traceback|pydantic|ValidationError", err)


@pytest.mark.parametrize("words", NEEDS_AGENT, ids="-".join)
def test_agent__that_does_not_run(words: Words, call: Call, site: Path) -> None:
    """What only a running agent can do says that none answers, and where it was looked for."""
    status, out, err = call(*words, "-c", site / "agent.toml")
    assert (status, out) == (1, "")
    assert in_one_sentence(err) == f"no agent answers at {site / 'agent.sock'}: systemctl status tourlatch"


@pytest.mark.parametrize("words", [("outbox", "retry", "--all"), ("outbox", "drop", "--yes", "x")], ids="-".join)
def test_agent__that_does_not_run_where_no_store_is(words: Words, call: Call, site: Path) -> None:
    """A hand on the queue where there is neither agent nor store says so, and makes no store."""
    before = sorted(site.iterdir())
    status, out, err = call(*words, "-c", site / "agent.toml")
    assert (status, out) == (1, "")
    assert in_one_sentence(err) == f"no agent answers at {site / 'agent.sock'}: systemctl status tourlatch"
    assert sorted(site.iterdir()) == before


@pytest.mark.parametrize("words", NEEDS_STORE, ids="-".join)
def test_store__that_is_not_there(words: Words, call: Call, site: Path) -> None:
    """What reads the store says that there is none yet, and makes none."""
    status, out, err = call(*words, "-c", site / "agent.toml")
    assert (status, out) == (1, "")
    assert in_one_sentence(err) == f"there is no store at {site / 'journal.db'} yet: it is made when the agent first runs"
    assert not (site / "journal.db").exists()


@pytest.mark.parametrize("words", [*NEEDS_STORE, ("outbox", "retry", "--all"), ("outbox", "drop", "--yes", "x")], ids="-".join)
def test_store__that_is_damaged(words: Words, call: Call, site: Path) -> None:
    """A store that is no database, or an empty database that claims to be one of ours, is told by its name and left as it is."""
    store = site / "journal.db"
    for content in (b"no database " * 500, _hollow(site)):
        store.write_bytes(content)
        status, out, err = call(*words, "-c", site / "agent.toml")
        assert (status, out) == (1, "")
        assert in_one_sentence(err).startswith(f"the store {store} cannot be ")
        if not content.startswith(b"SQLite"):
            assert store.read_bytes() == content


def _hollow(folder: Path) -> bytes:
    path = folder / "hollow.db"
    conn = sqlite3.connect(path)
    conn.execute("CREATE TABLE IF NOT EXISTS other (x)")
    conn.execute(f"PRAGMA user_version = {files.SCHEMA_VERSION}")
    conn.commit()
    conn.close()
    return path.read_bytes()


@pytest.mark.parametrize("words", [words for words in HAS_JSON if words != ("check",)], ids="-".join)
def test_json__prints_nothing_when_it_fails(words: Words, call: Call, site: Path) -> None:
    """A command that fails prints no half of a JSON value: stdout stays empty."""
    (site / "relay-front").mkdir()
    status, out, err = call(*words, "--json", "-c", site / "agent.toml")
    assert (status, out) == (1, "")
    assert in_one_sentence(err)


def test_lock__whose_relay_cannot_be_had_is_told(call: Call, site: Path) -> None:
    """With no agent and no relay to drive, `lock` fails with the relay's place."""
    (site / "relay-front").mkdir()
    status, _, err = call("lock", "-c", site / "agent.toml")
    assert status == 1
    assert str(site / "relay-front") in in_one_sentence(err)


POWERLESS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Starts a program as root without root's power over other users' files."""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="needs root, to give it up with setpriv")
@pytest.mark.parametrize("words", [*NEEDS_STORE, ("keys", "list"), ("status",)], ids="-".join)
def test_closed__to_this_user_is_a_sentence(words: Words, site: Path) -> None:
    """A user to whom the agent's folders are closed is told which one, in a sentence."""
    closed = site / "closed"
    (closed / "keys").mkdir(parents=True)
    os.chown(closed, 65534, 65534)
    closed.chmod(0o700)
    text = (site / "agent.toml").read_text().replace(f"{site}/journal.db", f"{closed}/journal.db")
    (site / "agent.toml").write_text(text.replace(f"{site}/agent.sock", f"{closed}/agent.sock"))
    where = ("-f", closed / "keys") if words[0] == "keys" else ("-c", site / "agent.toml")
    done = subprocess.run(
        [*POWERLESS, sys.executable, "-m", "agent.cli", *words, *where], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert str(closed) in in_one_sentence(done.stderr)


@pytest.mark.parametrize("words", [("visits",), ("outbox", "export"), ("code", "show", "-f", "KEYS", "CODE")], ids="-".join)
def test_pipe__that_nobody_reads_is_no_traceback(words: Words, call: Call, site: Path) -> None:
    """When the reader of a pipe has gone, the command ends quietly."""
    tour = ("--community", "1", "--appointment", "1", "--prospect", "1", "--door", "a")
    times = ("--start", "2026-03-31T15:30:00-07:00", "--end", "2026-03-31T15:45:00-07:00")
    code = call("code", "issue", "-f", site / "keys", *tour, *times)[1].strip("\r\n")
    files.bring_up_to_date(site / "journal.db")
    line = [{"KEYS": str(site / "keys"), "CODE": code}.get(word, word) for word in words]
    where = [] if words[0] == "code" else ["-c", str(site / "agent.toml")]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "agent.cli", *line, *where], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""


def test_check__prints_every_value_and_where_it_came_from(call: Call, site: Path) -> None:
    """A good file's values are one JSON list, each with its place and origin, and no device or file is touched."""
    before = sorted(site.iterdir())
    status, out, err = call("check", "-c", site / "agent.toml", "--json")
    values = {value["place"]: (value["value"], value["origin"]) for value in json.loads(out)}
    assert (status, err) == (0, "")
    assert values["door.0.pulse_s"] == (0.5, "file")
    assert values["lockout.guesses"] == (10, "default")
    status, out, err = call("check", "-c", site / "agent.toml")
    assert (status, err) == (0, f"{site / 'agent.toml'} is good.\n")
    told = [line.split()[0] for line in out.splitlines()]
    assert told == list(values)
    assert sorted(site.iterdir()) == before


def test_check__prints_its_schema_without_a_file(call: Call) -> None:
    """`--schema` prints one JSON value and needs no configuration."""
    status, out, err = call("check", "--schema", "-c", "/nowhere")
    assert (status, err) == (0, "")
    assert json.loads(out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"

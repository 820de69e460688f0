"""The commands where no agent runs: a hand on the store itself, and the relay driven from here."""

from __future__ import annotations

import getpass
import json
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.demo.stage import configuration
from agent.store import files
from agent.store.journal import connect, transaction

Call = Callable[..., tuple[int, str, str]]
OTHERS = "tourlatch: the others are not in the outbox, or are being sent just now\n"
STATES = {"d": "due", "s": "sending", "i": "in_doubt", "x": "dead"}


@pytest.fixture
def store(site: Path) -> Path:
    """A store with one visit in each state of the queue, the ids of which are the states' letters, and one that was delivered."""
    path = site / "journal.db"
    files.bring_up_to_date(path)
    with closing(connect(path, synchronous="OFF")) as conn, transaction(conn):
        for visit_id in [*STATES, "ok"]:
            delivered = ("77", 5) if visit_id == "ok" else (None, None)
            visit = (visit_id, f"a-{visit_id}", f"p-{visit_id}", "1001", 0, "[]", None, *delivered, None, None)
            conn.execute("INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", visit)
        for visit_id, state in STATES.items():
            conn.execute("INSERT INTO outbox VALUES (?, ?, ?, 1, 0, 9, 0, '400: no')", (visit_id, f"p-{visit_id}", state))
    return path


def states(store: Path) -> dict[str, str]:
    """The queue as it is in the store."""
    return {row["visit_id"]: row["state"] for row in files.rows(store, "SELECT visit_id, state FROM outbox ORDER BY visit_id")}


def drops(store: Path) -> list[dict[str, Any]]:
    """The journal's entries on dropped visits."""
    return [json.loads(row["detail"]) for row in files.rows(store, "SELECT detail FROM journal WHERE kind = 'drop'")]


def test_list__shows_every_state_in_words(store: Path, call: Call, site: Path) -> None:
    """Each visit is a line that says where it stands, and those that were delivered are in `visits` alone."""
    status, out, err = call("outbox", "list", "-c", site / "agent.toml")
    assert (status, err) == (0, "")
    told = {line.split("  ")[0]: line.split("  ")[-1] for line in out.splitlines()}
    words = " after 1 attempts: 400: no"
    queue = {"d": f"to be sent{words}", "s": f"being sent{words}", "i": f"in doubt, held{words}", "x": f"dead letter{words}"}
    assert told == queue
    everything = {line.split("  ")[0]: line.split("  ")[-1] for line in call("visits", "-c", site / "agent.toml")[1].splitlines()}
    assert everything == {**queue, "ok": "delivered as 77"}
    assert "a-ok  no unit  delivered as 77" in call("visits", "-c", site / "agent.toml")[1]
    assert store.exists()


def test_list__of_nothing_says_so(call: Call, site: Path) -> None:
    """An empty queue is the word None for people, and an empty list for programs."""
    files.bring_up_to_date(site / "journal.db")
    assert call("outbox", "list", "-c", site / "agent.toml") == (0, "None.\n", "")
    assert call("outbox", "list", "-c", site / "agent.toml", "--json") == (0, "[]\n", "")
    assert call("outbox", "retry", "--all", "-c", site / "agent.toml") == (0, "0 to be sent again.\n", "")


def test_retry__of_all_leaves_what_is_being_sent(store: Path, call: Call, site: Path) -> None:
    """With no agent the store is changed from here: what waits for a person is due now, and nothing else is."""
    assert call("outbox", "retry", "--all", "-c", site / "agent.toml", "--json") == (0, '{"retried": 2}\n', "")
    assert states(store) == {"d": "due", "s": "sending", "i": "due", "x": "due"}


def test_retry__of_some_counts_those_that_were_there(store: Path, call: Call, site: Path) -> None:
    """Named visits are due now; one that is being sent and one that is not there are told as not done."""
    assert call("outbox", "retry", "x", "-c", site / "agent.toml") == (0, "1 to be sent again.\n", "")
    assert call("outbox", "retry", "s", "d", "nobody", "ok", "-c", site / "agent.toml") == (1, "1 to be sent again.\n", OTHERS)
    assert states(store) == {"d": "due", "s": "sending", "i": "in_doubt", "x": "due"}


def test_drop__writes_down_who(store: Path, call: Call, site: Path) -> None:
    """A drop with no agent is journaled with the user as well; what is being sent or was delivered stays."""
    assert call("outbox", "drop", "--yes", "x", "s", "ok", "-c", site / "agent.toml", "--json") == (1, '{"dropped": ["x"]}\n', OTHERS)
    assert states(store) == {"d": "due", "s": "sending", "i": "in_doubt"}
    assert drops(store) == [{"visit_id": "x", "user": getpass.getuser()}]
    assert "delivered as 77" in call("visits", "-c", site / "agent.toml")[1]


def test_busy__a_store_that_another_holds_is_left_alone(store: Path, call: Call, site: Path) -> None:
    """While another process holds the store and no agent answers, nothing is changed, and who is in the way is told."""
    sentence = f"tourlatch: another tourlatch process holds the store {store} (there is one agent per folder)\n"
    with files.held(store):
        for words in (("retry", "--all"), ("retry", "x"), ("drop", "--yes", "x")):
            assert call("outbox", *words, "-c", site / "agent.toml") == (1, "", sentence)
    assert states(store) == STATES
    assert drops(store) == []


def test_busy__does_not_outlast_the_command(store: Path, call: Call, site: Path) -> None:
    """A command gives the store back when it ends, whether it did anything or not."""
    for words in (("retry", "--all"), ("drop", "--yes", "x"), ("drop", "--yes", "nobody")):
        call("outbox", *words, "-c", site / "agent.toml")
        with files.held(store):
            pass


def test_lock__drives_the_relays_from_here(call: Call, site: Path) -> None:
    """With no agent, a line that was left released is locked, which is what the service does after the agent died."""
    relay = site / "relay-front"
    relay.write_bytes(b"1")
    assert call("lock", "-c", site / "agent.toml") == (0, "Locked: front.\n", "")
    assert relay.read_bytes() == b"0"
    assert [line.split()[1] for line in (site / "relay-front.log").read_text("ascii").splitlines()] == ["locked"]
    assert call("lock", "-c", site / "agent.toml", "--json") == (0, '{"locked": ["front"]}\n', "")
    assert [line.split()[1] for line in (site / "relay-front.log").read_text("ascii").splitlines()] == ["locked"] * 2


def test_lock__needs_neither_keys_nor_store_nor_reader(call: Call, site: Path) -> None:
    """Locking asks for nothing but the configuration and the relay: whatever stopped the agent does not stop the lock."""
    (site / "relay-front").write_bytes(b"1")
    for entry in (site / "keys").iterdir():
        entry.unlink()
    (site / "keys").rmdir()
    (site / "appointment-key").unlink()
    (site / "journal.db").write_bytes(b"no database")
    assert call("lock", "-c", site / "agent.toml") == (0, "Locked: front.\n", "")
    assert (site / "relay-front").read_bytes() == b"0"


def test_lock__locks_the_doors_that_it_can(call: Call, site: Path) -> None:
    """A relay that is missing does not keep the other doors' from being locked, and is told."""
    text = configuration().replace("/tmp/tourlatch-demo", str(site))
    second = text[text.index("[[door]]") :].replace("front", "back").replace("scanner", "scanner-2")
    (site / "agent.toml").write_text(text + "\n" + second)
    (site / "relay-front").mkdir()
    (site / "relay-back").write_bytes(b"1")
    status, out, err = call("lock", "-c", site / "agent.toml")
    assert (status, out) == (1, "")
    assert str(site / "relay-front") in err
    assert (site / "relay-back").read_bytes() == b"0"


def test_lock__does_not_wait_for_an_agent_that_never_answers(call: Call, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that hangs is given up after a while, and the relay is driven from here."""
    monkeypatch.setattr(protocol, "TIMEOUT_S", 0.2)
    (site / "relay-front").write_bytes(b"1")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(site / "agent.sock"))
        deaf.listen()
        began_s = time.monotonic()
        assert call("lock", "-c", site / "agent.toml") == (0, "Locked: front.\n", "")
    assert time.monotonic() - began_s < 5
    assert (site / "relay-front").read_bytes() == b"0"

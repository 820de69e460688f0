"""A program for `test_power_cut`: admits, reports and refuses on the store that it is told, and says on standard output what is done."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from agent.store import journal as journaling
from agent.store import outbox
from agent.store import upkeep as upkeeping
from agent.store.journal import Journal, Note, write_note
from agent.store.upkeep import Upkeep
from tests.store.made import T0_MS, admission, code, moment

ADMISSIONS = 24


def say(words: str) -> None:
    """One line, in one write: whoever reads it may rely on what it says."""
    os.write(1, words.encode("ascii") + b"\n")


def main(path: Path, synchronous: str) -> None:
    """Admissions in this thread, deliveries and refusals in upkeep's, and a log so short that it is checkpointed now and then."""
    for module in (journaling, upkeeping):
        setattr(module, "LOG_BYTES", 48 * 1024)  # noqa: B010 - a constant
    gate = threading.RLock()
    journal, keeper = Journal(path, gate), Upkeep(path, gate)
    journal._conn.execute(f"PRAGMA synchronous = {synchronous}")
    for number in range(ADMISSIONS):
        visit_id = journal.admit(code(number), admission(code(number)), "Zumper").new_visit_id
        assert visit_id is not None
        say(f"admitted a{number}")
        if number % 3 == 1:
            journal.admit(code(number), admission(code(number), "gym", T0_MS + number), "Zumper")
            say(f"again a{number}")
        if number % 6 == 1:
            journal.leave(f"a{number}", Note(moment(T0_MS + 500), "exit", "gym", "inner-reader", None, f"a{number}"))
            say(f"left a{number}")
        if number % 2:
            refusal = Note(moment(), "refusal", "front", "reader", "too_early", f"r{number}")
            written = keeper.submit(lambda conn, note=refusal: write_note(conn, note))  # type: ignore[misc]  # a bound default
            if number % 4 == 1:
                keeper.submit(lambda conn, visit=visit_id: outbox.deliver(conn, visit, "12345", T0_MS)).result()  # type: ignore[misc]
                say(f"delivered a{number}")
            written.result()
            say(f"refused r{number}")
            # the next job begins after the checkpoint, if there is one: now and then it gets through undisturbed
            keeper.submit(lambda _conn: None).result()
    say("end")
    os._exit(0)  # as a power cut: the log is not folded into the file by an orderly close


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""A desk that is killed in the middle of a confirmation has written all of it or nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from agent.core.tour import Standing
from agent.desk.store import DeskStore
from tests.desk.store.made import confirm, everything, new_store, opened, start

CONFIRM = """
from agent.sqlite import Transaction
run, left = Transaction.run, int(sys.argv[2])
def run_or_die(self, sql, **parameters):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return run(self, sql, **parameters)
Transaction.run = run_or_die
# a move, which supersedes the old appointment and the prospect's other tour
settled = store.settle(
    booking(1).booking_id, expected={BookingState.CONFIRMED}, now_ms=T0_MS,
    change=lambda found: replace(found, appointment_id="a9", asked_turn=3),
    appointment=appointment(1, appointment_id="a9", code_id="9" * 12, prospect_id="p"), pins=pins(9),
    jobs=[(JobKind.MAIL_MOVED, booking(1).booking_id), (JobKind.CANCEL, "a1")],
)
Transaction.run = run
print("settled", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
ENDLESS = """
number = int(sys.argv[2])
while True:
    confirm(store, number, prospect_id="p")
    print(number, flush=True)
    number += 1
"""


def killed_after(path: Path, statements: int) -> str:
    """What a process printed that kills itself before it writes for the `statements`-th time, or after the commit."""
    begun = start(CONFIRM, path, statements)
    told, _ = begun.communicate("go\n", timeout=60)
    assert begun.returncode == -signal.SIGKILL
    return told.removeprefix("ready\n")


def two_tours(path: Path) -> None:
    """Two confirmed tours of one prospect."""
    with opened(path) as store:
        for number in (1, 2):
            confirm(store, number, prospect_id="p", supersedes=False)


def test_ok__killed_before_any_statement_leaves_all_or_nothing(tmp_path: Path) -> None:
    """Before each write of a confirmation: nothing of it is there. After the commit: all of it."""
    origin = new_store(tmp_path)
    two_tours(origin)
    before = everything(origin)
    for statements in range(100):
        folder = tmp_path / str(statements)
        folder.mkdir()
        path = Path(shutil.copy(origin, folder / "desk.db"))
        if killed_after(path, statements) == "settled\n":
            break
        assert everything(path) == before
    else:
        raise AssertionError("it never came to its end")
    assert statements >= 8, "a move writes the booking, two appointments, their doors and PINs, and two jobs"
    after = everything(path)
    assert {name for name in after if after[name] != before[name]} == {
        "appointment", "booking", "counter", "job", "live_pin", "roster_door",
    }  # fmt: skip


def test_ok__killed_at_any_moment_leaves_a_whole_store(tmp_path: Path) -> None:
    """Every confirmation that was told is there, every booking has its appointment and PINs or none, and the next desk goes on."""
    path = new_store(tmp_path)
    told: list[int] = []
    for round_number in range(6):
        told += told_before_the_kill(start(ENDLESS, path, 1 + 1000 * round_number), 3 + 2 * round_number)
        with opened(path) as store:
            assert all(store.appointment(f"a{number}") for number in told)
            assert_whole(store, path, kills=round_number + 1)


def told_before_the_kill(begun: subprocess.Popen[str], lines: int) -> list[int]:
    """Kill a process after so many confirmations, in whatever it is doing; returns the ones that it told of."""
    assert begun.stdin is not None
    assert begun.stdout is not None
    assert begun.stdout.readline() == "ready\n"
    begun.stdin.write("go\n")
    begun.stdin.flush()
    told = [begun.stdout.readline() for _ in range(lines)]
    os.kill(begun.pid, signal.SIGKILL)
    return [int(line) for line in [*told, *begun.communicate(timeout=60)[0].split()]]


def assert_whole(store: DeskStore, path: Path, *, kills: int) -> None:
    """One tour of the prospect is alive, all others are superseded, each kill left one that was begun at most, and each table agrees."""
    tables = everything(path)
    states = [str(row[3]) for row in tables["booking"]]
    assert states.count("confirmed") == 1
    assert set(states) <= {"confirmed", "superseded", "asking"}
    assert states.count("asking") <= kills
    entries, last, has_more = store.roster_page("1001", "front", 0, 10_000)
    live = [(int(one.code_id, 16), pin) for one, pin in entries if one.standing is Standing.CONFIRMED]
    assert live == [(number, f"front-{number}") for number, _ in live]
    assert len(live) == 1
    assert len(tables["live_pin"]) == 2
    assert len(entries) == len(states) - states.count("asking")
    assert (last, has_more) == (store.last_seq(), False)

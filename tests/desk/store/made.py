"""What the tests of the desk's store are made with: bookings, appointments, a store on disk, and processes beside this one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.core.booking import BookingState, Person, SmsConsent
from agent.core.tour import Standing, Window
from agent.desk.records import Appointment, Booking
from agent.desk.store import DeskStore

ROOT = Path(__file__).resolve().parents[3]
HOUR_MS = 3_600_000
T0_MS = 1_800_000_000_000
"""An instant in 2027: now, in these tests."""
START_MS = T0_MS + HOUR_MS
ASKING = frozenset({BookingState.ASKING})


def window(hours: float = 0) -> Window:
    """Half an hour, which begins so many hours after `START_MS`."""
    start_ms = START_MS + round(hours * HOUR_MS)
    return Window(start_ms, start_ms + HOUR_MS // 2)


def booking(number: int = 1, **changes: Any) -> Booking:  # noqa: ANN401 - any field
    """Booking `number`, being asked for."""
    made = Booking(
        booking_id=f"{number:016x}",
        submission=f"submission-{number}",
        community_id="1001",
        state=BookingState.ASKING,
        window=window(),
        person=Person(f"Ann{number}", f"Lee{number}", f"ann{number}@example.com", f"+1555010{number:04d}"),
        sms_consent=SmsConsent(is_given=False, wording="May we text you?", page_url="https://tours.example/1"),
        language="en",
        source_title="Zumper",
        unit_names=("204 B",),
        created_ms=T0_MS,
        changed_ms=T0_MS,
    )
    return replace(made, **changes)


def appointment(number: int = 1, **changes: Any) -> Appointment:  # noqa: ANN401 - any field
    """Appointment `number`, confirmed, of two doors; of a booking unless `booking_id` says otherwise."""
    made = Appointment(
        appointment_id=f"a{number}",
        booking_id=f"{number:016x}",
        community_id="1001",
        prospect_id=f"p{number}",
        standing=Standing.CONFIRMED,
        code_id=f"{number:012x}",
        key_id="0badcafe",
        doors=("front", "gym"),
        unit_names=("204 B",),
        window=window(),
        source_title="Zumper",
        pin_attempt=0,
        revision=0,
        first_name=f"Ann{number}",
    )
    return replace(made, **changes)


def pins(number: int, doors: Sequence[str] = ("front", "gym")) -> dict[str, str]:
    """The hashes of PIN `number` at the doors."""
    return {door: f"{door}-{number}" for door in doors}


def confirm(
    store: DeskStore,
    number: int,
    *,
    begin: bool = True,
    supersedes: bool = True,
    now_ms: int = T0_MS,
    **changes: Any,  # noqa: ANN401 - any field
) -> Booking:
    """Book and confirm tour `number`, its appointment being changed as named; the PIN has the same number."""
    made = appointment(number, **changes)
    if begin:
        store.begin(booking(number, window=made.window))
    return store.settle(
        f"{number:016x}",
        expected=ASKING,
        change=lambda found: replace(
            found, state=BookingState.CONFIRMED, appointment_id=made.appointment_id, prospect_id=made.prospect_id, window=made.window
        ),
        appointment=made,
        pins=pins(number, made.doors),
        supersedes=supersedes,
        now_ms=now_ms,
    )


@contextmanager
def opened(path: Path) -> Iterator[DeskStore]:
    """The store at a path, closed at the end."""
    store = DeskStore.open(path)
    try:
        yield store
    finally:
        store.close()


def new_store(folder: Path) -> Path:
    """A fresh store."""
    path = folder / "desk.db"
    with opened(path):
        return path


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of ours."""
    with closing(sqlite3.connect(path)) as conn:
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: conn.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in names if "sqlite" not in name}  # noqa: S608


def together(program: str, arguments: Sequence[Sequence[object]]) -> list[str]:
    """Run a program in several processes that begin at the same moment, at `sys.stdin.readline()`; returns what each one printed."""
    begun = [start(program, *one) for one in arguments]
    for one in begun:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in begun:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [one.communicate(timeout=60)[0] for one in begun]
    assert [one.returncode for one in begun] == [0] * len(begun)
    return told


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of ours that says `ready` and waits for a line before it goes on; it has `store`, and `arguments` from 2 on."""
    head = """
import os, signal, sys, time
from dataclasses import replace
from pathlib import Path
from agent.core.booking import BookingState
from agent.core.replay import Mark, RowState
from agent.core.tour import Standing
from agent.desk.records import Admission, JobKind
from agent.desk.store import BusyError, DeskStore, PinTakenError, StateError
from tests.desk.store.made import *
store = DeskStore.open(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
"""
    command = [sys.executable, "-W", "error", "-c", head + program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

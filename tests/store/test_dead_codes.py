"""Dead codes stay dead (P5): in whatever order and however often the news comes, over restarts, and retired keys for ever."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import Denied, Facts, Rules, UncertainClock, decide
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode
from agent.store.upkeep import apply_roster, retire_keys
from tests.store.made import T0_MS, code, everything, moment, new_store, opened

RULES = Rules(
    community_id="1001",
    grace_before_ms=0,
    grace_after_ms=0,
    admissions_per_door=5,
    uncertain_clock=UncertainClock.REFUSE,
    tolerated_ms=60_000,
)
CONFIRMED, CANCELLED, SUPERSEDED = Standing
ALL = [code(number, issue=issue) for number in (1, 2) for issue in range(3)]
OLD, NEW, NEWER = (code(1, issue=issue).code_id for issue in range(3))

news = st.builds(
    lambda number, standing, issue, revision: RosterEntry(
        f"a{number}", standing, None if issue is None else code(number, issue=issue).code_id, revision=revision
    ),
    st.integers(1, 2),
    st.sampled_from([CONFIRMED, CONFIRMED, CONFIRMED, CANCELLED, SUPERSEDED]),
    st.sampled_from([None, 0, 1, 2]),
    st.integers(0, 3),
)


def hear(path: Path, *entries: RosterEntry) -> list[RosterEntry]:
    """Open the store as after a restart, hear the news, close it; returns what was new."""
    with opened(path) as (_, keeper):
        return keeper.submit(lambda conn: apply_roster(conn, list(entries), T0_MS)).result(10)


def answers(path: Path, *presented: TourCode) -> list[Reason | None]:
    """What the door says to each code after a restart: a reason, or None when it opens."""
    with opened(path) as (journal, _):
        facts = [journal.facts(one.appointment_id, "front") for one in presented]
    decisions = [
        decide(one, Facts("front", moment().interval, known.entry, known.admissions), RULES)
        for one, known in zip(presented, facts, strict=True)
    ]
    return [decision.reason if isinstance(decision, Denied) else None for decision in decisions]


def lives(conn: sqlite3.Connection, one: TourCode) -> bool:
    """Whether the roster, as it stands, lets this code open."""
    row = conn.execute("SELECT standing, code_id FROM roster WHERE appointment_id = ?", (one.appointment_id,)).fetchone()
    return row is None or (row[0] == "confirmed" and row[1] in (None, one.code_id))


def named(standing: Standing, code_id: str | None, revision: int = 0) -> RosterEntry:
    """News of appointment 1."""
    return RosterEntry("a1", standing, code_id, revision=revision)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh store."""
    return new_store(tmp_path)


@pytest.mark.parametrize(
    ("told", "alive"),
    [
        ([], [0, 1, 2]),
        ([named(CONFIRMED, None)], [0, 1, 2]),
        ([named(CONFIRMED, OLD)], [0]),
        ([named(CONFIRMED, OLD), named(CONFIRMED, None)], [0]),
        ([named(CONFIRMED, OLD), named(CONFIRMED, NEW, 1)], [1]),
        ([named(CONFIRMED, NEW, 1), named(CONFIRMED, OLD)], [1]),
        ([named(CONFIRMED, None), named(CONFIRMED, NEW, 1), named(CONFIRMED, OLD)], [1]),
        ([named(CONFIRMED, NEW), named(CONFIRMED, OLD)], [1]),
        ([named(CONFIRMED, OLD), named(CONFIRMED, None, 1)], [0]),
        ([named(CONFIRMED, None, 2), named(CONFIRMED, OLD, 1)], [0, 1, 2]),
        ([named(CONFIRMED, OLD), named(CONFIRMED, NEW, 1), named(CONFIRMED, OLD, 2)], [1]),
        ([named(CONFIRMED, OLD), named(CONFIRMED, NEW, 1), named(CONFIRMED, NEWER, 2), named(CONFIRMED, NEW, 3)], [2]),
        ([named(CANCELLED, None), named(CONFIRMED, OLD)], []),
        ([named(SUPERSEDED, OLD), named(CONFIRMED, NEW)], []),
        ([named(CONFIRMED, OLD), named(CANCELLED, None)], []),
        ([named(CONFIRMED, OLD), named(CONFIRMED, NEW, 1), named(CANCELLED, OLD)], []),
        ([named(CONFIRMED, OLD), named(CONFIRMED, NEW, 1), named(SUPERSEDED, OLD)], []),
    ],
)
def test_ok__the_codes_that_live_after_the_news(path: Path, told: list[RosterEntry], alive: list[int]) -> None:
    """Every kind of news in every order that matters leaves exactly these codes of the appointment alive."""
    hear(path, *told)
    said = answers(path, *(code(1, issue=issue) for issue in range(3)))
    assert [issue for issue in range(3) if said[issue] is None] == alive


def test_ok__only_what_is_new_is_told(path: Path) -> None:
    """Hearing the same again changes nothing, and says that nothing changed."""
    first, second = RosterEntry("a1", CONFIRMED, OLD, "Zumper"), RosterEntry("a2", CANCELLED)
    assert hear(path, first, second, first) == [first, second]
    before = everything(path)
    assert before["roster"] == [("a1", "confirmed", OLD, "Zumper", 0, T0_MS), ("a2", "cancelled", None, None, 0, T0_MS)]
    assert hear(path, second, first) == []
    assert everything(path) == before


def test_fail__a_dead_code_is_refused_with_its_reason(path: Path) -> None:
    """The prospect hears whether the tour was cancelled or moved, not just no."""
    hear(path, RosterEntry("a1", CANCELLED), RosterEntry("a2", SUPERSEDED), RosterEntry("a3", CONFIRMED, code(3, issue=1).code_id))
    said = answers(path, code(1), code(2), code(3), code(3, issue=1))
    assert said == [Reason.CANCELLED, Reason.SUPERSEDED, Reason.SUPERSEDED, None]


@settings(deadline=None, max_examples=60)
@given(told=st.lists(st.lists(news, max_size=4), max_size=5))
def test_ok__once_dead_never_alive(tmp_path_factory: pytest.TempPathFactory, told: list[list[RosterEntry]]) -> None:
    """In any order and repetition: a code that was heard of and is dead stays dead, and a cancel kills all of its appointment."""
    path = new_store(tmp_path_factory.mktemp("news"))
    heard: set[str] = set()
    dead: set[str] = set()
    ended: set[str] = set()
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        for batch in told:
            for entry in batch:
                apply_roster(conn, [entry], T0_MS)
                heard |= {one.code_id for one in ALL if one.code_id == entry.code_id}
                ended |= {entry.appointment_id} if entry.standing is not CONFIRMED else set()
                living = {one.code_id for one in ALL if lives(conn, one)}
                assert living & dead == set(), f"risen from the dead by {entry}"
                assert {one.appointment_id for one in ALL if one.code_id in living} & ended == set()
                dead |= heard - living
    assert {one.code_id for one, reason in zip(ALL, answers(path, *ALL), strict=True) if reason is None} & dead == set()


def test_ok__a_retired_key_stays_retired(path: Path) -> None:
    """Every key that was ever called retired is called retired at every later start, whatever the files say then."""
    told = []
    for retired_now in (["aaaaaaaa"], [], ["bbbbbbbb", "aaaaaaaa"], []):
        with opened(path) as (_, keeper):
            told.append(keeper.submit(lambda conn, now=retired_now: retire_keys(conn, now, T0_MS)).result(10))  # type: ignore[misc]
    assert told == [{"aaaaaaaa"}, {"aaaaaaaa"}, {"aaaaaaaa", "bbbbbbbb"}, {"aaaaaaaa", "bbbbbbbb"}]
    assert everything(path)["retired_key"] == [("aaaaaaaa", T0_MS), ("bbbbbbbb", T0_MS)]

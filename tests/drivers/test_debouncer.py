"""The debouncer against its rule, spelled out in another way: every pattern of edges on a short line of time."""

from __future__ import annotations

import itertools

import pytest

from drivers.inputs import Change, Debouncer

TICKS = 10
EDGES = [edges for count in range(TICKS + 1) for edges in itertools.combinations(range(1, TICKS + 1), count)]


def by_the_rule(edges: tuple[int, ...], debounce: int, until: int) -> list[Change]:
    """A level counts once it has stood for the time, and its tick is that of the first edge that led away from the one that counted."""
    counts, first, changes = False, None, []
    for index, since in enumerate((0, *edges)):
        level = bool(index % 2)
        if index and first is None:
            first = since
        until_here = edges[index] if index < len(edges) else until
        if first is not None and until_here - since >= debounce:
            if level != counts:
                changes.append(Change(level, first))
            counts, first = level, None
    return changes


def told(edges: tuple[int, ...], debounce: int, until: int, asked_at: frozenset[int]) -> list[Change]:
    """What the debouncer says of these edges, asked at these ticks, too."""
    debouncer, changes = Debouncer(debounce, is_active=False, at_ns=0), []
    for tick in range(until + 1):
        if tick in edges:
            changes += debouncer.edge(edges.index(tick) % 2 == 0, tick)
        if tick in asked_at:
            changes += debouncer.settle(tick)
    return changes + debouncer.settle(until)


@pytest.mark.parametrize("debounce", [0, 1, 2, 3, 5])
def test_ok__every_pattern_of_edges_is_judged_by_the_rule(debounce: int) -> None:
    """All 1024 patterns of ten ticks; how often it is asked in between makes no difference, for the ticks are the edges' own."""
    until = TICKS + debounce
    for edges in EDGES:
        right = by_the_rule(edges, debounce, until)
        for asked_at in (frozenset(range(until)), frozenset({3, 7}), frozenset[int]()):
            assert told(edges, debounce, until, asked_at) == right, (edges, asked_at)


def test_ok__changes_take_turns_and_their_ticks_never_go_back() -> None:
    """Whatever the edges were, what counts goes active, idle, active; each is told with a tick of an edge."""
    for edges in EDGES:
        changes = told(edges, 2, TICKS + 2, frozenset())
        assert [change.is_active for change in changes] == [index % 2 == 0 for index in range(len(changes))]
        assert [change.at_ns for change in changes] == sorted(change.at_ns for change in changes)
        assert {change.at_ns for change in changes} <= set(edges)


def test_ok__due_is_when_it_settles() -> None:
    """It is quiet until an edge comes, due when that has stood, and quiet again."""
    debouncer = Debouncer(30, is_active=False, at_ns=0)
    assert debouncer.due_ns is None
    assert debouncer.edge(True, 100) == []
    assert debouncer.due_ns == 130
    assert debouncer.settle(129) == []
    assert debouncer.edge(False, 110) + debouncer.edge(True, 115) == []
    assert debouncer.due_ns == 145
    assert debouncer.settle(144) == []
    assert debouncer.settle(145) == [Change(True, 100)]
    assert debouncer.is_active
    assert not debouncer.edge(True, 150)
    assert debouncer.due_ns is None


def test_ok__a_level_that_was_read_makes_good_an_edge_that_was_lost() -> None:
    """The reading counts as the edge, and has to stand as long."""
    debouncer = Debouncer(30, is_active=False, at_ns=0)
    assert debouncer.seen(True, 1000) == []
    assert debouncer.seen(True, 1029) == []
    assert debouncer.seen(True, 1030) == [Change(True, 1000)]
    assert debouncer.seen(True, 2000) == []


def test_ok__an_edge_to_the_same_level_says_that_it_was_away() -> None:
    """Of two edges the one between them was lost: the level begins to stand anew, and a quiet line stays quiet."""
    debouncer = Debouncer(30, is_active=False, at_ns=0)
    assert debouncer.edge(False, 50) == []
    assert debouncer.due_ns is None
    assert debouncer.edge(True, 100) + debouncer.edge(True, 120) == []
    assert debouncer.settle(149) == []
    assert debouncer.settle(150) == [Change(True, 100)]


def test_ok__an_edge_told_after_its_level_was_read_gives_the_tick() -> None:
    """The level was read a moment after the edge, which was told a moment after that: the edge's tick is the true one."""
    debouncer = Debouncer(30, is_active=False, at_ns=0)
    assert debouncer.seen(True, 105) + debouncer.edge(True, 100) == []
    assert debouncer.settle(134) == []
    assert debouncer.settle(135) == [Change(True, 100)]


def test_ok__a_tick_that_goes_back_is_taken_as_the_last() -> None:
    """Two lines of the kernel may tell in the wrong order: nothing stands for a negative time, and nothing is lost."""
    debouncer = Debouncer(30, is_active=True, at_ns=1000)
    assert debouncer.edge(False, 900) == []
    assert debouncer.settle(1029) == []
    assert debouncer.settle(1030) == [Change(False, 1000)]


def test_ok__when_it_settled_is_the_last_edge_and_the_time() -> None:
    """However late it is asked, and though an edge that came since was told before."""
    debouncer = Debouncer(5, is_active=False, at_ns=0)
    assert debouncer.edge(is_active=True, at_ns=10) == []
    assert debouncer.edge(is_active=True, at_ns=13) == []
    assert debouncer.edge(is_active=False, at_ns=40) == [Change(is_active=True, at_ns=10)]
    assert debouncer.settled_ns == 18

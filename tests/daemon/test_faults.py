"""A door that could not do what it last had to says so until it can: the status is what a screen goes by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.reasons import Reason
from agent.daemon.doorman import StaffUnlock
from agent.daemon.faults import FAULTS, Faults
from agent.errors import StoreError
from drivers.base import DriverError
from tests.daemon.world import World, issued

UNWRITABLE = """CREATE TRIGGER full BEFORE INSERT ON journal WHEN NEW.kind IN ('admission', 'unlock')
BEGIN SELECT RAISE(ABORT, 'no room'); END"""
"""The store can be read, and refusals be written: what cannot is all that opens."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A door with nothing wrong."""
    made = World(tmp_path)
    yield made
    made.close()


def alter(world: World, sql: str) -> None:
    """Change the store under the agent."""
    conn = sqlite3.connect(world.store, timeout=10)
    conn.execute(sql)
    conn.commit()
    conn.close()


def staff(world: World) -> None:
    """Staff unlock once, and it is over."""
    world.doorman.unlock(StaffUnlock("front", "ana", "why")).result(5)
    world.wait_locked()


def test_fault__an_admission_that_cannot_be_written_stands_until_one_can(world: World) -> None:
    """Neither time nor a refusal takes it back; the next admission does, whose code is as good as before."""
    alter(world, UNWRITABLE)
    world.scan(issued())
    world.scan("nonsense")
    assert (world.reasons(), world.doorman.faults.of("front")) == (["store_failed", "unreadable"], Reason.STORE_FAILED)
    assert world.doorman.faults.of("stopped") is None
    alter(world, "DROP TRIGGER full")
    world.scan(issued())
    assert (world.reasons()[-1], world.doorman.faults.of("front")) == ("granted", None)


def test_fault__a_relay_that_fails_stands_until_it_pulls(world: World) -> None:
    """The same, of the relay; here staff show that it is well again."""
    world.line.is_broken = True
    world.scan(issued())
    assert (world.reasons(), world.doorman.faults.of("front")) == (["relay_failed"], Reason.RELAY_FAILED)
    world.line.is_broken = False
    staff(world)
    assert world.doorman.faults.of("front") is None


def test_fault__staffs_unlock_shows_a_fault_like_a_prospects(world: World) -> None:
    """The disk's and the relay's; an admission heals it."""
    alter(world, UNWRITABLE)
    with pytest.raises(StoreError):
        staff(world)
    assert world.doorman.faults.of("front") is Reason.STORE_FAILED
    alter(world, "DROP TRIGGER full")
    world.line.is_broken = True
    with pytest.raises(DriverError):
        staff(world)
    assert world.doorman.faults.of("front") is Reason.RELAY_FAILED
    world.line.is_broken = False
    world.scan(issued())
    assert world.doorman.faults.of("front") is None


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in FAULTS])
def test_ok__a_refusal_is_no_fault(reason: Reason) -> None:
    """A door that says no is well."""
    faults = Faults()
    faults.failed("front", reason)
    assert faults.of("front") is None

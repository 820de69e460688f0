"""One reader as the bus sees it, told the time: what is told when, and when it is called again."""

from __future__ import annotations

import pytest

from drivers.base import ReaderState
from drivers.osdp_frames import ACK, BUSY, CHALLENGED, FORMATTED, NAK, PDCAP, PDID, POLL, RAW, Reply
from drivers.osdp_panel import Slot
from drivers.osdp_station import FORGED, FORGED_NS, IN_THE_CLEAR, LONGEST_SECURED, NO_POWER, NO_READER, OTHER_KEY, S_NS, Link, Station

READY, LOST, TAMPERED = ReaderState.READY, ReaderState.LOST, ReaderState.TAMPERED
SILENT = Link(LOST, "has not answered for 8 s: check its power and its wires")
READING = Link(READY, "reading")


def reply(code: int, *, is_secured: bool = False, is_fit: bool = True, size: int = 20) -> Reply:
    """A reply with this code."""
    return Reply(bytes(size), 0, code, is_secured=is_secured, is_fit=is_fit)


def new() -> Station:
    """A reader that nothing was heard of."""
    return Station(Slot(0, bytes(range(16))), 0, silent_s=8.0, first_retry_s=1.0, max_retry_s=4.0)


def connected(now_ns: int = 0) -> Station:
    """One that is read."""
    station = new()
    station.connected(now_ns)
    station.admit(reply(ACK, is_secured=True), POLL, now_ns)
    assert station.news(now_ns) == READING
    return station


def test_ok__each_state_is_told_once() -> None:
    """Lost after its time and not before, ready once what it kept is thrown away, and nothing twice."""
    station = new()
    assert [station.news(8 * S_NS), station.news(8 * S_NS + 1), station.news(9 * S_NS)] == [None, SILENT, None]
    station.connected(10 * S_NS)
    assert (station.counts, station.news(10 * S_NS)) == (False, READING)
    station.admit(reply(ACK, is_secured=True), POLL, 11 * S_NS)
    assert (station.counts, station.news(11 * S_NS)) == (True, None)
    assert [station.news(19 * S_NS), station.news(19 * S_NS + 1), station.news(30 * S_NS)] == [None, None, SILENT]
    assert not station.counts


def test_fail__what_it_kept_does_not_count() -> None:
    """Neither a reading nor the answer to another command is the empty answer to a poll."""
    station = new()
    station.connected(0)
    for code, asked in ((RAW, POLL), (ACK, 0x69), (NAK, POLL)):
        station.admit(reply(code, is_secured=True), asked, 0)
    assert (station.counts, station.news(0)) == (False, None)


@pytest.mark.parametrize(
    ("codes", "link"),
    [
        ([PDID, PDCAP, CHALLENGED], Link(TAMPERED, OTHER_KEY)),
        ([PDID, PDCAP, CHALLENGED, NAK], Link(TAMPERED, OTHER_KEY)),
        ([PDID, PDCAP, NAK], Link(TAMPERED, IN_THE_CLEAR)),
        ([PDID, PDCAP], Link(TAMPERED, IN_THE_CLEAR)),
        ([NAK], Link(TAMPERED, NO_READER)),
        ([], SILENT),
    ],
)
def test_fail__why_it_did_not_come_up_is_told_by_what_came(codes: list[int], link: Link) -> None:
    """A reader that answers and is not read is somebody's to look at; one that does not answer is lost."""
    station = new()
    assert all(station.admit(reply(code), 0, 0) for code in codes)
    station.disconnected(S_NS)
    assert station.news(9 * S_NS) == link


def test_ok__it_is_called_again_with_pauses_that_grow() -> None:
    """After 1, 2, 4 and again 4 seconds; once it was there the pauses are short again."""
    station = new()
    found = []
    for _ in range(4):
        station.disconnected(0)
        found.append(station.retry_at_ns)
    station.connected(0)
    assert station.retry_at_ns is None
    station.disconnected(0)
    assert [*found, station.retry_at_ns] == [1 * S_NS, 2 * S_NS, 4 * S_NS, 4 * S_NS, 1 * S_NS]


@pytest.mark.parametrize(
    "forged",
    [reply(RAW, is_fit=False), reply(ACK, is_secured=True, is_fit=False), reply(PDCAP), reply(CHALLENGED)],
    ids=["a card", "a short MAC", "an ability", "a handshake"],
)
def test_fail__a_forged_reply_is_told_for_a_minute(forged: Reply) -> None:
    """Under the secure channel none of it is looked at; refusals and acknowledgements in the clear are, for readers that begin anew."""
    station = connected()
    assert [station.admit(reply(code), POLL, 0) for code in (ACK, NAK, BUSY)] == [True] * 3
    assert not station.admit(forged, POLL, S_NS)
    assert station.news(S_NS) == Link(TAMPERED, FORGED)
    for second in range(2, 62):
        station.admit(reply(ACK, is_secured=True), POLL, second * S_NS)
    assert [station.news(S_NS + FORGED_NS), station.news(S_NS + FORGED_NS + 1)] == [None, READING]


def test_fail__a_secured_reply_before_the_channel_is_none() -> None:
    """Nobody can have made it by our key."""
    station = new()
    assert not station.admit(reply(RAW, is_secured=True), POLL, 0)


def test_fail__failing_power_is_told() -> None:
    """It is told as long as it lasts."""
    station = connected()
    station.is_power_failing = True
    assert station.news(0) == Link(TAMPERED, NO_POWER)
    station.is_power_failing = False
    assert station.news(0) == READING


def test_fail__a_reading_that_libosdp_does_not_take_is_known_by_its_size() -> None:
    """Longer than 64 bytes, or of the withdrawn kind; and only once readings count."""
    station = connected()
    sizes = [reply(RAW, is_secured=True, size=size) for size in (LONGEST_SECURED, LONGEST_SECURED + 16)]
    assert [station.is_unreadable(found) for found in (*sizes, reply(FORMATTED, is_secured=True), reply(ACK, is_secured=True))] == [
        False,
        True,
        True,
        False,
    ]
    assert not new().is_unreadable(reply(FORMATTED, is_secured=True))


def test_ok__a_refused_command_is_not_asked_again() -> None:
    """One that was refused is not; one that nobody answered is."""
    station = connected()
    station.failed(9)
    assert station.refused == set()
    station.admit(reply(NAK, is_secured=True), 0x64, 0)
    station.failed(9)
    assert station.refused == {9}

"""One reader as the bus sees it, told the time: what is told when, and when it is called again."""

from __future__ import annotations

import pytest

from drivers.base import ReaderState
from drivers.osdp_frames import ACK, BUSY, CHALLENGED, FORMATTED, NAK, PDCAP, PDID, POLL, RAW, Reply
from drivers.osdp_panel import Slot
from drivers.osdp_station import (
    FORGED,
    FORGED_NS,
    IN_THE_CLEAR,
    LONGEST_SECURED,
    NO_POWER,
    NO_READER,
    ONLY_BUSY,
    OTHER_KEY,
    S_NS,
    SHAKEN,
    UNDRAINED,
    Link,
    Station,
)

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
    assert (station.counts, station.news(10 * S_NS)) == (False, None)
    station.admit(reply(ACK, is_secured=True), POLL, 11 * S_NS)
    assert (station.counts, station.news(11 * S_NS), station.news(11 * S_NS)) == (True, READING, None)
    assert [station.news(19 * S_NS), station.news(19 * S_NS + 1), station.news(30 * S_NS)] == [None, SILENT, None]
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
    [reply(RAW, is_fit=False), reply(ACK), reply(ACK, is_secured=True, is_fit=False), reply(PDCAP), reply(CHALLENGED)],
    ids=["a card", "an acknowledgement", "a short MAC", "an ability", "a handshake"],
)
def test_fail__a_forged_reply_is_told_for_a_minute(forged: Reply) -> None:
    """Under the secure channel none of it is looked at; refusals in the clear are, for readers that are busy or begin anew."""
    station = connected()
    assert [station.admit(reply(code), POLL, 0) for code in (NAK, BUSY)] == [True] * 2
    assert not station.admit(forged, POLL, S_NS)
    assert station.news(S_NS) == Link(TAMPERED, FORGED)
    for second in range(2, 62):
        station.admit(reply(ACK, is_secured=True), POLL, second * S_NS)
    assert [station.news(S_NS + FORGED_NS), station.news(S_NS + FORGED_NS + 1)] == [None, READING]


def test_fail__forging_that_silences_the_reader_stays_forging() -> None:
    """While somebody answers in its place the reader is never called silent; a minute after the last forged reply it is."""
    station = connected()
    told = []
    for second in range(1, 31):
        station.admit(reply(RAW, is_fit=False), POLL, second * S_NS)
        if second == 5:
            station.disconnected(second * S_NS)
        told.append(station.news(second * S_NS))
    assert told == [Link(TAMPERED, FORGED)] + [None] * 29
    assert [station.news(30 * S_NS + FORGED_NS), station.news(30 * S_NS + FORGED_NS + 1)] == [None, SILENT]


@pytest.mark.parametrize("code", [NAK, BUSY])
def test_fail__a_channel_that_falls_time_and_again_by_clear_replies_is_told(code: int) -> None:
    """A reader that began anew does so once or twice; the third fall within a minute is an alarm until a minute after the first."""
    station = connected()
    found = []
    for second in (10, 20, 30):
        station.admit(reply(code), POLL, second * S_NS)
        station.disconnected(second * S_NS)
        station.connected(second * S_NS)
        station.admit(reply(ACK, is_secured=True), POLL, second * S_NS)
        found.append(station.news(second * S_NS))
    assert found == [None, None, Link(TAMPERED, SHAKEN)]
    station.admit(reply(ACK, is_secured=True), POLL, 70 * S_NS + 1)
    assert station.news(70 * S_NS + 1) == READING


def test_fail__nothing_but_busy_is_told() -> None:
    """Whoever says so for a reader, and whether it is itself: it is not silent, and not read."""
    station = connected()
    told = []
    for second in range(1, 13):
        station.admit(reply(BUSY), POLL, second * S_NS)
        told.append(station.news(second * S_NS))
    assert told == [None] * 8 + [Link(TAMPERED, ONLY_BUSY)] + [None] * 3


def test_ok__a_channel_that_falls_without_clear_replies_is_no_tampering() -> None:
    """Bad wires make it fall, too."""
    station = connected()
    for second in (10, 20, 30, 40):
        station.disconnected(second * S_NS)
        station.connected(second * S_NS)
        station.admit(reply(ACK, is_secured=True), POLL, second * S_NS)
        assert station.news(second * S_NS) is None


def test_fail__a_reader_that_never_tells_all_that_it_kept_is_lost() -> None:
    """Nothing that it reads counts, so it is not called ready however long it answers, and is told to be so after its time."""
    station = new()
    station.news(8 * S_NS + 1)
    station.connected(20 * S_NS)
    told = []
    for second in range(20, 30):
        station.admit(reply(RAW, is_secured=True), POLL, second * S_NS)
        told.append(station.news(second * S_NS))
    assert told == [None] * 9 + [Link(LOST, UNDRAINED)]


def test_fail__what_it_kept_while_the_bus_stood_still_does_not_count() -> None:
    """A bus that turns again after too long has its reader told ready again, once what it kept is thrown away; a short pause is nothing."""
    station = connected()
    station.turned(8 * S_NS)
    assert (station.counts, station.news(8 * S_NS)) == (True, None)
    station.turned(8 * S_NS + 1)
    assert station.counts is False
    station.admit(reply(RAW, is_secured=True), POLL, 8 * S_NS)
    assert (station.counts, station.news(8 * S_NS)) == (False, None)
    station.admit(reply(ACK, is_secured=True), POLL, 8 * S_NS)
    assert (station.counts, station.news(8 * S_NS)) == (True, READING)


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

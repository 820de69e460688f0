"""The sieve before libosdp: any bytes, in any pieces, and only whole replies come through."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.osdp_frames import ACK, MAX_KEPT, NAK, PDID, POLL, RAW, Reply, Sieve, command_of
from tests.drivers.osdp_line import forged

COMMAND = bytes([0xFF, 0x53, 5, 8, 0, 0x05, POLL])
"""A poll of the reader 5, as far as its answer depends on it."""
ACKED = forged(COMMAND, bytes([ACK]))
NAKED = forged(COMMAND, bytes([NAK, 3]))
CHECKSUM = bytes([0x53, 0x85, 7, 0, 1, ACK])
SUMMED = CHECKSUM + bytes([-sum(CHECKSUM) & 0xFF])


def feed(sieve: Sieve, data: bytes, cuts: list[int]) -> list[Reply]:
    """The bytes, cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [reply for begin, end in pairwise(places) for reply in sieve.feed(data[begin:end])]


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_ok__any_pieces_give_the_same_replies(cuts: list[int]) -> None:
    """With mark or without, by CRC or by checksum, between noise, echoes and halves of frames: the whole replies, in order."""
    echo = COMMAND[1:] + bytes(2)
    data = b"\x00\xff" + ACKED + b"noise" + echo + b"\xff" + NAKED[:4] + NAKED + b"\x53\x85\xf0\x00\x04" + SUMMED
    found = feed(Sieve(), data, cuts)
    assert [(reply.data, reply.address, reply.code) for reply in found] == [(ACKED, 5, ACK), (NAKED, 5, NAK), (SUMMED, 5, ACK)]
    assert {(reply.is_fit, reply.is_secured) for reply in found} == {(True, False)}


@given(st.lists(st.binary(max_size=2000), max_size=6))
def test_fail__no_bytes_raise_and_few_are_kept(pieces: list[bytes]) -> None:
    """Whatever comes, what is waiting is bounded."""
    sieve = Sieve()
    for piece in pieces:
        sieve.feed(piece)
        assert len(sieve._kept) <= MAX_KEPT
    sieve.clear()
    assert [reply.data for reply in sieve.feed(ACKED)] == [ACKED]


@given(st.integers(0, len(ACKED) - 1), st.integers(1, 255))
def test_fail__a_damaged_reply_is_none(place: int, change: int) -> None:
    """A byte that changed on the wires makes it nothing."""
    damaged = bytearray(ACKED)
    damaged[place] ^= change
    assert Sieve().feed(bytes(damaged)) == []


def test_fail__a_long_beginning_hides_nothing() -> None:
    """Noise that looks like the head of a long frame does not swallow the reply after it."""
    found = Sieve().feed(b"\x53\x85\xfa\x00\x04" + ACKED)
    assert [reply.data for reply in found] == [ACKED]


CIPHER = bytes(16)
FITS = {
    "an acknowledgement": (b"", bytes([ACK])),
    "who it is": (b"", bytes([PDID]) + bytes(12)),
    "the handshake's first": (b"\x03\x12\x01", b"\x76" + bytes(32)),
    "the handshake's second": (b"\x03\x14\x01", b"\x78" + bytes(16)),
    "a secured reply without data": (b"\x02\x16", bytes([ACK]) + bytes(4)),
    "a secured card": (b"\x02\x18", bytes([RAW]) + CIPHER + bytes(4)),
}
UNFIT = {
    "a card in the clear": (b"", bytes([RAW]) + bytes(8)),
    "a key in the clear": (b"", b"\x53\x00\x011"),
    "a status in the clear": (b"", b"\x48\x00\x00"),
    "a card as the handshake's first": (b"\x03\x12\x01", bytes([RAW]) + bytes(8)),
    "a card as the handshake's second": (b"\x03\x14\x01", bytes([RAW]) + bytes(8)),
    "a card as a command's handshake": (b"\x03\x11\x01", bytes([RAW]) + bytes(8)),
    "a card as a command": (b"\x02\x17", bytes([RAW]) + CIPHER + bytes(4)),
    "an unknown block": (b"\x02\x19", bytes([ACK]) + bytes(4)),
    "a block that is longer than the frame": (b"\xf0\x16", bytes([ACK]) + bytes(4)),
    "a block of nothing": (b"\x00", b"\x16" + bytes(4)),
    "a secured reply that is too short for its MAC": (b"\x02\x16", bytes([ACK])),
    "a secured reply of a byte too much": (b"\x02\x16", bytes([ACK]) + bytes(5)),
    "a secured card without data": (b"\x02\x18", bytes([RAW]) + bytes(4)),
    "a secured card of odd length": (b"\x02\x18", bytes([RAW]) + bytes(15) + bytes(4)),
}


@pytest.mark.parametrize(
    ("block", "body", "is_fit"), [(*parts, True) for parts in FITS.values()] + [(*parts, False) for parts in UNFIT.values()]
)
def test_fail__what_has_no_mac_is_no_reading(block: bytes, body: bytes, is_fit: bool) -> None:
    """Of the replies without a MAC those of the handshake pass, and answers that open nothing; a secured one must have room for its MAC."""
    (found,) = Sieve().feed(forged(COMMAND, body, block))
    assert found.is_fit is is_fit


def test_ok__a_commands_address_and_code_are_known() -> None:
    """With mark and without, with a security block and without; what is no command has neither."""
    secured = bytes([0x53, 5, 14, 0, 0x0D, 2, 0x15, POLL])
    found = [command_of(frame) for frame in (COMMAND, COMMAND[1:], secured, b"\xff" + secured, b"", b"\xff\x53\x05")]
    assert found == [(5, POLL), (5, POLL), (5, POLL), (5, POLL), (-1, -1), (-1, -1)]

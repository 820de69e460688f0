"""Promise P4: a code that was changed in any way is refused by name, and no bytes at all do anything else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import base45
from agent.core.codes import MAX_CHARACTERS, Keyring, Unread, issue, read
from agent.core.reasons import Reason
from agent.core.tour import TourCode

NAMED = {Unread(Reason.UNREADABLE), Unread(Reason.UNKNOWN_KEY), Unread(Reason.BAD_SIGNATURE)}
FOREIGN = b"\x00\n\r\t\x1d !\"#&',;=?@[\\]^_`abtz{|}~\x7f\x80\xc2\xff"


@pytest.fixture
def text(code: TourCode, seed: bytes) -> bytes:
    """The text of a code that opens."""
    return issue(code, seed).encode()


def expected_of_flip(byte: int, size: int) -> Reason:
    """What a flipped bit must be called: 7 bytes of head, 4 of key id, 3 of heads, payload, 2 of head, 64 of signature."""
    if 7 <= byte < 11:
        return Reason.UNKNOWN_KEY
    if 14 <= byte < size - 66 or byte >= size - 64:
        return Reason.BAD_SIGNATURE
    return Reason.UNREADABLE


def test_denied__every_bit_flipped(text: bytes, keys: Keyring, spell: Callable[[bytes], bytes]) -> None:
    """Each bit of a frame, flipped alone, makes it unreadable, of an unknown key, or badly signed: whichever it must be."""
    frame = base45.decode(text[4:-1])
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        assert read(b"TL1:" + spell(bytes(flipped)) + b".", keys) == Unread(expected_of_flip(bit // 8, len(frame))), bit


def test_denied__every_character_replaced(text: bytes, keys: Keyring) -> None:
    """Each character, replaced by each other letter or by a foreign byte, makes it one of the three refusals."""
    replacements = {bytes((letter,)) for letter in base45.ALPHABET + FOREIGN}
    for index in range(len(text)):
        for letter in replacements - {text[index : index + 1]}:
            assert read(text[:index] + letter + text[index + 1 :], keys) in NAMED, (index, letter)


def test_denied__every_character_removed_doubled_or_swapped(text: bytes, keys: Keyring) -> None:
    """A scanner that loses, repeats or swaps a character opens nothing."""
    for index in range(len(text)):
        head, letter, tail = text[:index], text[index : index + 1], text[index + 1 :]
        assert read(head + tail, keys) in NAMED, index
        assert read(head + letter + letter + tail, keys) in NAMED, index
        swapped = head + tail[:1] + letter + tail[1:]
        assert swapped == text or read(swapped, keys) in NAMED, index


def test_denied__every_truncation(text: bytes, keys: Keyring) -> None:
    """A code that was cut at any length, from either end, with or without its guard, is refused."""
    for length in range(len(text)):
        assert read(text[:length], keys) == Unread(Reason.UNREADABLE), length
        assert read(text[len(text) - length :], keys) == Unread(Reason.UNREADABLE), length
        assert length == len(text) - 1 or read(text[:length] + b".", keys) in NAMED, length


def test_denied__every_truncation_of_the_frame(text: bytes, keys: Keyring, spell: Callable[[bytes], bytes]) -> None:
    """A frame that was cut at any length is unreadable, for its lengths no longer add up."""
    frame = base45.decode(text[4:-1])
    for length in range(len(frame)):
        assert read(b"TL1:" + spell(frame[:length]) + b".", keys) == Unread(Reason.UNREADABLE), length


@pytest.mark.parametrize("extra", [b"\x00", b"\xa0", b"\xf6", b"\x00\x00", bytes(64), b"\x58\x40" + bytes(64)])
def test_denied__a_frame_with_more_behind_it(text: bytes, keys: Keyring, spell: Callable[[bytes], bytes], extra: bytes) -> None:
    """Bytes after the signature make a frame unreadable."""
    assert read(b"TL1:" + spell(base45.decode(text[4:-1]) + extra) + b".", keys) == Unread(Reason.UNREADABLE)


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: text + b"\n",
        lambda text: text + b"\r\n",
        lambda text: text + b"\x00",
        lambda text: text + b".",
        lambda text: text + text,
        lambda text: b" " + text,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text[:-1] + b"..",
        lambda text: text[:-1],
        lambda text: text[4:],
        lambda text: b"TL2:" + text[4:],
        lambda text: b"TL1" + text[4:],
        lambda text: b"tl1:" + text[4:],
        lambda text: text.lower(),
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"https://example.com/" + text,
    ],
    ids=count(),
)
def test_denied__a_code_in_another_dress(text: bytes, keys: Keyring, dress: Callable[[bytes], bytes]) -> None:
    """A code has one text: no blank, line end, other case, other version or wrapping is read."""
    assert read(dress(text), keys) == Unread(Reason.UNREADABLE)


@pytest.mark.parametrize("text", [b"", b".", b"TL1:", b"TL1:.", b"TL1.", b"TL1:0.", b"TL1:00.", b"TL1:000.", b"TL1: .", b"TL1:GGW."])
def test_denied__hardly_any_text(keys: Keyring, text: bytes) -> None:
    """Prefix and guard alone, or with next to nothing between them, are unreadable."""
    assert read(text, keys) == Unread(Reason.UNREADABLE)


@settings(deadline=None)
@given(text=st.binary(max_size=MAX_CHARACTERS + 10))
def test_denied__arbitrary_bytes(text: bytes, keys: Keyring) -> None:
    """No bytes from a reader raise or open."""
    assert read(text, keys) == Unread(Reason.UNREADABLE)


@settings(deadline=None)
@given(frame=st.binary(max_size=500), data=st.data())
def test_denied__arbitrary_frames(
    frame: bytes, data: st.DataObject, code: TourCode, keys: Keyring, spell: Callable[[bytes], bytes]
) -> None:
    """No bytes in the place of a frame, of all that follows its head, or of its payload raise or open."""
    head = bytes.fromhex("8449a201270444") + bytes.fromhex(code.key_id)
    payload = data.draw(st.binary(max_size=23))
    frames = [
        frame,
        head + frame,
        head + b"\xa0" + frame,
        head + b"\xa0" + bytes((0x40 + len(payload),)) + payload + b"\x58\x40" + bytes(64),
    ]
    for made in frames:
        assert read(b"TL1:" + spell(made) + b".", keys) in NAMED

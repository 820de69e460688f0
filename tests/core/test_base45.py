"""Base45: one byte string has one text, and nothing else is a text."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.base45 import ALPHABET, Base45Error, decode, encode

RFC_9285 = [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]
EDGES = [(b"", ""), (b"\x00", "00"), (b"\x00\x00", "000"), (b"\xff", "U5"), (b"\xff\xff", "FGW"), (b"\xff\xff\xff", "FGWU5")]


@pytest.mark.parametrize(("data", "text"), RFC_9285 + EDGES)
def test_granted__a_known_text(data: bytes, text: str) -> None:
    """The examples of RFC 9285 and the first and last values are written and read as they stand."""
    assert (encode(data), decode(text.encode())) == (text, data)


@pytest.mark.parametrize(
    "text",
    [
        b"GGW",
        b":::",
        b"000GGW",
        b"GGW000",
        b"V5",
        b"::",
        b"000V5",
        b"0",
        b"0000",
        b"000000W",
        b" ",
        b"00\x00",
        b"00a",
        b"\xff\xff",
        b"0\n",
        b"00,",
    ],
)
def test_denied__what_is_no_base45(text: bytes) -> None:
    """A value out of range, an impossible length and a foreign letter are refused, each by the one error."""
    with pytest.raises(Base45Error, match="not base45"):
        decode(text)


@settings(deadline=None)
@given(data=st.binary(max_size=700))
def test_granted__every_byte_string_comes_back(data: bytes, spell: Callable[[bytes], bytes]) -> None:
    """Any bytes come back from their text, which is the text of RFC 9285 and never ends in a space."""
    text = encode(data)
    assert text.encode() == spell(data)
    assert decode(text.encode()) == data
    assert not text.endswith(" ")


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(ALPHABET), max_size=60).map(bytes) | st.binary(max_size=60))
def test_denied__every_second_spelling(text: bytes) -> None:
    """Whatever is read at all is written the same way again, so no bytes have a second text; the rest is refused by name."""
    try:
        data = decode(text)
    except Base45Error:
        return
    assert encode(data).encode() == text


def test_denied__every_foreign_letter_in_every_place() -> None:
    """None of the 211 bytes that are no letters is read for one, in no place of a group of three or of two."""
    for foreign in set(range(256)) - set(ALPHABET):
        for group in (b"000", b"00", b"00000"):
            for place in range(len(group)):
                with pytest.raises(Base45Error, match="not base45"):
                    decode(group[:place] + bytes((foreign,)) + group[place + 1 :])


def test_denied__every_other_group_of_two_letters() -> None:
    """Of the 65,536 pairs of bytes that could be a last group exactly 256 are read."""
    read = set()
    for pair in itertools.product(range(256), repeat=2):
        try:
            read.add(decode(bytes(pair)))
        except Base45Error:
            continue
    assert read == {bytes((value,)) for value in range(256)}

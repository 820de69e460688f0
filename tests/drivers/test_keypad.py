"""The keypad: which keys make an entry, and which make none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.keypad import MAX_KEYS, Keypad

S_NS = 1_000_000_000
PIN = "40170236"


def entries(keypad: Keypad, keys: str, start_ns: int = S_NS) -> list[str]:
    """The entries of keys that are pressed one second apart; `?` is a key that came damaged."""
    found = []
    for place, key in enumerate(keys):
        at_ns = start_ns + place * S_NS
        if key == "?":
            keypad.spoil(at_ns)
        elif (entry := keypad.press(key, at_ns)) is not None:
            found.append(entry)
    return found


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (PIN, [PIN]),
        (PIN + "#", [PIN]),
        (PIN + "##", [PIN]),
        (PIN + PIN, [PIN, PIN]),
        ("1234#", ["1234"]),
        ("#", []),
        ("*", []),
        ("401*" + PIN, [PIN]),
        ("401#" + PIN, ["401", PIN]),
        (PIN + "*" + PIN, [PIN, PIN]),
        (PIN[:7], []),
    ],
)
def test_ok__entries_of_keys(keys: str, expected: list[str]) -> None:
    """Eight digits need no #, fewer end with it, * clears, and a # after a whole PIN is no entry of its own."""
    assert entries(Keypad(5.0), keys) == expected


def test_ok__a_pause_of_exactly_the_gap_is_none() -> None:
    """Somebody who reads the digits off a phone has the whole gap between two of them."""
    keypad = Keypad(5.0)
    assert [keypad.press(key, S_NS + place * 5 * S_NS) for place, key in enumerate(PIN)] == [None] * 7 + [PIN]


def test_fail__a_longer_pause_clears() -> None:
    """What somebody began and left is no part of what the next person types."""
    keypad = Keypad(5.0)
    assert entries(keypad, "4017") == []
    assert entries(keypad, PIN, 20 * S_NS) == [PIN]
    assert entries(keypad, "4017", 40 * S_NS) == []
    assert entries(keypad, "#", 60 * S_NS) == []


def test_fail__cleared_is_cleared() -> None:
    """What was typed before the keypad was lost, or before a card was shown, is gone."""
    keypad = Keypad(5.0)
    assert entries(keypad, "4017") == []
    keypad.clear()
    assert entries(keypad, "0236#", 5 * S_NS) == ["0236"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("401?0236", []),
        ("401?0236#", []),
        ("401?0236" + PIN, [PIN]),
        ("401?#" + PIN, [PIN]),
        ("401?*" + PIN, [PIN]),
        ("?#" + PIN, [PIN]),
        ("????????" + PIN, [PIN]),
        (PIN + "?*" + PIN, [PIN, PIN]),
    ],
)
def test_fail__an_entry_that_lost_a_key_is_thrown_away_whole(keys: str, expected: list[str]) -> None:
    """A digit lost on the wire takes its place, so that the PIN typed next is not made of two halves; nobody is blamed for a guess."""
    assert entries(Keypad(5.0), keys) == expected


def test_fail__too_many_digits_are_no_entry() -> None:
    """Where only # ends an entry, the limit's digits are one and a digit more is none."""
    keypad = Keypad(5.0, digits=None)
    assert entries(keypad, "1" * MAX_KEYS + "#") == ["1" * MAX_KEYS]
    assert entries(keypad, "1" * (MAX_KEYS + 1) + "#" + "2#") == ["2"]


@pytest.mark.parametrize("key", ["", "a", "12", "٤", "\n"])
def test_fail__what_is_no_key_is_refused(key: str) -> None:
    """A driver that hands over something else has a fault, which must not look like typing."""
    with pytest.raises(ValueError, match="0 to 9"):
        Keypad(5.0).press(key, S_NS)


@pytest.mark.parametrize(("gap_s", "digits"), [(0.0, 8), (-1.0, 8), (5.0, 0), (5.0, MAX_KEYS + 1)])
def test_fail__impossible_settings_are_refused(gap_s: float, digits: int) -> None:
    """At the start rather than at the first key."""
    with pytest.raises(ValueError, match="must be"):
        Keypad(gap_s, digits=digits)


@given(
    presses=st.lists(st.tuples(st.sampled_from("0123456789*#?"), st.integers(-(2**63), 2**63)), max_size=200),
    digits=st.sampled_from([None, 1, 8, MAX_KEYS]),
)
def test_ok__whatever_is_typed_is_bounded_and_only_digits_come_out(presses: list[tuple[str, int]], digits: int | None) -> None:
    """Any keys at any ticks, even backwards: nothing raises, little is kept, and an entry is digits that were typed."""
    keypad = Keypad(5.0, digits=digits)
    for key, at_ns in presses:
        if key == "?":
            keypad.spoil(at_ns)
        elif (entry := keypad.press(key, at_ns)) is not None:
            assert entry.isdecimal()
            assert len(entry) <= (digits or MAX_KEYS)
        assert len(keypad._typed) <= MAX_KEYS + 1

"""PINs: eight digits, spread evenly, and known to a door by a hash that only its own key makes."""

from __future__ import annotations

import hashlib
import hmac
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import pin

SECRET = b"a secret of thirty-two characters"
CODE = "aabbccddeeff"


@given(st.binary(min_size=1, max_size=64), st.from_regex(r"[0-9a-f]{12}", fullmatch=True), st.integers(0, 1000))
def test_ok__a_pin_is_eight_digits_and_the_same_every_time(secret: bytes, code_id: str, attempt: int) -> None:
    """Whatever the secret, the code and the attempt, it is one PIN of eight digits, with its leading zeros."""
    made = pin.make(secret, code_id, attempt)
    assert len(made) == pin.PIN_DIGITS
    assert made.isdigit()
    assert pin.make(secret, code_id, attempt) == made


def test_ok__secret_code_and_attempt_each_make_another() -> None:
    """A change in any of the three gives another PIN."""
    made = [pin.make(SECRET, CODE, 0), pin.make(SECRET, CODE, 1), pin.make(SECRET, "aabbccddeefe", 0), pin.make(SECRET + b".", CODE, 0)]
    assert len(set(made)) == 4


def test_ok__first_digits_are_spread_evenly() -> None:
    """Of 5,000 PINs each first digit begins about a tenth, and zero too."""
    firsts = [pin.make(SECRET, CODE, attempt)[0] for attempt in range(5000)]
    assert all(400 < firsts.count(digit) < 600 for digit in "0123456789")


def test_ok__a_number_that_would_favour_small_pins_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the range ends below what the first rounds give, a later round makes the PIN."""

    def number(round_number: int) -> int:
        digest = hmac.digest(SECRET, f"pin/{CODE}/0/{round_number}".encode(), hashlib.sha256)
        return int.from_bytes(digest[:8], "big")

    first = number(0)
    later = next(number(at) for at in count(1) if number(at) < first)
    monkeypatch.setattr(pin, "_WORD", first)
    assert pin.make(SECRET, CODE, 0) == f"{later % 10**8:08d}"


def test_ok__a_hash_is_of_one_door_only() -> None:
    """The same PIN is unlike at another door, of another community and under another secret, so hashes cannot be compared."""
    keys = [
        pin.door_key(SECRET, "1001", "front"),
        pin.door_key(SECRET, "1001", "back"),
        pin.door_key(SECRET, "1002", "front"),
        pin.door_key(SECRET + b".", "1001", "front"),
    ]
    assert [len(key) for key in keys] == [pin.KEY_BYTES] * 4
    hashes = {pin.digest(key, "12345678") for key in keys}
    assert len(hashes) == 4
    assert all(len(digest) == 2 * pin.HASH_BYTES for digest in hashes)
    assert pin.digest(keys[0], "12345678") != pin.digest(keys[0], "12345679")


@pytest.mark.parametrize(("data", "found"), [(b"01234567", "01234567"), (b"01234567#", "01234567")])
def test_ok__eight_digits_are_a_typed_pin(data: bytes, found: str) -> None:
    """Eight digits are a PIN, with the # that a keypad may send after them."""
    assert pin.typed(data) == found


@pytest.mark.parametrize("data", [b"", b"0123456", b"012345678", b"0123456#", b"01234567##", b" 01234567", b"01234567\n", b"TL1:012."])
def test_refused__anything_else_is_no_pin(data: bytes) -> None:
    """Fewer or more digits, spaces, line ends and codes are none."""
    assert pin.typed(data) is None


@pytest.mark.parametrize(
    "text", ["\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "1234567x"]
)
def test_refused__digits_of_other_scripts_are_none(text: str) -> None:
    """Only the ten ASCII digits count."""
    assert pin.typed(text.encode()) is None

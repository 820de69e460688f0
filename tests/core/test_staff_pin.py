"""Staff's PIN for a screen: only its own digits open it, and what is poor or damaged is refused."""

from __future__ import annotations

import pytest

from agent.core.staff_pin import N, StaffPin, is_pin, make, parse

SALT = bytes(range(16))
PIN = "730518"
MADE = make(PIN, SALT)


@pytest.mark.parametrize("pin", [PIN, "73051846", "730518460927"])
def test_ok__a_line_keeps_a_pin(pin: str) -> None:
    """What is written is read again, opened by its PIN, and by no other of the same length."""
    read = parse(make(pin, SALT).to_line())
    assert read == make(pin, SALT)
    assert read.is_opened_by(pin)
    assert not read.is_opened_by(pin[:-1] + str((int(pin[-1]) + 1) % 10))


def test_ok__a_higher_cost_can_be_written_later() -> None:
    """The parameters stand in the line."""
    assert parse(MADE.to_line().replace(f":{N}:", f":{2 * N}:")) == StaffPin(2 * N, 8, 1, SALT, MADE.digest)


def test_fail__nothing_shows_the_hash() -> None:
    """Whatever prints it by mistake prints neither salt nor hash."""
    assert MADE.digest.hex() not in repr(MADE)
    assert repr(MADE) == f"StaffPin(n={N}, r=8, p=1)"


@pytest.mark.parametrize(
    "text",
    ["", "73051", "7305184609271", "73051a", " 730518", "730518\n", "730518#", "٧٣٠٥١٨", "\uff17\uff13\uff10\uff15\uff11\uff18", "-73051"],
)
def test_fail__what_is_no_pin(text: str) -> None:
    """6 to 12 ASCII digits: anything else opens nothing and cannot be made one; the sentence does not hold it."""
    assert not is_pin(text)
    assert not MADE.is_opened_by(text)
    with pytest.raises(ValueError, match="6 to 12 digits") as refused:
        make(text, SALT)
    assert str(refused.value) == "a staff PIN has 6 to 12 digits"


@pytest.mark.parametrize("pin", ["000000", "111111111111", "123456", "012345", "890123", "987654", "210987", "1234567890"])
def test_fail__a_pin_that_everybody_tries(pin: str) -> None:
    """One digit again and again, or counting, is refused; the sentence does not hold it."""
    with pytest.raises(ValueError, match="among the first") as refused:
        make(pin, SALT)
    assert pin not in str(refused.value)


LINE = MADE.to_line()


@pytest.mark.parametrize(
    "line",
    [
        "",
        PIN,
        LINE + "\n",
        " " + LINE,
        LINE[:-1],
        LINE + "0",
        LINE.upper(),
        LINE.replace("scrypt", "plain"),
        LINE.replace(f":{N}:8:1:", f":{N // 2}:8:1:"),
        LINE.replace(f":{N}:8:1:", f":{N + 1}:8:1:"),
        LINE.replace(f":{N}:8:1:", ":4194304:8:1:"),
        LINE.replace(f":{N}:8:1:", f":{N}:99:1:"),
        LINE.replace(f":{N}:8:1:", f":{N}:0:1:"),
        LINE.replace(f":{N}:8:1:", f":{N}:8:0:"),
        LINE.replace(f":{N}:8:1:", f":{N}:8:2:"),
    ],
)
def test_fail__a_line_that_is_no_hash(line: str) -> None:
    """Damaged, cheaper than ours, or more than a small board can compute."""
    assert parse(line) is None

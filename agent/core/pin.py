"""PINs: 8 digits for a keypad, known to a door only as a keyed hash.

Rule 1: a PIN is made of a secret, the code's id and a counter, so that it need not be kept: the counter moves on until the PIN is
        unlike every live one of its doors.
Rule 2: 8 digits are guessed through in no time by whoever has an unkeyed hash: each door has a key of its own, which lies beside the
        store and never in it.
"""

from __future__ import annotations

import hashlib
import hmac
import re

PIN_DIGITS = 8
HASH_BYTES = 16
KEY_BYTES = 32

_PIN = re.compile(rb"([0-9]{8})#?")
_RANGE = 10**PIN_DIGITS
_WORD = 2**64 - 2**64 % _RANGE
"""Above this a number modulo the range would favour small PINs."""


def screen_reader(door: str) -> str:
    """The reader of a door that PINs come from when they are typed on its screen."""
    return f"{door}-screen"


def make(secret: bytes, code_id: str, attempt: int) -> str:
    """The `attempt`-th PIN of a code: every secret, code and attempt gives another, evenly spread."""
    round_number = 0
    while True:
        message = f"pin/{code_id}/{attempt}/{round_number}".encode("ascii")
        number = int.from_bytes(hmac.digest(secret, message, hashlib.sha256)[:8], "big")
        if number < _WORD:
            return f"{number % _RANGE:0{PIN_DIGITS}d}"
        round_number += 1


def door_key(secret: bytes, community_id: str, door: str) -> bytes:
    """The key that a door's hashes are made with, from the desk's secret."""
    return hmac.digest(secret, f"door/{community_id}/{door}".encode("ascii"), hashlib.sha256)


def digest(key: bytes, pin: str) -> str:
    """The keyed hash of a PIN, in hexadecimal."""
    return hmac.digest(key, b"pin/" + pin.encode("ascii"), hashlib.sha256)[:HASH_BYTES].hex()


def typed(data: bytes) -> str | None:
    """The PIN in what a reader sent (8 digits, a # after them is fine), or None."""
    found = _PIN.fullmatch(data)
    return found.group(1).decode("ascii") if found else None

"""Base45 (RFC 9285): bytes as text that a QR code stores in its alphanumeric mode.

Rule: one byte string has exactly one text. The space is a letter of this alphabet, so a text is never stripped.
"""

from __future__ import annotations

ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_BASE = 45
_ABSENT = 255
_VALUES = bytes(ALPHABET.find(code) if code in ALPHABET else _ABSENT for code in range(256))
_MAX_PAIR = 0xFFFF
_MAX_SINGLE = 0xFF


class Base45Error(ValueError):
    """The text is not the base45 of anything."""


def encode(data: bytes) -> str:
    """Three letters for two bytes, two for a last single one."""
    letters = bytearray()
    for index in range(0, len(data) - 1, 2):
        rest, low = divmod(data[index] << 8 | data[index + 1], _BASE)
        high, middle = divmod(rest, _BASE)
        letters += bytes((ALPHABET[low], ALPHABET[middle], ALPHABET[high]))
    if len(data) % 2:
        middle, low = divmod(data[-1], _BASE)
        letters += bytes((ALPHABET[low], ALPHABET[middle]))
    return letters.decode("ascii")


def decode(text: bytes) -> bytes:
    """The bytes of `text`; raises `Base45Error` for a foreign letter, an impossible length or a value out of range."""
    values = text.translate(_VALUES)
    whole, rest = divmod(len(values), 3)
    if rest == 1 or _ABSENT in values:
        raise Base45Error("not base45")
    end = whole * 3
    pairs = [
        low + _BASE * (middle + _BASE * high) for low, middle, high in zip(values[0:end:3], values[1:end:3], values[2:end:3], strict=True)
    ]
    if pairs and max(pairs) > _MAX_PAIR:
        raise Base45Error("not base45")
    data = b"".join([pair.to_bytes(2, "big") for pair in pairs])
    if rest:
        single = values[end] + _BASE * values[end + 1]
        if single > _MAX_SINGLE:
            raise Base45Error("not base45")
        data += bytes((single,))
    return data

"""Staff's PIN for a screen: 6 to 12 digits, kept as a slow hash only.

    scrypt:n:r:p:salt:hash          (salt and hash in hexadecimal)

Rule 1: so few digits are guessed through by whoever has the hash, however slow it is: its file is closed to others.
Rule 2: its parameters stand in the line, so that they can grow; what a small board cannot compute is refused when it is read.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

MIN_DIGITS = 6
MAX_DIGITS = 12
SALT_BYTES = 16
N, R, P = 2**14, 8, 1
"""scrypt's cost: 16 MiB, and less than a second on the smallest board."""

_HASH_BYTES = 32
_MOST_MEMORY = 64 * 1024 * 1024
_DIGITS = re.compile(rf"[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}")
_LINE = re.compile(rf"scrypt:([0-9]{{1,7}}):([0-9]{{1,2}}):([0-9]{{1,2}}):([0-9a-f]{{{2 * SALT_BYTES}}}):([0-9a-f]{{{2 * _HASH_BYTES}}})")
_COUNTING = "01234567890123456789"


@dataclass(frozen=True, slots=True)
class StaffPin:
    """The hash of a PIN, with scrypt's parameters and salt."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def is_opened_by(self, pin: str) -> bool:
        """Whether this is the PIN; compared in constant time. Slow on purpose: call it in a thread."""
        return is_pin(pin) and hmac.compare_digest(_scrypt(pin, self.salt, self.n, self.r, self.p), self.digest)

    def to_line(self) -> str:
        """As it stands in the file."""
        return f"scrypt:{self.n}:{self.r}:{self.p}:{self.salt.hex()}:{self.digest.hex()}"


def is_pin(text: str) -> bool:
    """Whether a text can be a staff PIN: 6 to 12 digits and nothing else."""
    return _DIGITS.fullmatch(text) is not None


def is_poor(pin: str) -> bool:
    """Whether a PIN is among the first that anybody tries: one digit again and again, or counting up or down."""
    return len(set(pin)) == 1 or pin in _COUNTING or pin[::-1] in _COUNTING


def make(pin: str, salt: bytes) -> StaffPin:
    """The hash of a PIN; raises `ValueError`, which does not hold the PIN, for what can be none or is a poor one."""
    if not is_pin(pin):
        raise ValueError(f"a staff PIN has {MIN_DIGITS} to {MAX_DIGITS} digits")
    if is_poor(pin):
        raise ValueError("this staff PIN is among the first that anybody tries: take digits that do not repeat or count")
    return StaffPin(N, R, P, salt, _scrypt(pin, salt, N, R, P))


def parse(line: str) -> StaffPin | None:
    """The hash in a line, or None when it is none or asks for more than a small board has."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    n, r, p = (int(found.group(at)) for at in (1, 2, 3))
    # what scrypt takes: n a power of two
    if n < N or n & (n - 1) or r < 1 or not 1 <= p <= P or 128 * n * r > _MOST_MEMORY // 2:
        return None
    return StaffPin(n, r, p, bytes.fromhex(found.group(4)), bytes.fromhex(found.group(5)))


def _scrypt(pin: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(pin.encode("ascii"), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_HASH_BYTES)

"""From the bytes of a scanner to its scans: pure, no I/O, no clock.

Rule 1: any chunking of the same bytes gives the same frames, and no bytes raise.
Rule 2: nothing but the terminator and the configured prefix is cut off: a base45 text may end in a space.
Rule 3: memory is bounded by `max_bytes`, whatever comes.
"""

from __future__ import annotations

import re

from drivers.base import Frame


class LineFramer:
    """Cuts a stream into frames.

    With an empty `suffix` any of CR, LF and CRLF ends a line, and empty lines are dropped. Otherwise exactly `suffix` ends a line.
    A line that begins with `prefix` loses it; a line that does not is a frame unchanged, for the one above to refuse.
    A line longer than `max_bytes` (with its prefix, without its terminator) is one overlong frame, at the byte that was too many; the
    rest is discarded up to the terminator. What came more than `gap_s` seconds ago without its terminator is dropped when the next
    byte comes: a half-read scan must not spoil the next one.

    Raises `ValueError` when `max_bytes` or `gap_s` is not positive.
    """

    def __init__(self, prefix: bytes = b"", suffix: bytes = b"", max_bytes: int = 1024, gap_s: float = 2.0) -> None:
        if max_bytes < 1 or not gap_s > 0:
            raise ValueError(f"a framer needs a positive length and gap, not {max_bytes} bytes and {gap_s} s")
        self._prefix = prefix
        self._terminator = re.compile(re.escape(suffix) if suffix else rb"[\r\n]")
        # What may be the beginning of a terminator, at the end of an unfinished line.
        self._overlap = max(len(suffix), 1) - 1
        self._keeps_empty = bool(suffix)
        self._max_bytes = max_bytes
        self._gap_ns = round(gap_s * 1e9)
        self._pending = b""
        self._is_discarding = False
        self._last_ns = 0

    def feed(self, data: bytes, at_ns: int) -> list[Frame]:
        """The frames that `data`, read at tick `at_ns`, completes."""
        if not data:
            return []
        if at_ns - self._last_ns > self._gap_ns:
            self._pending = b""
            self._is_discarding = False
        self._last_ns = at_ns
        frames: list[Frame] = []
        stream = self._pending + data
        start = 0
        for end in self._terminator.finditer(stream):
            self._complete(stream[start : end.start()], at_ns, frames)
            start = end.end()
        self._pending = stream[start:]
        if len(self._pending) > self._max_bytes + self._overlap:
            self._discard(at_ns, frames)
        return frames

    def _complete(self, line: bytes, at_ns: int, frames: list[Frame]) -> None:
        if self._is_discarding:
            self._is_discarding = False
        elif len(line) > self._max_bytes:
            frames.append(Frame(b"", at_ns, overlong=True))
        elif line or self._keeps_empty:
            frames.append(Frame(line.removeprefix(self._prefix), at_ns))

    def _discard(self, at_ns: int, frames: list[Frame]) -> None:
        if not self._is_discarding:
            frames.append(Frame(b"", at_ns, overlong=True))
        self._is_discarding = True
        self._pending = self._pending[-self._overlap :] if self._overlap else b""

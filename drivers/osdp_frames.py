"""OSDP's frames, as far as they can be judged without a key: pure, no I/O, no clock.

A frame is `53`, address (a reader's has bit 7 set), length (2 bytes, of all), control, a security block if control bit 3 is set
(its length, its type), the command's or reply's code, data, and a CRC (or a checksum, if control bit 2 is not set). With a secure
channel the data are encrypted, 16 bytes at a time, and 4 bytes of a MAC follow them; the code stays readable. IEC 60839-11-5.

Rule 1: libosdp sees replies that came through here and nothing else. Up to 3.2.9 it takes lengths from the line as they are, and
        lets a reply through without its MAC, if that calls itself part of the handshake: a card from anybody with two wires.
Rule 2: what has no MAC may be a part of the handshake, an acknowledgement or a refusal, never a reading or a status.
Rule 3: no bytes raise, and no more than `MAX_KEPT` are kept.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

START = 0x53
MARK = 0xFF
HEADER_BYTES = 5
MAX_FRAME = 255
MAX_KEPT = 1024
ADDRESS, IS_REPLY = 0x7F, 0x80
HAS_CRC, HAS_BLOCK = 0x04, 0x08
MAC_BYTES, CIPHER_BYTES = 4, 16
CRC_START = 0x1D0F

POLL = 0x60
ACK, NAK, PDID, PDCAP, BUSY = 0x40, 0x41, 0x45, 0x46, 0x79
RAW, FORMATTED = 0x50, 0x51
CHALLENGED, CONFIRMED = 0x76, 0x78
"""The reader's two replies of the handshake (CCRYPT and RMAC_I)."""

CLEAR_CODES = {
    None: frozenset({ACK, NAK, PDID, PDCAP, BUSY}),
    0x12: frozenset({CHALLENGED, NAK}),
    0x14: frozenset({CONFIRMED, NAK}),
}
"""What may come without a MAC, by the type of the security block."""
EMPTY, ENCRYPTED = 0x16, 0x18
"""The types of a secured reply, without and with data."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that is whole: its bytes without the mark before them, who sent it, and whether it claims to have a MAC."""

    data: bytes
    address: int
    code: int
    is_secured: bool
    is_fit: bool
    """False: it has no MAC, and is nothing that may come without; or its parts contradict one another."""


class Sieve:
    """Picks the replies out of what comes from a bus, where commands, echoes, noise and halves of frames come, too."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def clear(self) -> None:
        """Forget what came; before a command is sent, for nothing that came before it can be its answer."""
        self._kept.clear()

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that are whole with these bytes, in their order."""
        self._kept += data
        replies = []
        done, at = 0, self._kept.find(START)
        while at >= 0:
            size = self._size_at(at)
            frame = bytes(self._kept[at : at + size])
            if 0 < size == len(frame) and _is_sound(frame):
                if frame[1] & IS_REPLY:
                    replies.append(_reply(frame))
                done = at = at + size
            else:
                # Noise that looks like a long frame's beginning must not hide the frame after it.
                at += 1
            at = self._kept.find(START, at)
        del self._kept[: max(done, len(self._kept) - MAX_KEPT)]
        return replies

    def _size_at(self, at: int) -> int:
        """How long the frame there says that it is; 0 for none, or for one that says too little yet."""
        if len(self._kept) < at + HEADER_BYTES:
            return 0
        size = self._kept[at + 2] | self._kept[at + 3] << 8
        return size if HEADER_BYTES + 2 <= size <= MAX_FRAME else 0


def command_of(frame: bytes) -> tuple[int, int]:
    """The address and the code of a command that is being sent; (-1, -1) for what is none."""
    frame = frame[1:] if frame[:1] == bytes([MARK]) else frame
    at = HEADER_BYTES
    if len(frame) > at and frame[4] & HAS_BLOCK:
        at += frame[at]
    return (frame[1] & ADDRESS, frame[at]) if len(frame) > at else (-1, -1)


def _is_sound(frame: bytes) -> bool:
    """Whether CRC or checksum are right."""
    if not frame[4] & HAS_CRC:
        return sum(frame) & 0xFF == 0
    return binascii.crc_hqx(frame[:-2], CRC_START).to_bytes(2, "little") == frame[-2:]


def _reply(frame: bytes) -> Reply:
    address = frame[1] & ADDRESS
    body = frame[HEADER_BYTES : -2 if frame[4] & HAS_CRC else -1]
    if not frame[4] & HAS_BLOCK:
        code = body[0] if body else 0
        return Reply(frame, address, code, is_secured=False, is_fit=code in CLEAR_CODES[None])
    length, kind = (body[0], body[1]) if len(body) > 1 else (0, 0)
    code = body[length] if length < len(body) else 0
    if kind in {EMPTY, ENCRYPTED}:
        encrypted = len(body) - length - 1 - MAC_BYTES
        is_whole = encrypted == 0 if kind == EMPTY else encrypted > 0 and encrypted % CIPHER_BYTES == 0
        return Reply(frame, address, code, is_secured=True, is_fit=length == 2 and is_whole)  # noqa: PLR2004  its length and its type
    return Reply(frame, address, code, is_secured=False, is_fit=length == 3 and code in CLEAR_CODES.get(kind, frozenset()))  # noqa: PLR2004  and one byte

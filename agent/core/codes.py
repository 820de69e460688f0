"""Tour codes: a CWT (RFC 8392) in an untagged COSE_Sign1 (RFC 9052), base45, behind a short prefix. The only importer of cbor2.

Text     `TL1:` base45 `.` - all of QR's alphanumeric mode; the last dot tells a whole text from one that was cut short.
Bytes    84 | 49 a2 01 27 04 44 <key id> | a0 | <payload as byte string> | 58 40 <signature>
         that is [protected {alg: EdDSA, kid}, {}, payload, signature]; external_aad is `tourlatch/1`.
Payload  {4: end, 5: start, 7: code id, -65537: [appointment, prospect, community, [doors], [units]]}, times in seconds;
         an id of digits travels as an integer when that loses nothing.

Rule 1: before the signature is checked nothing is decoded but this frame, byte for byte: there is one algorithm and one shape.
Rule 2: one code has one text. What does not re-encode to itself is unreadable.
Rule 3: no input raises; each malformed one is a named refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from agent.core import base45, signature
from agent.core.reasons import Reason
from agent.core.tour import TourCode, TourError, Window

PREFIX = b"TL1:"
GUARD = b"."
MAX_CHARACTERS = 1024
"""Far above what a QR code of version 25 holds; longer input is not looked at."""

_AAD = b"tourlatch/1"
_PROTECTED_HEAD = bytes.fromhex("a201270444")
_FRAME_HEAD = b"\x84\x49" + _PROTECTED_HEAD
_SIGNATURE_HEAD = b"\x58\x40"
_END, _START, _CODE_ID, _TOUR = 4, 5, 7, -65537
_SHORT, _BYTE, _WORD = 24, 0x100, 0x10000
_MAX_INTEGER_ID = 2**64


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that codes may be signed with; once retired it opens nothing, ever (promise P5)."""

    public: bytes
    is_retired: bool = False

    @property
    def key_id(self) -> str:
        """8 hexadecimal digits."""
        return signature.key_id(self.public).hex()


Keyring = Mapping[bytes, PublicKey]
"""Public keys by the 4 bytes of their id."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What was presented is no tour code of ours, and why."""

    reason: Reason


def keyring(keys: list[PublicKey]) -> Keyring:
    """The keys by their ids."""
    return {signature.key_id(key.public): key for key in keys}


def issue(code: TourCode, seed: bytes) -> str:
    """The text of a signed `code`; raises `TourError` when the seed is not that of the code's key, or a time has milliseconds."""
    kid = signature.key_id(signature.public_key(seed))
    if kid.hex() != code.key_id:
        raise TourError(f"the code names the key {code.key_id}, but was to be signed with {kid.hex()}")
    if code.window.start_ms % 1000 or code.window.end_ms % 1000:
        raise TourError("a code's times are whole seconds")
    payload = _payload(code)
    signed = signature.sign(seed, _to_sign(kid, payload))
    frame = _FRAME_HEAD + kid + b"\xa0" + _byte_string(payload) + _SIGNATURE_HEAD + signed
    text = PREFIX.decode() + base45.encode(frame) + GUARD.decode()
    if len(text) > MAX_CHARACTERS:
        raise TourError(f"the code would have {len(text)} characters, more than {MAX_CHARACTERS}; name fewer doors or units")
    return text


def read(text: bytes, keys: Keyring) -> TourCode | Unread:
    """The code that `text` holds if a key of ours signed it, else the reason why not."""
    parts = _open_frame(_frame_of(text))
    if parts is None:
        return Unread(Reason.UNREADABLE)
    kid, payload, signed = parts
    key = keys.get(kid)
    if key is None:
        return Unread(Reason.UNKNOWN_KEY)
    if not signature.is_genuine(key.public, _to_sign(kid, payload), signed):
        return Unread(Reason.BAD_SIGNATURE)
    if key.is_retired:
        return Unread(Reason.RETIRED_KEY)
    return _open_payload(payload, kid)


def _frame_of(text: bytes) -> bytes:
    """The bytes between prefix and guard, or none at all when the text is not of that form."""
    if len(text) > MAX_CHARACTERS or not (text.startswith(PREFIX) and text.endswith(GUARD)):
        return b""
    try:
        return base45.decode(text[len(PREFIX) : -len(GUARD)])
    except base45.Base45Error:
        return b""


def _open_frame(frame: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Key id, payload and signature of a frame of exactly the one shape, or None."""
    head = len(_FRAME_HEAD)
    kid_end = head + signature.KEY_ID_BYTES
    tail = len(_SIGNATURE_HEAD) + signature.SIGNATURE_BYTES
    kid, body, end = frame[head:kid_end], frame[kid_end:-tail], frame[-tail:]
    if not frame.startswith(_FRAME_HEAD) or not body.startswith(b"\xa0") or not end.startswith(_SIGNATURE_HEAD):
        return None
    for size in (2, 3, 4):
        payload = body[size:]
        if body[1:] == _byte_string(payload):
            return kid, payload, end[len(_SIGNATURE_HEAD) :]
    return None


def _open_payload(payload: bytes, kid: bytes) -> TourCode | Unread:
    """The claims of a payload whose signature was found genuine."""
    try:
        claims = cbor2.loads(payload)
        appointment, prospect, community, doors, units = claims[_TOUR]
        start, end = claims[_START], claims[_END]
        if not (isinstance(doors, list) and isinstance(units, list) and isinstance(start, int) and isinstance(end, int)):
            return Unread(Reason.UNREADABLE)
        code = TourCode(
            code_id=claims[_CODE_ID].hex(),
            appointment_id=_id_text(appointment),
            prospect_id=_id_text(prospect),
            community_id=_id_text(community),
            doors=tuple(doors),
            unit_names=tuple(units),
            window=Window(start * 1000, end * 1000),
            key_id=kid.hex(),
        )
        is_canonical = _payload(code) == payload
    except (cbor2.CBORError, TourError, TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError):
        return Unread(Reason.UNREADABLE)
    return code if is_canonical else Unread(Reason.UNREADABLE)


def _payload(code: TourCode) -> bytes:
    tour: list[Any] = [_id_value(code.appointment_id), _id_value(code.prospect_id), _id_value(code.community_id)]
    tour += [list(code.doors), list(code.unit_names)]
    claims = {_END: code.window.end_ms // 1000, _START: code.window.start_ms // 1000, _CODE_ID: bytes.fromhex(code.code_id), _TOUR: tour}
    return cbor2.dumps(claims)


def _id_value(text: str) -> int | str:
    return int(text) if text.isdigit() and str(int(text)) == text and int(text) < _MAX_INTEGER_ID else text


def _id_text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return value
    raise TypeError("an id is an integer or a text")


def _to_sign(kid: bytes, payload: bytes) -> bytes:
    """The Sig_structure of RFC 9052, section 4.4."""
    protected = _byte_string(_PROTECTED_HEAD + kid)
    return b"\x84\x6aSignature1" + protected + _byte_string(_AAD) + _byte_string(payload)


def _byte_string(data: bytes) -> bytes:
    """`data` with its CBOR head, the shortest one (RFC 8949, 4.2.1)."""
    size = len(data)
    if size < _SHORT:
        return bytes((0x40 | size,)) + data
    if size < _BYTE:
        return bytes((0x58, size)) + data
    if size < _WORD:
        return b"\x59" + size.to_bytes(2, "big") + data
    raise TourError("too long")

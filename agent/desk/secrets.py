"""Manage links, PINs, tokens and limits' names, all made of the desk's one secret. Pure: nothing here is stored.

Rule 1: each use has a key of its own, derived from the secret by its name, so that one output never serves for another.
Rule 2: what a stranger sends is compared in constant time.
Rule 3: a door's keys lie beside the store, never in it (the store holds hashes only).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from agent.core import pin as pins

TAG_BYTES = 16
TOKEN_BYTES = 32
WHO_BYTES = 16
MAX_TOKEN_CHARACTERS = 200

_MANAGE = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_-]{22})")
_SHORTEST_SECRET = 32


class Secrets:
    """Everything that is made of the desk's secret (32 bytes or more); a new secret ends all links, PINs and forms."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"the desk's secret must have at least {_SHORTEST_SECRET} characters")
        self._manage, self._pin, self._door, self._form, self._who = (
            hmac.digest(secret, f"tourlatch/{use}".encode("ascii"), hashlib.sha256) for use in ("manage", "pin", "door", "form", "who")
        )

    def manage_token(self, booking_id: str) -> str:
        """What the manage link of a booking ends with: its id and a tag of 128 bits, safe in a URL."""
        return f"{booking_id}.{_tag(self._manage, booking_id)}"

    def booking_of(self, token: str) -> str | None:
        """The booking that a manage link is of, or None for one that this desk never made."""
        found = _MANAGE.fullmatch(token)
        if found is None or not hmac.compare_digest(found.group(2), _tag(self._manage, found.group(1))):
            return None
        return found.group(1)

    def pin(self, code_id: str, attempt: int) -> str:
        """The `attempt`-th PIN of a code."""
        return pins.make(self._pin, code_id, attempt)

    def pin_hashes(self, pin: str, community_id: str, doors: Iterable[str]) -> dict[str, str]:
        """What each door knows the PIN by."""
        return {door: pins.digest(self.door_key(community_id, door), pin) for door in doors}

    def door_key(self, community_id: str, door: str) -> bytes:
        """The key of one door's PIN hashes, for the door's own file."""
        return pins.door_key(self._door, community_id, door)

    def form_token(self, purpose: str) -> str:
        """A tag that only this desk makes for `purpose` (such as a session's hash and a form's name), against forged forms."""
        return _tag(self._form, purpose)

    def is_form_token(self, token: str, purpose: str) -> bool:
        """Whether `token` is the one for `purpose`."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.form_token(purpose).encode("ascii"))

    def who(self, kind: str, address: str) -> str:
        """A name for an address in the counts of limits, which does not tell the address."""
        return hmac.digest(self._who, f"{kind}/{address}".encode("utf-8", "replace"), hashlib.sha256)[:WHO_BYTES].hex()


def token_hash(token: str) -> str:
    """What is stored of a random token of 256 bits (a door's, a vendor's, a session's)."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def new_token() -> str:
    """A random token, safe in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def _tag(key: bytes, text: str) -> str:
    digest = hmac.digest(key, text.encode("utf-8", "replace"), hashlib.sha256)[:TAG_BYTES]
    return base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")

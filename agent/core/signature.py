"""Ed25519 (RFC 8032), and the only importer of PyNaCl.

libsodium refuses signatures whose scalar is not reduced and keys of small order, so a valid signature cannot be bent into another.
"""

from __future__ import annotations

import hashlib

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4


def public_key(seed: bytes) -> bytes:
    """The 32 bytes a door needs, from the 32 secret ones."""
    return bytes(SigningKey(seed).verify_key)


def key_id(public: bytes) -> bytes:
    """A key's id: the first 4 bytes of its SHA-256, so that a key cannot be filed under another's id."""
    return hashlib.sha256(public).digest()[:KEY_ID_BYTES]


def sign(seed: bytes, message: bytes) -> bytes:
    """64 bytes."""
    return SigningKey(seed).sign(message).signature


def is_genuine(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the holder of the key signed this message; no input raises."""
    if len(signature) != SIGNATURE_BYTES or len(public) != PUBLIC_BYTES:
        return False
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True

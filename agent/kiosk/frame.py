"""What becomes of a page of the desk's before it stands in the booking's frame.

Rule 1: its origin is nobody's (opaque): it reaches neither the screen's page, nor what the kiosk answers, nor anything that is stored.
Rule 2: one script runs there, ours, known to the browser by its hash: a desk that somebody else has taken over runs nothing.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

SCRIPT = Path(__file__).parent / "static" / "frame.js"
_BEGIN, _END, _END_OF_HEAD = b"<script", b"</script", b"</head"


class Frame:
    """Our script in a page, and the policy that goes with it; raises `OSError` when the script cannot be read."""

    def __init__(self) -> None:
        script = SCRIPT.read_bytes()
        digest = base64.b64encode(hashlib.sha256(script).digest()).decode("ascii")
        self._tag = b"<script>" + script + b"</script>"
        self.security = (
            f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-forms"
        )
        """The Content-Security-Policy of everything that is passed."""

    def page(self, content: bytes) -> bytes:
        """A page with our script at the end of its head, or of itself when it shows none; its own scripts are left out.

        The policy is what keeps those from running; here they are only spared a refusal each.
        """
        bare = _without_scripts(content)
        at = bare.lower().find(_END_OF_HEAD)
        at = len(bare) if at < 0 else at
        return bare[:at] + self._tag + bare[at:]


def _without_scripts(content: bytes) -> bytes:
    lower, kept, at = content.lower(), bytearray(), 0
    while (begin := lower.find(_BEGIN, at)) >= 0 and (end := lower.find(_END, begin)) >= 0:
        kept += content[at:begin]
        at = (lower.find(b">", end) + 1) or len(content)
    return bytes(kept + content[at:])

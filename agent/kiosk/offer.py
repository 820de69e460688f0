"""The free times that a desk's page offers, read out of its links. Pure; what is no link to the form is passed over.

Rule: a page of anybody's costs bounded time: so much of it is looked at, once, and so many links.
"""

from __future__ import annotations

import re
from html import unescape
from itertools import islice
from urllib.parse import parse_qs, urlsplit

from agent.core.clock import from_iso

MAX_PAGE_BYTES = 100_000
"""The page has its times in order, so those of today stand at its beginning."""
MAX_LINKS = 2000
MAX_ADDRESS = 500

_LINK = re.compile(rf"""<a\s[^<>]{{0,{MAX_ADDRESS}}}?\bhref=(?:"([^"<>]*)"|'([^'<>]*)')""", re.IGNORECASE)
_MS = re.compile(r"[0-9]{1,15}", re.ASCII)


def starts_in(page: bytes, form: str) -> list[int]:
    """The instants that a page's links to its form name, in order, each once."""
    text = page[:MAX_PAGE_BYTES].decode("utf-8", "replace")
    starts_ms = set()
    for link in islice(_LINK.finditer(text), MAX_LINKS):
        try:
            parts = urlsplit(unescape(link[1] or link[2] or "")[:MAX_ADDRESS])
            if parts.path == form:
                named = parse_qs(parts.query, max_num_fields=10).get("start", [])
                starts_ms |= {int(one) if _MS.fullmatch(one) else from_iso(one) for one in named}
        except (ValueError, OverflowError):  # no address at all, or no instant
            continue
    return sorted(starts_ms)

"""Who is at a page: the language, where the person came from, and whether a form was sent from here.

Rule 1: `?lang=` and `?utm_knock_source_title=` go along in every link and in every form's address, so no cookie is needed.
Rule 2: nothing personal is ever put into a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from agent.core.clock import from_iso
from agent.core.tour import LATEST_TOUR_MS, MAX_TOUR_MS
from agent.language import Language, Languages
from agent.settings.desk import CommunitySettings
from agent.web import Call

LANGUAGE = "lang"
SOURCE_TITLE = "utm_knock_source_title"
MAX_SOURCE_TITLE = 200

_MILLISECONDS = re.compile(r"[0-9]{1,15}", re.ASCII)
_MAX_START = 40


@dataclass(frozen=True, slots=True)
class Visitor:
    """What is known of the person at the page; `asked` is the language of `?lang=`, `came_by` the source title of the link, if any."""

    language: Language
    asked: str | None = None
    came_by: str | None = None

    def link(self, path: str, *, lang: str | None = None, **query: str) -> str:
        """A path of ours that carries the language and the source title along."""
        carried = {**query, LANGUAGE: lang or self.asked, SOURCE_TITLE: self.came_by}
        written = urlencode({name: value for name, value in carried.items() if value})
        return f"{path}?{written}" if written else path

    def source_title(self, community: CommunitySettings) -> str:
        """Where the person came from, for Knock."""
        return self.came_by or community.source_title


def visitor_of(call: Call, languages: Languages, usual: str | None = None) -> Visitor:
    """The person at the page; `usual` is the language of a booking, which counts when the link names none. Never an error."""
    asked = call.query.get(LANGUAGE)
    if usual is not None and asked is None:
        language = languages.named(usual)
    else:
        language = languages.choose(asked, call.headers.get("accept-language"))
    return Visitor(language, language.code if asked is not None else None, _source_title(call.query.get(SOURCE_TITLE, "")))


def start_of(text: str) -> int | None:
    """The instant that a link or a form names, as ISO 8601 with offset or in milliseconds; None for anything else."""
    if len(text) > _MAX_START:
        return None
    try:
        instant = int(text) if _MILLISECONDS.fullmatch(text) else from_iso(text)
    except (ValueError, OverflowError):
        return None
    return instant if 0 <= instant <= LATEST_TOUR_MS - MAX_TOUR_MS else None


def is_from_here(headers: Mapping[str, str], public_url: str) -> bool:
    """Whether a form was sent from a page of ours, as far as the browser says.

    `Origin` is `null` for our own forms, too, since our pages send no referrer; then the form's token alone decides.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    return headers.get("origin", "null") in {"null", public_url}


def _source_title(text: str) -> str | None:
    return "".join(letter for letter in text if letter.isprintable())[:MAX_SOURCE_TITLE].strip() or None

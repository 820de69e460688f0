"""What a desk tells a door: a page of news of appointments, read and checked. Pure.

Rule 1: what is no page at all is refused whole. A page that is wrong in one entry loses that entry alone: the others are heard.
Rule 2: only news of the door's own community is believed. A cancel needs no more than the appointment: nothing else that is wrong in it
        keeps a code alive (promise P5).
Rule 3: a refusal names the field and never repeats what stood in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.core.pin import HASH_BYTES
from agent.core.tour import MAX_REVISION, RosterEntry, Standing, TourCode, TourError, Window

MAX_ENTRIES = 200
MAX_ORDERS = 100
MAX_VISITS = 1000
MAX_CURSOR = 200
MAX_TITLE = 200
MAX_VISIT_ID = 64
RETRY_ORDER = "outbox_retry"
"""The one thing that staff may order from afar."""

_HASH = re.compile(rf"[0-9a-f]{{{2 * HASH_BYTES}}}")


class PageError(ValueError):
    """What came is no page of news."""


@dataclass(frozen=True, slots=True)
class RosterNews:
    """News of one appointment. `code` is what its live tour code says, None for a dead appointment; `pin_hash` is this door's."""

    entry: RosterEntry
    code: TourCode | None = None
    pin_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """What staff want done at the door; `do` may be something that this version does not know."""

    order_id: int
    do: str
    visit_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the desk's: news, what was wrong in it (one sentence each), where to go on, whether there is more at once.

    `is_resync` says that the desk begins anew: it does not know what the door has heard.
    """

    news: tuple[RosterNews, ...]
    skipped: tuple[str, ...]
    cursor: str
    has_more: bool = False
    is_resync: bool = False
    orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """No page came: why, for a person. `is_refused` says that the desk does not accept the door's token, which a person has to mend."""

    words: str
    retry_after_s: float | None = None
    is_refused: bool = False


def check_title(title: str) -> None:
    """Raise `TourError` for a source title that a door would not take."""
    if len(title) > MAX_TITLE or not title.isprintable():
        raise TourError(f"the source title must be a text of at most {MAX_TITLE} visible characters")


def read_page(content: Mapping[str, Any], community_id: str) -> Page:
    """The page in a JSON object; raises `PageError` for what is none."""
    entries, orders, cursor = content.get("entries"), content.get("orders", []), content.get("cursor")
    has_more, is_resync = content.get("has_more"), content.get("is_resync", False)
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise PageError(f"entries must be a list of at most {MAX_ENTRIES}")
    if not isinstance(orders, list) or len(orders) > MAX_ORDERS:
        raise PageError(f"orders must be a list of at most {MAX_ORDERS}")
    if not isinstance(cursor, str) or not 1 <= len(cursor) <= MAX_CURSOR or not (cursor.isascii() and cursor.isprintable()):
        raise PageError(f"the cursor must be a text of 1 to {MAX_CURSOR} visible characters")
    if not isinstance(has_more, bool) or not isinstance(is_resync, bool):
        raise PageError("has_more and is_resync must be true or false")
    if has_more and not entries:
        raise PageError("there is more to come, but nothing came")
    skipped: list[str] = []
    news = _each(entries, "entry", lambda item: _news(item, community_id), skipped)
    known = _each(orders, "order", _order, skipped)
    return Page(news, tuple(skipped), cursor, has_more, is_resync, known)


def _each(items: list[object], what: str, read: Callable[[dict[str, Any]], Any], skipped: list[str]) -> tuple[Any, ...]:
    """What could be read; the rest is skipped with a sentence."""
    found = []
    for number, item in enumerate(items, 1):
        try:
            found.append(read(_object(item)))
        except TourError as error:
            skipped.append(f"{what} {number}: {error}")
    return tuple(found)


def _news(item: dict[str, Any], community_id: str) -> RosterNews:
    appointment_id, standing = _text(item, "appointment_id"), _standing(item)
    if item.get("community_id", community_id) != community_id:
        raise TourError("the community_id is another community's")
    if standing is not Standing.CONFIRMED:
        return RosterNews(RosterEntry(appointment_id, standing, revision=_revision_of_dead(item)))
    code = TourCode(
        code_id=_text(item, "code_id"),
        appointment_id=appointment_id,
        prospect_id=_text(item, "prospect_id"),
        community_id=_text(item, "community_id"),
        doors=_texts(item, "doors"),
        unit_names=_texts(item, "unit_names"),
        window=_window(item),
        key_id=_text(item, "key_id"),
    )
    entry = RosterEntry(appointment_id, standing, code.code_id, _title(item), _number(item, "revision"))
    return RosterNews(entry, code, _pin_hash(item))


def _revision_of_dead(item: dict[str, Any]) -> int:
    try:
        return _number(item, "revision")
    except TourError:
        return 0


def _standing(item: dict[str, Any]) -> Standing:
    try:
        return Standing(_text(item, "standing"))
    except TourError:
        raise
    except ValueError:
        raise TourError(f"the standing must be one of {', '.join(Standing)}") from None


def _window(item: dict[str, Any]) -> Window:
    """To the whole second, as a tour code has it: the PIN and the code of a tour open at the same moments."""
    start_ms, end_ms = _number(item, "start_ms"), _number(item, "end_ms")
    if start_ms % 1000 or end_ms % 1000:
        raise TourError("start_ms and end_ms must be whole seconds")
    return Window(start_ms, end_ms)


def _title(item: dict[str, Any]) -> str | None:
    title = item.get("source_title")
    if title is None or title == "":
        return None
    if not isinstance(title, str):
        raise TourError("the source_title must be a text")
    check_title(title)
    return title


def _pin_hash(item: dict[str, Any]) -> str | None:
    found = item.get("pin_hash")
    if found is None:
        return None
    if not isinstance(found, str) or not _HASH.fullmatch(found):
        raise TourError(f"the pin_hash must be {2 * HASH_BYTES} hexadecimal digits")
    return found


def _order(item: dict[str, Any]) -> Order:
    do = _text(item, "do")
    if not 1 <= len(do) <= MAX_VISIT_ID or not (do.isascii() and do.isprintable()):
        raise TourError("the do must be a short text")
    return Order(_number(item, "order_id"), do, _visit_ids(item) if do == RETRY_ORDER else ())


def _visit_ids(item: dict[str, Any]) -> tuple[str, ...]:
    found = _texts(item, "visit_ids")
    if len(found) > MAX_VISITS or not all(1 <= len(one) <= MAX_VISIT_ID and one.isascii() and one.isprintable() for one in found):
        raise TourError(f"the visit_ids must be at most {MAX_VISITS} short texts")
    return found


def _object(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise TourError("must be an object")
    return item


def _text(item: dict[str, Any], name: str) -> str:
    found = item.get(name)
    if not isinstance(found, str):
        raise TourError(f"the {name} must be a text")
    return found


def _texts(item: dict[str, Any], name: str) -> tuple[str, ...]:
    found = item.get(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TourError(f"the {name} must be a list of texts")
    return tuple(found)


def _number(item: dict[str, Any], name: str) -> int:
    found = item.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= MAX_REVISION:
        raise TourError(f"the {name} must be a whole number from 0 to 2^53")
    return found

"""Languages of the pages: sentences from catalogues, dates and times as people write them. The only importer of Babel.

Rule 1: a catalogue is `<language>.po` in a folder of its program, read once at the start; adding a file adds a language.
        English is in the pages themselves.
Rule 2: a time is said in the property's zone, and the zone is named. Where a clock shows the same hour twice, the hour says which it is.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_datetime, format_skeleton, format_time, get_timezone_name, match_skeleton
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

SOURCE_LANGUAGE = "en"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})?")
_MOST_WISHES = 20
_DAY = "MMMMEd"


@dataclass(frozen=True, slots=True)
class Language:
    """One language that the pages speak: its code as in HTML (`es`), its own name for itself, and its sentences."""

    code: str
    name: str
    translations: NullTranslations

    def say(self, sentence: str) -> str:
        """The sentence in this language; the English one when there is no other."""
        return self.translations.gettext(sentence) if sentence else ""  # of an empty one gettext gives the catalogue's head


class Languages:
    """All that the pages speak, by code, English first."""

    def __init__(self, languages: Mapping[str, Language]) -> None:
        self._by_code = dict(languages)

    @classmethod
    def read(cls, folder: Path) -> Languages:
        """Read every catalogue in `folder`; raises `ValueError` or `OSError` for one that cannot be used."""
        found = {SOURCE_LANGUAGE: Language(SOURCE_LANGUAGE, _own_name(SOURCE_LANGUAGE), NullTranslations())}
        for path in sorted(folder.glob("*.po")):
            code = path.stem.replace("_", "-")
            found[code] = Language(code, _own_name(code), _catalogue(path))
        return cls(found)

    def __iter__(self) -> Iterator[Language]:
        return iter(self._by_code.values())

    def named(self, code: str) -> Language:
        """The language of a code that was stored; English when there is none of it any more."""
        return self._by_code.get(code, self._by_code[SOURCE_LANGUAGE])

    def choose(self, asked: str | None, accepted: str | None) -> Language:
        """What was asked for by `?lang=`, else the best of `Accept-Language`, else English; never an error."""
        if asked is not None and (found := self._like(asked)) is not None:
            return found
        for wish in _wishes(accepted or ""):
            if (found := self._like(wish)) is not None:
                return found
        return self._by_code[SOURCE_LANGUAGE]

    def _like(self, code: str) -> Language | None:
        wanted = code.strip().lower()
        exact = {known.lower(): language for known, language in self._by_code.items()}
        return exact.get(wanted) or exact.get(wanted.split("-")[0])


@dataclass(frozen=True, slots=True)
class Dates:
    """Dates and times for people: one language, one property's zone and country."""

    locale: Locale
    zone: ZoneInfo

    @classmethod
    def of(cls, language: Language, zone_name: str, country: str) -> Dates:
        """As the language is written in the country, or as it is written anywhere when there is no such custom."""
        try:
            locale = Locale.parse(f"{language.code.split('-')[0]}_{country}")
        except (UnknownLocaleError, ValueError):
            locale = Locale.parse(language.code, sep="-")
        return cls(locale, ZoneInfo(zone_name))

    def day(self, instant_ms: int) -> str:
        """`Tuesday, March 31`."""
        return format_datetime(self._moment(instant_ms), _day_pattern(str(self.locale)), locale=self.locale)

    def day_with_year(self, instant_ms: int) -> str:
        """`Tuesday, March 31, 2026`."""
        return format_datetime(self._moment(instant_ms), self.locale.date_formats["full"].pattern, locale=self.locale)

    def short_day(self, instant_ms: int) -> str:
        """`Tue, Mar 31`."""
        return format_skeleton("MMMEd", self._moment(instant_ms), locale=self.locale)

    def time(self, instant_ms: int) -> str:
        """`3:30 PM`; with the zone's letters where the clock shows this hour twice."""
        moment = self._moment(instant_ms)
        said = format_time(moment, "short", tzinfo=self.zone, locale=self.locale)
        is_twice = moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset()
        return f"{said} {get_timezone_name(moment, width='short', locale=self.locale)}" if is_twice else said

    def day_key(self, instant_ms: int) -> str:
        """The day in the property's zone, `2026-03-31`: the same for all times of it."""
        return self._moment(instant_ms).date().isoformat()

    def machine(self, instant_ms: int) -> str:
        """For `<time datetime>`: `2026-03-31T15:30:00-07:00`."""
        return self._moment(instant_ms).isoformat()

    def zone_name(self, instant_ms: int) -> str:
        """`Pacific Time`; where clocks are never changed, the exact name (`Mountain Standard Time`)."""
        moment = self._moment(instant_ms)
        if not self._is_named():
            return format_datetime(moment, "OOOO", tzinfo=self.zone, locale=self.locale)
        is_changing = len({(moment + timedelta(days=days)).astimezone(self.zone).utcoffset() for days in range(0, 360, 60)}) > 1
        return get_timezone_name(self.zone if is_changing else moment, locale=self.locale)

    def _moment(self, instant_ms: int) -> datetime:
        return (_EPOCH + timedelta(milliseconds=instant_ms)).astimezone(self.zone)

    def _is_named(self) -> bool:
        key = self.zone.key
        return key in get_global("meta_zones") or key in get_global("zone_territories") or key in get_global("zone_aliases")


@cache
def _day_pattern(locale_name: str) -> str:
    """The custom for a day without its year, with weekday and month written out."""
    locale = Locale.parse(locale_name)
    skeletons = locale.datetime_skeletons
    found = skeletons.get(match_skeleton(_DAY, skeletons) or "")
    if found is None:
        return str(locale.date_formats["full"].pattern)
    return re.sub(r"M{3,4}", "MMMM", re.sub(r"E+|c+", "EEEE", found.pattern))


def _own_name(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise ValueError(f"{code}.po must be named by a language, such as es.po or pt-BR.po")
    name = Locale.parse(code, sep="-").get_display_name(code.replace("-", "_")) or code
    return name[:1].upper() + name[1:]


def _catalogue(path: Path) -> NullTranslations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, abort_invalid=True))
    compiled.seek(0)
    return GNUTranslations(compiled)


def _wishes(header: str) -> list[str]:
    """The codes of an Accept-Language header, most wanted first; what cannot be read is passed over."""
    wishes: list[tuple[float, str]] = []
    for part in header.split(",")[:_MOST_WISHES]:
        code, _, parameter = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", parameter) if parameter else None
        if parameter and weight is None:
            continue
        wanted = float(weight.group(1)) if weight else 1.0
        if wanted > 0 and _CODE.match(code):
            wishes.append((-wanted, code.strip()))
    return [code for _, code in sorted(wishes, key=lambda wish: wish[0])]

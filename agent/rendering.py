"""Templates into answers. The only importer of Jinja2.

Rule 1: everything that is not written in a template is escaped; a name that is missing is a mistake of ours and raises.
Rule 2: a page is not kept by anybody (`no-store`) unless its handler says so.
Rule 3: one environment a language, so that a macro speaks it too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agent.assets import Assets
from agent.language import Language, Languages
from agent.web import Answer

HTML = "text/html; charset=utf-8"
NO_STORE = "no-store"

_NOT_IN_A_CALL = re.compile(r"[^0-9+]")


class Renderer:
    """Renders the templates of a folder; in each template are `language`, `languages`, `asset(name)` and gettext's functions."""

    def __init__(self, languages: Languages, assets: Assets, folder: Path) -> None:
        self.languages = languages
        self.assets = assets
        self._environments = {language.code: _environment(language, languages, assets, folder) for language in languages}

    def text(self, template: str, language: Language, values: Mapping[str, object]) -> str:
        """A template with its values."""
        return self._environments[language.code].get_template(template).render(values)

    def page(self, template: str, language: Language, /, *, status: int = 200, keep: str = NO_STORE, **values: object) -> Answer:
        """An answer of a whole page; `keep` is its Cache-Control."""
        headers = {"Cache-Control": keep, "Content-Language": language.code}
        return Answer(status, self.text(template, language, values).encode("utf-8"), HTML, headers)


def _environment(language: Language, languages: Languages, assets: Assets, folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(language=language, languages=tuple(languages), asset=assets.place)
    environment.filters.update(call=_call, grouped=_grouped)
    return environment


def _call(phone: str) -> str:
    """A phone number as a `tel:` link has it."""
    return f"tel:{_NOT_IN_A_CALL.sub('', phone)}"


def _grouped(digits: str) -> str:
    """A PIN in two halves: `1234 5678`."""
    half = len(digits) // 2
    return f"{digits[:half]} {digits[half:]}"

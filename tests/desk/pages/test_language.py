"""Languages: which one is spoken, that nothing is left unsaid, and how dates are written."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from agent.assets import Assets
from agent.desk.pages import LOCALES, STATIC, TEMPLATES
from agent.desk.pages.visitor import Visitor
from agent.language import Dates, Languages
from agent.rendering import Renderer
from tests.desk.pages.site import START, Site

DESK = LOCALES.parents[1]
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "translate": None, "say": None}
"""Under which names sentences are marked, in pages and in letters."""
PLACE = re.compile(r"%\(\w+\)s")


def marked() -> Iterator[str | tuple[str, ...]]:
    """Every sentence that is marked for the catalogues, in templates and code."""
    for path in sorted(DESK.rglob("*")):
        if path.suffix not in {".html", ".py"}:
            continue
        method = "jinja2.ext:babel_extract" if path.suffix == ".html" else "python"
        options = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true"} if path.suffix == ".html" else {}
        for _, message, _, _ in extract(method, io.BytesIO(path.read_bytes()), keywords=KEYWORDS, options=options):
            yield message


@pytest.mark.parametrize("catalogue", sorted(LOCALES.glob("*.po")), ids=lambda path: path.stem)
def test_ok__every_sentence_is_in_every_catalogue(catalogue: Path) -> None:
    """Each marked sentence has a translation with the same places, and a catalogue holds nothing else."""
    with catalogue.open("rb") as file:
        known = read_po(file, abort_invalid=True)
    found = set(marked())
    assert len(found) > 100
    for message in found:
        written = known.get(message if isinstance(message, str) else message[0])
        assert written is not None, f"missing: {message!r}"
        assert not written.fuzzy
        said = [str(one) for one in (written.string if isinstance(written.string, tuple) else (written.string,))]
        originals = message if isinstance(message, tuple) else (message,)
        for sentence in said:
            assert sentence, f"not translated: {message!r}"
            assert set(PLACE.findall(sentence)) <= set(PLACE.findall(originals[-1]))
        assert set(PLACE.findall(said[-1])) == set(PLACE.findall(originals[-1]))
    firsts = {message if isinstance(message, str) else message[0] for message in found}
    spare = {entry.id if isinstance(entry.id, str) else entry.id[0] for entry in known if entry.id} - firsts
    assert not spare


def test_ok__every_sentence_of_a_template_is_marked() -> None:
    """No words stand in a public template outside the marks: what is left after taking all of Jinja away is markup."""
    for path in sorted((DESK / "pages" / "templates").rglob("*.html")):
        source = re.sub(r"{%-?\s*trans.*?endtrans\s*-?%}", "", path.read_text("utf-8"), flags=re.DOTALL)
        source = re.sub(r"{% block body_class %}.*?{% endblock %}", "", source)
        source = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", source, flags=re.DOTALL)
        words = re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", " ", source))
        assert not words, f"{path.name}: {words}"


def test_ok__a_file_more_is_a_language_more(tmp_path: Path) -> None:
    """A catalogue that is put beside the others appears in the choice of languages and speaks, and needs no change of code."""
    for path in LOCALES.glob("*.po"):
        shutil.copy(path, tmp_path)
    (tmp_path / "pt_BR.po").write_text(
        'msgid ""\nmsgstr ""\n"Language: pt_BR\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "Choose the property that you would like to see."\nmsgstr "Escolha o imóvel."\n',
        "utf-8",
    )
    languages = Languages.read(tmp_path)
    assert [language.code for language in languages] == ["en", "es", "pt-BR"]
    portuguese = languages.choose(None, "pt-BR,pt;q=0.9")
    assert portuguese.name == "Português (Brasil)"
    assert portuguese.say("Choose the property that you would like to see.") == "Escolha o imóvel."
    assert portuguese.say("Free times") == "Free times"
    visitor = Visitor(portuguese)
    renderer = Renderer(languages, Assets(STATIC), TEMPLATES)
    answer = renderer.page("communities.html", portuguese, visitor=visitor, community=None, self_path="/", self_query={}, communities=())
    assert "Escolha o imóvel." in answer.content.decode()
    assert 'hreflang="es"' in answer.content.decode()


@pytest.mark.parametrize("name", ["not-a-language-name.po", "ES.po", "x.po"])
def test_fail__a_catalogue_of_no_language(tmp_path: Path, name: str) -> None:
    """A catalogue whose name is no language's stops the start with its name."""
    (tmp_path / name).write_text('msgid ""\nmsgstr ""\n', "utf-8")
    with pytest.raises(ValueError, match=r"\.po must be named by a language"):
        Languages.read(tmp_path)


@pytest.mark.parametrize(
    ("asked", "accepted", "code"),
    [
        (None, None, "en"),
        ("es", None, "es"),
        ("ES", "en", "es"),
        ("es-MX", "en", "es"),
        ("en", "es", "en"),
        ("", "es", "es"),
        ("zz", "es", "es"),
        ("<script>", None, "en"),
        (None, "es", "es"),
        (None, "es-US,es;q=0.9,en;q=0.8", "es"),
        (None, "en;q=0.5, es;q=0.7", "es"),
        (None, "fr, de;q=0.9", "en"),
        (None, "fr, es;q=0.1", "es"),
        (None, "es;q=0", "en"),
        (None, "es;q=x, en", "en"),
        (None, "*", "en"),
        (None, ";;;,,,q=1", "en"),
        (None, "x," * 5000 + "es", "en"),
    ],
)
def test_ok__which_language_is_spoken(asked: str | None, accepted: str | None, code: str) -> None:
    """`?lang=` goes before the browser's wishes by their weight, English is the rest; what cannot be read is passed over."""
    assert Languages.read(LOCALES).choose(asked, accepted).code == code


def test_ok__spanish_from_the_first_page_to_the_tour(site: Site) -> None:
    """Once chosen, the language stays through links and forms, with dates, zone, consent and mistakes in it."""
    page = site.get("/juniper-flats?lang=es")
    assert page.language == "es"
    page = site.get(page.links()["Ver horas libres"])
    assert "Todas las horas son en hora del Pacífico." in page.main.text
    assert page.main.all("h2")[1].text == "martes, 2 de junio"
    link = page.main.all("section")[1].all("a")[2]
    assert link.text == "10:00 a.m."
    page = site.get(link.attributes["href"])
    assert site.settings.community[0].sms_consent_es in page.main.text
    page = site.send(page.form("Reservar la visita"), 400)
    assert page.error("first_name") == "Escriba su nombre."
    assert page.root.one(id="problems").one("h2").text == "Revise 4 datos"
    page = site.send(page.form("Reservar la visita").put(first_name="Ada", last_name="L", email="ada@example.com", phone="3105550100"))
    assert page.language == "es"
    assert page.heading == "Su visita está reservada"
    assert site.received()[0]["body"]["smsConsentDisclaimer"] == site.settings.community[0].sms_consent_es


def test_ok__the_browser_s_language(site: Site) -> None:
    """Without `?lang=` the browser's wish counts, and links do not pin it."""
    page = site.get("/juniper-flats", Accept_Language="es-MX,es;q=0.9")
    assert page.language == "es"
    assert page.links()["Ver horas libres"] == "/juniper-flats/times"


def test_ok__the_other_language_keeps_the_page(site: Site) -> None:
    """The choice of languages leads to the same page, with its time and its source title."""
    page = site.get(f"/juniper-flats/register?start={START}&utm_knock_source_title=My%20Site")
    link = page.root.one("a", hreflang="es")
    assert link.attributes["lang"] == "es"
    other = site.get(link.attributes["href"])
    assert other.language == "es"
    assert "martes, 2 de junio" in other.main.text.lower()
    assert "utm_knock_source_title=My+Site" in other.form("Reservar la visita").action
    assert other.form("Reservar la visita").value("start") == START


def test_ok__nothing_said_is_nothing() -> None:
    """An empty sentence stays empty, in every language."""
    assert [language.say("") for language in Languages.read(LOCALES)] == ["", ""]


def ms(text: str) -> int:
    """An ISO text in milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("code", "zone", "country", "said"),
    [
        ("en", "America/Los_Angeles", "US", ("Tuesday, March 31", "3:30\u202fPM", "Pacific Time")),
        ("es", "America/Los_Angeles", "US", ("martes, 31 de marzo", "3:30\u202fp.m.", "hora del Pacífico")),
        ("en", "America/Phoenix", "US", ("Tuesday, March 31", "3:30\u202fPM", "Mountain Standard Time")),
        ("en", "Pacific/Honolulu", "US", ("Tuesday, March 31", "12:30\u202fPM", "Hawaii-Aleutian Standard Time")),
        ("en", "Europe/London", "GB", ("Tuesday 31 March", "23:30", "United Kingdom Time")),
        ("en", "Etc/GMT+5", "US", ("Tuesday, March 31", "5:30\u202fPM", "GMT-05:00")),
        ("en", "America/New_York", "ZZ", ("Tuesday, March 31", "6:30\u202fPM", "Eastern Time")),
    ],
)
def test_ok__dates_as_people_write_them(code: str, zone: str, country: str, said: tuple[str, str, str]) -> None:
    """Dates and times are the property's, as its country writes them in the reader's language, with the zone's name."""
    dates = Dates.of(Languages.read(LOCALES).named(code), zone, country)
    instant = ms("2026-03-31T15:30:00-07:00")
    assert (dates.day(instant), dates.time(instant), dates.zone_name(instant)) == said


def test_ok__a_day_is_the_property_s() -> None:
    """A late evening belongs to the property's day, not to the day in UTC."""
    dates = Dates.of(Languages.read(LOCALES).named("en"), "America/Los_Angeles", "US")
    assert dates.day_key(ms("2026-06-02T23:30:00-07:00")) == "2026-06-02"
    assert dates.machine(ms("2026-12-02T23:30:00-08:00")) == "2026-12-02T23:30:00-08:00"

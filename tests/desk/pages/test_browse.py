"""Before a booking: the list, the landing page, free times."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.desk.pages.site import START, Site

Make = Callable[..., Site]


def test_ok__one_property_is_the_start(site: Site) -> None:
    """With one property there is nothing to choose: the start leads to it, and the link's words go along."""
    answer = site.client.get("/?lang=es&utm_knock_source_title=My%20Site")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/juniper-flats?lang=es&utm_knock_source_title=My+Site"


def test_ok__several_properties_are_a_list(make: Make) -> None:
    """With several, the start lists each with its address."""
    page = make(communities=({}, {}, {})).get("/")
    found = [link for link in page.main.all("a") if link.attributes["href"].startswith("/")]
    assert [link.attributes["href"] for link in found] == ["/juniper-flats", "/property-1", "/property-2"]
    assert all("1420 Alder Street" in link.text for link in found)


def test_ok__landing(site: Site) -> None:
    """The landing page names the property, its address, its phone, the three steps and the way to free times."""
    page = site.get("/juniper-flats")
    assert page.heading == "See Juniper Flats on your own"
    assert "1420 Alder Street, Seattle, WA 98101" in page.text
    assert page.root.one("footer").one("a").attributes["href"] == "tel:2065550199"
    assert len(page.main.one("ol").all("li")) == 3
    assert page.links()["See free times"] == "/juniper-flats/times"


def test_ok__free_times_by_day_in_the_property_s_zone(site: Site) -> None:
    """Each day is a part of the page with its times as links that name the instant with its offset; the zone is named."""
    page = site.get("/juniper-flats/times")
    assert "All times are Pacific Time." in page.text
    days = [day.text for day in page.main.all("h2")]
    assert days[:2] == ["Monday, June 1", "Tuesday, June 2"]
    chips = page.main.one("nav").all("a")
    assert len(chips) == len(days) == 14
    tuesday = page.main.all("section")[1]
    first = tuesday.all("a")[0]
    assert first.text == "9:00 AM"
    assert first.attributes["aria-label"] == "Tuesday, June 2, 9:00\u202fAM"
    assert parse_qs(urlsplit(first.attributes["href"]).query) == {"start": ["2026-06-02T09:00:00-07:00"]}


def test_ok__times_of_the_hour_that_comes_twice_differ(make: Make) -> None:
    """Where the clock shows one hour twice, each of its times says which of the two it is."""
    site = make(knock={"opening": "00:00-04:00", "days_ahead": 180, "slot_minutes": 60})
    page = site.get("/juniper-flats/times")
    sections = {section.one("h2").text: [link.text for link in section.all("a")] for section in page.main.all("section")}
    assert sections["Sunday, November 1"] == [
        f"{hour} AM{letters}" for hour, letters in (("12:00", ""), ("1:00", " PDT"), ("1:00", " PST"), ("2:00", ""), ("3:00", ""))
    ]


def test_ok__no_free_times_says_so_with_a_phone(make: Make) -> None:
    """Without free times the page says so, and whom to call."""
    page = make(knock={"notice_minutes": 60 * 24 * 365}).get("/juniper-flats/times")
    assert page.heading == "No free times right now"
    assert page.links()["(206) 555-0199"] == "tel:2065550199"


def test_ok__few_free_times_say_so_with_a_phone(make: Make) -> None:
    """With few free times the page says that, too."""
    page = make(knock={"days_ahead": 1, "opening": "16:00-18:00"}).get("/juniper-flats/times")
    assert "Only a few times are left." in page.text
    assert page.links()["(206) 555-0199"] == "tel:2065550199"


@pytest.mark.parametrize(
    ("route", "kind"), [("*", "refuse"), ("available-times", "lost"), ("available-times", "not-json"), ("available-times", "gzip-bomb")]
)
def test_fail__knock_cannot_be_asked_for_times(site: Site, route: str, kind: str) -> None:
    """When Knock cannot be asked, the page says so, what to do and whom to call, and never that all is taken."""
    site.fault(route, kind)
    page = site.get("/juniper-flats/times", 503)
    assert page.heading == "Free times cannot be shown right now"
    assert page.links()["Try again"] == "/juniper-flats/times"
    assert page.links()["(206) 555-0199"] == "tel:2065550199"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/nowhere/times", "/juniper-flats/nothing", "/juniper-flats/times/", "/%00", "/<script>", "/a/b/c/d"]
)
def test_refused__a_path_that_is_nobody_s(site: Site, path: str) -> None:
    """An unknown path is a page with a way on, which repeats nothing of what was sent."""
    page = site.get(path, 404)
    assert page.heading == "This page does not exist"
    assert "Back to the start" in page.links()
    assert "nothing" not in page.text
    assert not page.main.all("script")


def test_refused__a_wrong_method(site: Site) -> None:
    """A method that a page does not have is refused with a page that names those it has."""
    answer = site.client.post("/juniper-flats")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert "This page cannot do that" in answer.text


@pytest.mark.parametrize(
    "query",
    ["start=", "start=tomorrow", "start=2026-06-02T10:00:00", f"start={'9' * 400}", "start=-1", "start=%00", "start=253370764799999", ""],
)
def test_refused__a_registration_without_a_time(site: Site, query: str) -> None:
    """A registration whose link names no time leads to the free times, with a sentence and not with an error of ours."""
    page = site.get(f"/juniper-flats/register?{query}", 400)
    assert page.links()["See free times"] == "/juniper-flats/times"


def test_refused__a_time_that_has_passed(site: Site) -> None:
    """A link to a time that has passed meanwhile leads to the free times."""
    page = site.get("/juniper-flats/register?start=2026-06-01T11:30:00-07:00", 409)
    assert page.heading == "This time has passed"
    assert page.links()["See free times"] == "/juniper-flats/times"


def test_ok__head_robots_and_health(site: Site) -> None:
    """HEAD answers as GET without a body; robots are kept out; the health check asks the store."""
    head = site.client.head("/juniper-flats")
    assert (head.status_code, head.content) == (200, b"")
    assert site.client.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"
    assert site.client.get("/healthz").json() == {"status": "ok"}


def test_ok__files_are_named_by_their_content(site: Site) -> None:
    """Style and script are kept by browsers for good, since their names change with their content; another hash is nobody's."""
    page = site.get("/juniper-flats")
    style = next(link.attributes["href"] for link in page.root.all("link", rel="stylesheet"))
    answer = site.client.get(style)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")
    script = page.root.one("script").attributes["src"]
    assert "javascript" in site.client.get(script).headers["content-type"]
    assert len(answer.content) < 12_000
    assert len(site.client.get(script).content) < 2_000
    assert site.client.get("/static/style.000000000000.css").status_code == 404
    assert site.client.get("/static/..%2frouting.py").status_code == 404


def test_ok__registration_shows_the_time(site: Site) -> None:
    """The chosen time stands above the form in words, in milliseconds as well as in ISO 8601."""
    for start in (START.replace(":", "%3A"), "1780419600000"):
        page = site.get(f"/juniper-flats/register?start={start}")
        assert "Tuesday, June 2, 10:00 AM" in page.main.text
        assert "Pacific Time" in page.main.text

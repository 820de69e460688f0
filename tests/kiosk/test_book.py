"""A tour booked on the screen: the real desk's own pages, and nothing but them, in the page's frame."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from agent.core.clock import for_people
from agent.demo.stage import Stage
from agent.demo.visitor import Page, Visitor
from agent.kiosk import book as module
from agent.kiosk.frame import SCRIPT, Frame
from agent.kiosk.hub import zone_of
from agent.kiosk.run import Kiosk
from tests.kiosk.browser import Browser
from tests.kiosk.conftest import settings
from tests.kiosk.desks import closed, serve
from tests.kiosk.played_agent import PlayedAgent

Play = Callable[..., Any]
SLUG = "/juniper-flats"


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[Stage]:
    """A desk, and Knock's stand-in behind it."""
    made = Stage(tmp_path_factory.mktemp("site"), has_desk=True)
    play(made.open())
    play(made.start_desk())
    yield made
    play(made.close())


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory: pytest.TempPathFactory, play: Play, site: Stage) -> Iterator[Browser]:
    """A browser at a kiosk whose agent is away: booking needs none."""
    made = settings(tmp_path_factory.mktemp("kiosk") / "agent.sock", book=table(site))

    async def opened() -> Kiosk:
        return await Kiosk(made).__aenter__()

    kiosk = play(opened())
    yield Browser(kiosk.address)
    play(kiosk.__aexit__())


def table(site: Stage, **other: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of the table
    """The table [book] for a desk."""
    return {"url": site.desk.url, "community": "juniper-flats", **other}


def bookable(browser: Browser) -> dict[str, Any]:
    """The state once the desk is known to answer."""
    state = browser.state()
    while not state["can_book"]:
        state = browser.state(state["number"])
    return state


def booked(play: Play, place: Browser, who: str, number: int) -> Page:
    """A tour, booked as on the screen, from the times on."""
    visitor = Visitor()
    times = play(visitor.get(f"{place.origin}{SLUG}/times?lang=en"))
    form = play(visitor.get(times.link("/register", number)))
    page: Page = play(
        visitor.submit(
            form, first_name=who, last_name="Example", email=f"{who}@example.com", phone=f"(415) 555-27{number:02d}", unit="204 B"
        )
    )
    return page


def test_ok__a_tour_is_booked_on_the_screen_to_its_code(play: Play, place: Browser) -> None:
    """From the free times through the form to the code's picture: every address on the way is the screen's own."""
    page = booked(play, place, "ada", 3)
    assert (page.status, "Your tour is booked" in page.text) == (200, True)
    assert page.url.startswith(f"{place.origin}/tour/")
    token = page.url.removeprefix(place.origin).split("?")[0]
    picture = place.get(f"{token}/code.png")
    assert (picture.status, picture.headers["content-type"], picture.body[:4]) == (200, "image/png", b"\x89PNG")


def test_ok__a_tour_that_was_just_booked_is_moved_and_cancelled_there(play: Play, place: Browser) -> None:
    """Somebody who typed the wrong time mends it on the spot."""
    visitor = Visitor()
    page = booked(play, place, "bob", 5)
    offered = play(visitor.get(page.link("/move")))
    moved = play(visitor.submit(play(visitor.get(offered.link("start=", 9)))))
    assert "Your tour is booked" in moved.text
    assert "Your tour is cancelled" in play(visitor.submit(play(visitor.get(moved.link("/cancel"))))).text


def test_ok__the_state_offers_the_next_times_of_today(place: Browser) -> None:
    """At most six, none that is over, each with its words and its form."""
    state = bookable(place)
    zone = zone_of(settings(Path("/nowhere")))
    day = zone(state["now_ms"]).date()
    times = state["book"]["times"]
    assert len(times) <= module.MAX_TIMES
    assert all(zone(one["start_ms"]).date() == day and one["start_ms"] > state["now_ms"] - 60_000 for one in times)
    assert [one["path"] for one in times] == [f"{SLUG}/register?start={one['start_ms']}&lang=en" for one in times]
    words = [one["text"].replace("\u202f", " ") for one in times]
    assert words == [for_people(one["start_ms"], zone(0).tzinfo, near_ms=one["start_ms"]) for one in times]  # type: ignore[arg-type]
    for one in times[:1]:
        assert place.get(one["path"]).status == 200
    assert place.get(state["book"]["path"]).status == 200


def test_ok__a_page_in_the_frame_can_do_nothing_but_be_a_page(place: Browser) -> None:
    """Only our page may frame it; it opens no window, saves no file, leads nowhere else, and has no origin. No cookie comes with it."""
    got = place.get(f"{SLUG}/times")
    policy = got.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert policy.endswith("; sandbox allow-scripts allow-forms")
    assert "x-frame-options" not in got.headers
    assert (got.headers["cache-control"], got.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "set-cookie" not in got.headers
    assert "strict-transport-security" not in got.headers


def test_ok__one_script_runs_in_the_frame_and_it_is_ours(place: Browser) -> None:
    """The policy knows it by the hash of what stands there; the desk's own is neither in the page nor passed."""
    got = place.get(f"{SLUG}/times")
    scripts = re.findall(rb"<script[^>]*>(.*?)</script>", got.body, re.DOTALL)
    assert scripts == [SCRIPT.read_bytes()]
    assert got.body.index(b"<script") < got.body.index(b"</head>")
    policy = dict(part.strip().split(" ", 1) for part in got.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(scripts[0]).digest()).decode()}'"
    assert (policy["default-src"], {"connect-src", "frame-src", "object-src"} & set(policy)) == ("'none'", set())


@pytest.mark.parametrize(
    "kind", ["text/javascript", "application/javascript", "TEXT/JavaScript;charset=utf-8", "application/json", "font/woff2"]
)
def test_fail__no_script_of_the_desks_gets_the_screens_origin(play: Play, start: Callable[..., Kiosk], kind: str) -> None:
    """What a desk gives as a script, or as anything that is no page, style or picture, ends here."""

    async def desk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nevil".encode() + b"!")
        writer.close()

    server = play(serve(desk))
    kiosk = start(book={"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "community": "juniper-flats"})
    got = Browser(kiosk.address).get("/static/a.js")
    play(closed(server))
    assert (got.status, got.headers["content-type"], b"evil" in got.body) == (502, "text/html; charset=utf-8", False)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (b"<head><title>a</title></head><p>b", b"<head><title>a</title>@</head><p>b"),
        (b"<HEAD></HEAD><p>b", b"<HEAD>@</HEAD><p>b"),
        (b"<p>b", b"<p>b@"),
        (b"", b"@"),
        (b"<head><script src=x defer></script><SCRIPT>a</SCRIPT ></head>b", b"<head>@</head>b"),
        (b"<script>a<script>b</script>c", b"c@"),
        (b"a<script>b", b"a<script>b@"),
        (b"a<script>b</script", b"a@"),
    ],
)
def test_table__our_script_takes_the_place_of_the_pages_own(page: bytes, expected: bytes) -> None:
    """At the end of the head, so that it is there before the page; whatever the page is, it is in it once."""
    assert Frame().page(page) == expected.replace(b"@", b"<script>" + SCRIPT.read_bytes() + b"</script>")


def test_ok__a_page_made_of_beginnings_costs_little() -> None:
    """A megabyte of scripts that never end is gone through once."""
    page = b"<script>" * 125_000
    assert Frame().page(page).startswith(page)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/staff",
            "/staff/login",
            "/api/roster",
            "/healthz",
            "/robots.txt",
            "/other-place",
            "/other-place/times",
            f"{SLUG}/",
            f"{SLUG}/more",
        ),
        *("/tour/x/print", "/tour/x/tour.ics", "/tour/x/code.txt", "/tour/x/left", "/tour/x/y/z", "/tour/", "/tour"),
        *("/tour/..", "/tour/%2e%2e", "/tour/%2e%2e%2fstaff", "/tour/../staff", "/static/..", "/static/%2e%2e", "/static/..%2fstaff"),
        *("/tour/../code.png", "/tour/.", "/static/a%00b", "/static/a%20b", "/tour/a%3Fb", "/tour/%C3%A9", "//evil.example/tour/x"),
    ],
)
def test_fail__what_is_not_listed_is_not_passed(place: Browser, site: Stage, target: str) -> None:
    """The desk's other pages, and what only looks like a listed path, end here."""
    before = len(site.desk.log())
    got = place.get(target)
    assert got.status == 404
    assert b"Juniper Street" not in got.body
    assert len(site.desk.log()) == before


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_fail__no_other_method_is_passed(place: Browser, method: str) -> None:
    """Pages are read and forms are sent."""
    assert place.ask(method, f"{SLUG}/register").status == 405


@pytest.mark.parametrize("path", [SLUG, f"{SLUG}/times", "/tour/abc", "/tour/abc/code.png"])
def test_fail__a_form_is_passed_only_to_what_takes_one(place: Browser, path: str) -> None:
    """Nothing else of the desk's is posted to from here."""
    assert place.ask("POST", path, b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}).status == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "same-site", "Origin": "null"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_fail__a_form_of_another_site_is_not_passed(place: Browser, headers: dict[str, str]) -> None:
    """No page of the internet books here: the kiosk itself says so, the desk is not even asked."""
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    got = place.ask("POST", f"{SLUG}/register", b"a=b", sent)
    assert (got.status, got.json) == (403, {"error": "This form was not sent from here."})


def test_fail__a_form_without_the_desks_token_books_nothing(place: Browser) -> None:
    """To the browser the frame is nobody's, like any other frame of that kind: it is passed, and the desk's own token decides."""
    frame = {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    got = place.ask("POST", f"{SLUG}/register", b"first_name=x", {"Content-Type": "application/x-www-form-urlencoded", **frame})
    assert got.status == 403
    assert b"did not come as our page sends it" in got.body


def test_ok__the_desk_hears_no_cookie_and_no_address_of_the_browsers(
    play: Play, start: Callable[..., Kiosk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a request only its language and its form's type are passed on, with the desk's own Host; of the answer no cookie comes back."""
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.05)
    heads: list[bytes] = []

    async def desk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        body = b"<p>hello</p>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nSet-Cookie: a=b\r\nX-Own: c\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        writer.close()

    server = play(serve(desk))
    port = server.sockets[0].getsockname()[1]
    kiosk = start(book={"url": "https://tours.example.com", "community": "juniper-flats", "reached_at": f"http://127.0.0.1:{port}"})
    browser = Browser(kiosk.address)
    got = browser.get(
        f"{SLUG}/times?lang=es", Cookie="staff=secret", Authorization="Basic x", Referer="http://x/", **{"X-Forwarded-For": "10.0.0.1"}
    )
    play(closed(server))
    assert (got.status, got.body) == (200, Frame().page(b"<p>hello</p>"))
    assert not {"set-cookie", "x-own"} & set(got.headers)
    asked = [head for head in heads if b"lang=es" in head]
    assert len(asked) == 1
    names = {line.split(b":")[0].lower() for line in asked[0].split(b"\r\n")[1:] if line}
    assert names <= {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent", b"accept-language"}
    assert b"Host: tours.example.com\r\n" in asked[0]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/tour/abc?lang=en", (303, "/tour/abc?lang=en")),
        ("https://tours.example.com/tour/abc", (303, "/tour/abc")),
        ("https://evil.example/tour/abc", (404, None)),
        ("//evil.example/tour/abc", (404, None)),
        ("http://tours.example.com/tour/abc", (404, None)),
        ("javascript:alert(1)", (502, None)),
        ("http://[", (404, None)),
        ("/\\evil.example", (404, None)),
        ("", (404, None)),
        ("tour", (404, None)),
    ],
)
def test_table__the_browser_is_sent_nowhere_else(
    play: Play, start: Callable[..., Kiosk], location: str, expected: tuple[int, str | None]
) -> None:
    """A redirect of the desk's is one of this screen's, or ends here."""

    async def desk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 303 See Other\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    server = play(serve(desk))
    port = server.sockets[0].getsockname()[1]
    kiosk = start(book={"url": "https://tours.example.com", "community": "juniper-flats", "reached_at": f"http://127.0.0.1:{port}"})
    got = Browser(kiosk.address).get(f"{SLUG}/times")
    play(closed(server))
    assert (got.status, got.headers.get("location")) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\nx",
        b"nonsense",
        b"",
    ],
)
def test_fail__an_answer_that_is_no_page_is_not_passed(play: Play, start: Callable[..., Kiosk], answer: bytes) -> None:
    """A download, an endless page, a broken answer: the frame shows that it cannot be shown."""

    async def desk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = play(serve(desk))
    kiosk = start(book={"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "community": "juniper-flats"})
    got = Browser(kiosk.address).get(f"{SLUG}/times")
    play(closed(server))
    assert (got.status, got.headers["content-type"]) == (502, "text/html; charset=utf-8")


def test_ok__a_desk_that_goes_hides_booking_and_one_that_comes_back_shows_it(
    play: Play, site: Stage, agent: PlayedAgent, start: Callable[..., Kiosk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that waits hears of both; while it is away a page in the frame says so."""
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.05)
    del agent
    browser = Browser(start(book=table(site)).address)
    state = bookable(browser)
    play(site.desk.stop())
    try:
        while state["can_book"]:
            state = browser.state(state["number"])
        assert (state["book"]["times"], browser.get(f"{SLUG}/times").status) == ([], 503)
    finally:
        play(site.desk.start())
    assert bookable(browser)["can_book"] is True


def test_fail__a_property_that_the_desk_does_not_have_cannot_be_booked(play: Play, start: Callable[..., Kiosk], site: Stage) -> None:
    """A wrong slug shows no button that leads nowhere."""
    kiosk = start(book=table(site, community="other-place"))

    async def looked() -> bool:
        assert kiosk._book is not None
        return await kiosk._book._is_reached()

    assert play(looked()) is False


def test_ok__a_head_asks_for_no_body(place: Browser) -> None:
    """It is passed as a GET, and answered without the page."""
    connection = HTTPConnection(place.host, place.port, timeout=20)
    connection.request("HEAD", f"{SLUG}/times")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    connection.close()

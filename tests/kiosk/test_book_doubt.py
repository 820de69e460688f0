"""Booking on the screen when the desk does half of what it should: a form whose answer is lost, a page that is none, a desk that goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.kiosk import book as module
from agent.kiosk.hub import Booking
from agent.kiosk.offer import MAX_LINKS, MAX_PAGE_BYTES, starts_in
from agent.kiosk.run import Kiosk
from tests.kiosk.browser import Browser, Got
from tests.kiosk.desks import PlayedDesk, answer

Play = Callable[..., Any]
SLUG = "/juniper-flats"
FORM = f"{SLUG}/register"
FORMS = {"register": FORM, "move": "/tour/abc/move", "cancel": "/tour/abc/cancel"}
SENT = {
    "Content-Type": "application/x-www-form-urlencoded",
    "Origin": "null",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Dest": "iframe",
    "Sec-Fetch-Mode": "navigate",
}
UNKNOWN = {
    ("register", "en"): ("We do not know whether this was done", "Look in your email before you try again.", "may be booked already"),
    ("move", "en"): ("We do not know whether this was done", "Look in your email before you try again.", "may have been moved already"),
    ("cancel", "en"): ("We do not know whether this was done", "Look in your email before you try again.", "may have been cancelled"),
    ("register", "es"): ("No sabemos si esto se hizo", "Mire su correo electrónico antes de intentarlo de nuevo.", "ya esté reservada"),
    ("move", "es"): ("No sabemos si esto se hizo", "Mire su correo electrónico antes de intentarlo de nuevo.", "ya se haya cambiado"),
    ("cancel", "es"): ("No sabemos si esto se hizo", "Mire su correo electrónico antes de intentarlo de nuevo.", "ya se haya cancelado"),
}
AWAY = b"The booking pages do not answer just now"
HOUR_MS = 3_600_000
NOON_MS = 1_780_340_400_000
"""Of 1 June 2026 in Los Angeles."""


@pytest.fixture
def desk(play: Play) -> Iterator[PlayedDesk]:
    """One that takes every form and hangs up."""
    made = PlayedDesk()
    play(made.start())
    yield made
    play(made.stop())


def sent(kiosk: Kiosk, form: str, language: str = "en") -> Got:
    """A form, as the frame sends it."""
    return Browser(kiosk.address).ask("POST", f"{FORMS[form]}?lang={language}", b"a=b", SENT)


@pytest.mark.parametrize(("form", "language"), UNKNOWN)
def test_fail__a_form_whose_answer_is_lost_may_have_been_done(
    desk: PlayedDesk, start: Callable[..., Kiosk], form: str, language: str
) -> None:
    """It reached the desk once. The page calls it neither done nor undone, says where to look, and has no way to send it again."""
    got = sent(start(book=desk.table), form, language)
    page = got.body.decode()
    assert (got.status, desk.forms) == (504, [(f"{FORMS[form]}?lang={language}", b"a=b")])
    assert [text for text in UNKNOWN[form, language] if text not in page] == []
    assert "+1 555 0100" in page
    assert AWAY not in got.body
    assert [one for one in ("<form", "<a ", "<button", "http-equiv", "data-look-again") if one in page.split("<body>")[1]] == []
    assert got.headers["content-security-policy"].endswith("; sandbox allow-scripts allow-forms")


@pytest.mark.parametrize(
    "taken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nhalf of",
        b"nonsense\r\n\r\n",
        answer(b"x", kind="application/pdf"),
        answer(b"x" * (module.MAX_ANSWER_BYTES + 1)),
        answer(b"x", "200 OK", "Content-Encoding: gzip"),
        answer(b"", "303 See Other", "Location: https://evil.example/tour/x"),
        answer(b"<h1>Bad Gateway</h1>", "502 Bad Gateway"),
        answer(b"<h1>Gateway Timeout</h1>", "504 Gateway Timeout"),
    ],
    ids=["half", "nonsense", "a download", "too long", "compressed", "elsewhere", "a proxy's", "a proxy's that waited"],
)
def test_fail__an_answer_to_a_form_that_cannot_be_shown_is_a_lost_one(desk: PlayedDesk, start: Callable[..., Kiosk], taken: bytes) -> None:
    """The desk has the form, whatever came back of it."""
    desk.taken = taken
    got = sent(start(book=desk.table), "register")
    assert (got.status in {502, 504}, b"may be booked already" in got.body, len(desk.forms)) == (True, True, 1)


def test_ok__a_form_that_was_surely_not_sent_may_be_sent_again(play: Play, desk: PlayedDesk, start: Callable[..., Kiosk]) -> None:
    """Nobody was reached: that is said, and nothing of an email."""
    kiosk = start(book=desk.table)
    play(desk.stop())
    got = sent(kiosk, "register")
    assert (got.status, AWAY in got.body, b"your email" in got.body) == (503, True, False)


def test_ok__a_page_whose_answer_is_lost_can_be_asked_for_again(desk: PlayedDesk, start: Callable[..., Kiosk]) -> None:
    """Nothing is done by looking."""
    kiosk = start(book=desk.table)
    desk.hangs_up = True
    got = Browser(kiosk.address).get(FORM)
    assert (got.status, AWAY in got.body, b"your email" in got.body) == (502, True, False)


def test_ok__starts_are_read_out_of_links_to_the_form_alone() -> None:
    """In both ways that the desk writes them, in order, each once; nothing else on a page counts."""
    now_ms = 1_800_000_000_000
    page = f"""
      <a href="/a/register?start={now_ms}&amp;lang=en">x</a> <a class="b" href='/a/register?start=2027-01-15T00:00:00-08:00'>y</a>
      <a href="/a/register?lang=en&amp;start={now_ms + 1}">z</a> <A HREF="/a/register?start={now_ms}">again</A>
      <a href="/b/register?start=5">other</a> <a href="/a/register?start=soon">no</a> <abbr href="/a/register?start=7">no</abbr>
      <a href="/a/register?start=99999999999999999999">no</a> <form action="/a/register?start=6"></form> <a>none</a> <a href="http://[">no</a>
    """
    assert starts_in(page.encode(), "/a/register") == [now_ms, now_ms + 1]


ODD = {
    "a section of nothing": b"<![x]>",
    "beginnings": b"<" * 1_000_000,
    "links that never end": b"<a " * 330_000,
    "one link that never ends": b"<a " + b"x " * 500_000,
    "an address that never ends": b'<a href="' * 110_000,
    "no text": bytes(range(256)) * 4000,
    "no end": b"<!-- <![CDATA[ <?x <a href='" + b"\0" * 1000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_ok__an_odd_page_has_the_times_that_it_has(odd: bytes) -> None:
    """Whatever a page is made of, the links before it are found, and the time that it takes grows no faster than it does."""
    link = b'<a href="/a/register?start=5">x</a>'
    assert starts_in(link + odd, "/a/register") == [5]


def test_ok__of_a_long_page_only_the_beginning_counts() -> None:
    """So many bytes and so many links of it are looked at."""
    link = b'<a href="/a/register?start=%d">x</a>'
    assert starts_in(link % 5 + b" " * MAX_PAGE_BYTES + link % 6, "/a/register") == [5]
    short = b"".join(b'<a href="/a?%d">' % number for number in range(MAX_LINKS))
    assert starts_in(link % 5 + short + link % 6, "/a/register") == [5]


def offered(kiosk: Kiosk) -> Booking:
    """What the kiosk knows of the desk once it has looked."""
    browser, state = Browser(kiosk.address), {"number": None}
    while not kiosk.hub.shown.booking.is_reached:
        state = browser.state(state["number"])
    return kiosk.hub.shown.booking


@pytest.mark.parametrize("odd", [b"<![x]>", b"<" * 900_000, b'<a href="/juniper-flats/register?start=999999999999999">x</a>'])
def test_ok__a_desk_with_an_odd_page_is_booked_at_all_the_same(
    desk: PlayedDesk, start: Callable[..., Kiosk], caplog: pytest.LogCaptureFixture, odd: bytes
) -> None:
    """No part of the kiosk dies of it; the button stands there, and no time that is none."""
    desk.times = odd
    kiosk = start(book=desk.table)
    assert offered(kiosk) == Booking(is_reached=True)
    assert [record.msg for record in caplog.records if record.msg in {"component_failed", "times_unreadable"}] == []


def test_fail__a_page_that_cannot_be_read_is_named_once(
    desk: PlayedDesk, start: Callable[..., Kiosk], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong in reading it: no times, booking goes on, and the log says so once."""

    def broken(page: bytes, form: str) -> list[int]:
        raise AssertionError(form, page)

    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.01)
    monkeypatch.setattr(module, "TIMES_EVERY_S", 0.0)
    monkeypatch.setattr(module, "starts_in", broken)
    caplog.set_level(logging.WARNING, "tourlatch")
    kiosk = start(book=desk.table)
    assert offered(kiosk) == Booking(is_reached=True)
    browser = Browser(kiosk.address)
    while desk.times_asked < 4:
        browser.state()
    assert [record.msg for record in caplog.records if record.msg in {"times_unreadable", "component_failed"}] == ["times_unreadable"]


def test_ok__times_go_with_the_desk_and_come_back_with_it(
    play: Play, desk: PlayedDesk, start: Callable[..., Kiosk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ones of today by the agent's clock, at most six; none while the desk is lost; asked for anew when it is back."""
    monkeypatch.setattr(module, "PROBE_EVERY_S", 0.01)
    starts_ms = [NOON_MS + number * HOUR_MS // 2 for number in range(-2, 30)]
    desk.times = b"".join(b'<a href="%s?start=%d">x</a>' % (FORM.encode(), start_ms) for start_ms in starts_ms)
    monkeypatch.setattr("agent.kiosk.hub._wall_ms", lambda: NOON_MS)
    kiosk = start(book=desk.table)
    assert offered(kiosk) == Booking(True, tuple(starts_ms[3:9]))
    play(desk.stop())
    browser, state = Browser(kiosk.address), {"number": None}
    while kiosk.hub.shown.booking.is_reached:
        state = browser.state(state["number"])
    assert kiosk.hub.shown.booking == Booking()
    assert browser.state()["can_book"] is False
    desk.times = b'<a href="%s?start=%d">x</a>' % (FORM.encode(), NOON_MS + HOUR_MS)
    play(desk.start())
    assert offered(kiosk) == Booking(True, (NOON_MS + HOUR_MS,))


def test_fail__while_nobody_looks_at_the_desk_nothing_is_offered(
    play: Play, desk: PlayedDesk, start: Callable[..., Kiosk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kills the part that looks: the button goes, and comes back with it."""
    kiosk = start(book=desk.table)
    offered(kiosk)
    book = kiosk._book
    assert book is not None

    async def broken() -> bool:
        raise RuntimeError("whatever it is")

    monkeypatch.setattr(book, "_is_reached", broken)
    with pytest.raises(RuntimeError):
        play(book.run())
    assert kiosk.hub.shown.booking == Booking()

"""A prospect's whole way in a real browser, without JavaScript, to a real door: link, time, form, code, relay, visit; moved, cancelled."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from agent.daemon.doorman import REPEAT_S
from agent.demo.stage import Stage

Play = Callable[..., Any]
LINK = "/juniper-flats?utm_knock_source_title=Rent%20%26%20Roost"
SOURCE = "Rent & Roost"


def code_on(page: Page) -> str:
    """What a reader of QR codes sees in a photograph of the screen (asked for bars too, it finds some in small print now and then)."""
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L")
    only_qr = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    (found,) = zxingcpp.read_barcodes(picture, formats=only_qr)
    return str(found.text)


def pin_on(page: Page) -> str:
    """The PIN that a person reads."""
    return re.sub(r"\D", "", page.locator(".pin [aria-hidden]").inner_text())


def book(page: Page, site: Stage, who: str, phone: str, *, number: int = 0) -> None:
    """From the link on the property's website to the confirmation."""
    page.goto(site.desk.url + LINK)
    page.get_by_role("link", name="See free times").click()
    page.locator('a[href*="/register"]').nth(number).click()
    page.get_by_label("First name").fill(who)
    page.get_by_label("Last name").fill("O'Hara <b>")
    page.get_by_label("Email").fill(f"{who.lower()}@example.com")
    page.get_by_label("Phone").fill(phone)
    page.get_by_label("204 B").check()
    page.locator("main form button").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your tour is booked")


def heard(site: Stage, play: Play) -> None:
    """Wait until the door heard what the desk knows."""
    newest = site.desk.newest_cursor()
    for _ in range(400):
        status = play(site.ask({"do": "status"}))
        if status["doors"]["front"]["feed"]["cursor"] == newest:
            return
        play(asyncio.sleep(0.025))
    pytest.fail("the door did not hear of the desk's news")


def delivered(site: Stage, play: Play) -> list[dict[str, Any]]:
    """The visits that Knock has, once nothing waits in the outbox any more."""
    for _ in range(400):
        outbox = play(site.ask({"do": "status"}))["outbox"]
        if not any(outbox[state] for state in ("due", "sending", "in_doubt", "dead")):
            return list(play(site.admin("GET", "/received?route=visit")))
        play(asyncio.sleep(0.025))
    pytest.fail("the outbox is not empty")


def shown(site: Stage, play: Play, text: str) -> str:
    """What becomes of a code or PIN at the door: `opened`, or the reason of the refusal."""
    scanned_ns = site.scan(text)
    event = play(site.event("admitted", "refused"))
    if event["event"] == "refused":
        return str(event["reason"])
    released_ns = play(site.relay_record("released", scanned_ns))
    play(site.relay_record("locked", released_ns))
    play(site.event("locked"))
    return "opened"


def test_ok__from_the_link_to_the_visit(site: Stage, play: Play, phone: Page) -> None:
    """The code is read off the screen's pixels; it opens; so does the PIN; moved, the old ones are dead; cancelled, all are."""
    book(phone, site, "Ada", "(415) 555-2671")
    code, pin = code_on(phone), pin_on(phone)
    heard(site, play)
    assert shown(site, play, code) == "opened"
    assert shown(site, play, pin) == "opened"
    visit = delivered(site, play)[-1]
    assert (visit["body"]["sourceTitle"], visit["body"]["unitNames"], visit["body"]["isSelfGuided"]) == (SOURCE, ["204 B"], True)
    request = play(site.admin("GET", "/received?route=request"))[-1]
    assert (request["body"]["sourceTitle"], request["body"]["tourType"]) == (SOURCE, "SELF_GUIDED")
    assert request["body"]["profile"]["lastName"] == "O'Hara <b>"

    phone.get_by_role("link", name="Move to another time").click()
    phone.locator('a[href*="start="]').first.click()
    phone.get_by_role("button", name="Move the tour").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Your tour is booked")
    moved_code, moved_pin = code_on(phone), pin_on(phone)
    assert (moved_code == code, moved_pin == pin) == (False, False)
    heard(site, play)
    assert [shown(site, play, text) for text in (code, pin)] == ["superseded", "wrong_pin"]
    assert shown(site, play, moved_code) == "opened"

    phone.get_by_role("link", name="Cancel the tour").click()
    phone.get_by_role("button", name="Cancel the tour").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("Your tour is cancelled")
    heard(site, play)
    play(asyncio.sleep(REPEAT_S))  # the same code again within this time would be the same scan
    assert [shown(site, play, text) for text in (moved_code, moved_pin, code)] == ["cancelled", "wrong_pin", "superseded"]


def test_ok__a_double_click_and_a_reload_book_once(site: Stage, play: Play, scripted: Page) -> None:
    """Whatever fingers do, Knock is asked once."""
    before = len(play(site.admin("GET", "/received?route=request")))
    scripted.goto(site.desk.url + LINK)
    scripted.get_by_role("link", name="See free times").click()
    scripted.locator('a[href*="/register"]').nth(2).click()
    scripted.get_by_label("First name").fill("Dora")
    scripted.get_by_label("Last name").fill("Double")
    scripted.get_by_label("Email").fill("dora@example.com")
    scripted.get_by_label("Phone").fill("(415) 555-2672")
    scripted.locator("main form button").last.dblclick()
    expect(scripted.get_by_role("heading", level=1)).to_have_text("Your tour is booked")
    code = code_on(scripted)
    scripted.reload()
    assert code_on(scripted) == code
    assert len(play(site.admin("GET", "/received?route=request"))) == before + 1


def test_refused__what_is_wrong_stands_beside_its_field(site: Stage, play: Play, phone: Page) -> None:
    """Nothing that was typed is lost, and nothing was asked of Knock."""
    before = len(play(site.admin("GET", "/received?route=request")))
    phone.goto(site.desk.url + LINK)
    phone.get_by_role("link", name="See free times").click()
    phone.locator('a[href*="/register"]').first.click()
    phone.get_by_label("First name").fill("Ada")
    phone.get_by_label("Last name").fill("Example")
    phone.get_by_label("Email").fill("ada@@example")
    phone.get_by_label("Phone").fill("12")
    phone.locator("main form button").last.click()
    for field in ("Email", "Phone"):
        box = phone.get_by_label(field)
        expect(box).to_have_attribute("aria-invalid", "true")
    expect(phone.get_by_label("First name")).to_have_value("Ada")
    expect(phone.get_by_label("Email")).to_have_value("ada@@example")
    assert len(play(site.admin("GET", "/received?route=request"))) == before

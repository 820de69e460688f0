"""Nobody sees or does anything without a session; a wrong log-in tells nothing and is counted."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agent.core.booking import BookingState
from agent.desk import staff_accounts
from agent.desk.pages.staff_session import AT_ONCE, COOKIE
from agent.desk.secrets import token_hash
from tests.desk.pages.page import Form
from tests.desk.staff.office import NAME, PASSWORD, PLACE, StaffSite, cookie_in

PATHS = ("/staff", PLACE, f"{PLACE}/doors", f"{PLACE}/letters", f"{PLACE}/tour/0011223344556677", f"{PLACE}/tour/0011223344556677/move")


def is_sent_to_login(answer: httpx.Response) -> bool:
    """Whether an answer leads to the log-in and nothing else."""
    return answer.status_code == 303 and answer.headers["location"] == "/staff/login" and not answer.content


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("cookie", ["", "nonsense", "a" * 43, "ü", "a; b"])
def test_refused__without_a_session_every_page_leads_to_the_login(site: StaffSite, path: str, cookie: str) -> None:
    """No cookie, and a forged one, see the same."""
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    assert is_sent_to_login(site.bare(path, **headers))


def test_ok__the_session_is_one_cookie_that_no_script_and_no_other_path_sees(site: StaffSite) -> None:
    """Secure; HttpOnly; SameSite=Lax; Path=/staff, for as long as the settings say, with a token of 256 bits."""
    answer = site.login()
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff")
    (written,) = answer.headers.get_list("set-cookie")
    assert {part.strip() for part in written.split(";")[1:]} == {"Secure", "HttpOnly", "SameSite=Lax", "Path=/staff", f"Max-Age={8 * 3600}"}
    assert len(site.cookie) == 43
    assert site.get(PLACE).heading.startswith("Today")


def test_ok__only_the_tokens_hash_is_in_the_store(inside: StaffSite) -> None:
    """Who reads the file has no session."""
    assert inside.store.session(token_hash(inside.cookie), inside.now_ms) == NAME
    files = list(inside.accounts.parent.glob("desk.db*"))
    assert files
    assert not [path for path in files if inside.cookie.encode() in path.read_bytes()]


def test_ok__two_logins_are_two_sessions_and_a_new_one_ends_the_browsers_old_one(site: StaffSite) -> None:
    """Two members at two browsers do not disturb each other; a token that was there before a log-in is worth nothing after it."""
    site.login()
    first = site.cookie
    site.login()
    second = site.cookie
    assert first != second
    assert not is_sent_to_login(site.bare(PLACE, Cookie=f"{COOKIE}={first}"))
    site.cookie = ""
    login = site.get("/staff/login").form("Log in").put(name=NAME, password=PASSWORD)
    third = cookie_in(site.post(login, Cookie=f"{COOKIE}={second}"))
    assert third not in {"", first, second}
    assert is_sent_to_login(site.bare(PLACE, Cookie=f"{COOKIE}={second}"))


def test_refused__a_session_ends_after_its_hours(inside: StaffSite) -> None:
    """A browser that is left open in the office is logged out."""
    inside.later(7.9)
    inside.get(PLACE)
    inside.later(0.2)
    assert is_sent_to_login(inside.bare(PLACE))


def test_refused__a_session_ends_at_the_logout(inside: StaffSite) -> None:
    """The cookie goes, and the token is dead wherever else it is."""
    form = Form(inside.get(PLACE).root.one("form", action="/staff/logout"))
    answer = inside.post(form)
    assert answer.headers["location"] == "/staff/login"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert is_sent_to_login(inside.bare(PLACE))


def test_refused__a_logout_without_the_sessions_mark_does_nothing(inside: StaffSite) -> None:
    """Another website cannot even log staff out."""
    form = Form(inside.get(PLACE).root.one("form", action="/staff/logout")).put(guard="x")
    inside.send(form, 403)
    inside.get(PLACE)


@pytest.mark.parametrize(
    ("name", "password"), [(NAME, "wrong password"), ("nobody", PASSWORD), ("nobody", ""), ("", ""), ("x" * 5000, "y" * 5000)]
)
def test_refused__a_wrong_login_does_not_say_what_was_wrong(site: StaffSite, name: str, password: str) -> None:
    """Name or password: the same page, to the letter."""
    answer = site.login(name, password)
    assert answer.status_code == 403
    assert not site.cookie
    assert answer.text == site.login("another", "try of mine").text
    assert "Name or password is wrong." in answer.text


def test_refused__the_page_repeats_nothing_that_was_typed(site: StaffSite) -> None:
    """Not the password, nor what people type into the wrong field."""
    answer = site.login("<script>alert(1)</script>", "my secret")
    assert "script>alert" not in answer.text
    assert "my secret" not in answer.text


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/staff/logout"])
def test_refused__nothing_decides_where_a_login_leads(site: StaffSite, target: str) -> None:
    """There is no open redirect: it leads to the staff's start."""
    form = site.get("/staff/login").form("Log in").put(name=NAME, password=PASSWORD, next=target)
    form.action += f"?next={target}"
    assert site.post(form).headers["location"] == "/staff"


def test_refused__a_login_from_another_website(site: StaffSite) -> None:
    """Nobody can be logged in as somebody else behind their back."""
    form = site.get("/staff/login").form("Log in").put(name=NAME, password=PASSWORD)
    for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = site.post(form, **headers)
        assert answer.status_code == 403
        assert not cookie_in(answer)


def test_refused__too_many_tries_from_an_address(make: Callable[..., StaffSite]) -> None:
    """Guessing many names from one place ends, also with the right password, until an hour has passed."""
    site = make(limits={"wrong_logins": 3})
    for number in range(3):
        assert site.login(f"name{number}", "guess").status_code == 403
    answer = site.login()
    assert (answer.status_code, site.cookie) == (429, "")
    assert "There were too many wrong log-ins. Please wait an hour." in answer.text
    assert "call the leasing office" not in answer.text
    site.later(1.2)
    assert site.login().status_code == 303


def test_refused__too_many_tries_at_a_name_from_anywhere(make: Callable[..., StaffSite]) -> None:
    """Guessing one name from many places ends, too, after ten times as many tries; an unknown name ends the same way."""
    site = make(limits={"wrong_logins": 1}, listen={"trusted_proxies": ["127.0.0.1/32"]})

    def tried(name: str, number: int) -> int:
        form = site.get("/staff/login").form("Log in").put(name=name, password="guess")
        return site.post(form, X_Forwarded_For=f"192.0.2.{number}").status_code

    assert [tried(NAME, number) for number in range(11)] == [403] * 10 + [429]
    assert [tried("nobody", number) for number in range(20, 31)] == [403] * 10 + [429]


def test_ok__a_login_forgives_earlier_mistakes(make: Callable[..., StaffSite]) -> None:
    """An office of many behind one address does not lock itself out by logging in."""
    site = make(limits={"wrong_logins": 3})
    for _ in range(4):
        assert site.login(NAME, "mistyped it").status_code == 403
        assert site.login().status_code == 303


def test_fail__logins_that_take_long_keep_no_page_waiting(site: StaffSite) -> None:
    """A burst of log-ins whose passwords are looked at (here: a file of accounts that hangs) leaves threads for everything else."""
    site.run(_few_threads())
    form = site.get("/staff/login").form("Log in").put(name=NAME, password=PASSWORD)
    site.accounts.unlink()
    os.mkfifo(site.accounts, 0o600)
    with ThreadPoolExecutor(8) as browsers:
        sent = [browsers.submit(site.post, form) for _ in range(8)]
        try:
            time.sleep(0.3)
            assert not any(one.done() for one in sent)
            assert site.client.get("/healthz", timeout=10).status_code == 200
        finally:
            while not all(one.done() for one in sent):  # whoever reads it comes to its end
                os.close(os.open(site.accounts, os.O_RDWR | os.O_NONBLOCK))
                time.sleep(0.01)
    assert {one.result().status_code for one in sent} == {403}


async def _few_threads() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(AT_ONCE + 1))


def test_fail__a_refusal_before_the_page_is_in_the_staffs_words(site: StaffSite) -> None:
    """A store that is away, and a path that is nobody's: no member of staff is told to call the office."""
    assert site.get("/staff/nothing", 404).links() == {"Back to the start": "/staff"}
    assert site.get("/staffing", 404).links() == {"Back to the start": "/"}
    site.cookie = "a" * 43
    site.store.close()
    page = site.get("/staff", 503)
    assert "The desk's log says why." in page.main.text
    assert page.links() == {"Back to the start": "/staff"}


def test_refused__accounts_that_cannot_be_used_let_nobody_in(site: StaffSite) -> None:
    """A damaged or readable file is said to be, and is no way in; without a file there is nobody."""
    site.accounts.chmod(0o644)
    answer = site.login()
    assert (answer.status_code, site.cookie) == (503, "")
    assert str(site.accounts) not in answer.text
    site.accounts.unlink()
    assert site.login().status_code == 403


def test_refused__a_removed_accounts_name_does_not_log_in(site: StaffSite) -> None:
    """The file counts as it is now."""
    staff_accounts.remove(site.accounts, NAME)
    assert site.login().status_code == 403


ACTIONS = ("cancel", "resend", "settle", "move")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("fault", ["no session", "no mark", "another session's mark", "another website", "no form"])
def test_refused__a_forged_form_does_nothing(inside: StaffSite, action: str, fault: str) -> None:
    """Without the session, its own mark, or our page, the tour stands as it was."""
    booking = inside.booked()
    mark = Form(inside.get(PLACE).root.one("form", action="/staff/logout")).value("guard")
    fields = {"guard": mark, "outcome": "not_booked", "start": str(booking.window.start_ms + 3_600_000), "submission": "s"}
    headers = {"Cookie": f"{COOKIE}={inside.cookie}"}
    if fault == "no session":
        headers = {}
    elif fault == "no mark":
        del fields["guard"]
    elif fault == "another session's mark":
        inside.login()
    elif fault == "another website":
        headers["Sec-Fetch-Site"] = "cross-site"
    else:
        headers["Content-Type"] = "text/plain"
    if fault == "another session's mark":
        headers = {"Cookie": f"{COOKIE}={inside.cookie}"}
    answer = inside.client.post(f"{PLACE}/tour/{booking.booking_id}/{action}", data=fields, headers=headers)
    if fault == "no session":
        assert is_sent_to_login(answer)
    else:
        assert answer.status_code == (400 if fault == "no form" else 403)
    assert inside.row(booking) == booking
    assert booking.state is BookingState.CONFIRMED


@pytest.mark.parametrize("path", [f"{PLACE}/tour/0011223344556677/cancel", "/staff/logout", f"{PLACE}/letters/retry"])
def test_refused__nothing_is_done_by_a_get(inside: StaffSite, path: str) -> None:
    """A link cannot act."""
    assert inside.bare(path).status_code == 405
    inside.get(PLACE)


def test_ok__no_page_of_the_staff_is_kept_by_anybody(inside: StaffSite) -> None:
    """Neither by the browser nor on the way."""
    for path in (PLACE, f"{PLACE}/doors", f"{PLACE}/letters"):
        assert inside.bare(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/staff/at/nowhere", f"{PLACE}/tour/zzz", f"{PLACE}/tour/zzz/move", f"{PLACE}/tour/%00"])
def test_refused__an_unknown_property_or_tour(inside: StaffSite, path: str) -> None:
    """It is a page of the staff's own, with the way back."""
    page = inside.get(path, 404)
    assert page.heading == "This page does not exist"
    assert page.links() == {"Back to the start": "/staff"}

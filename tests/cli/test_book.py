"""`tourlatch availability`, `book`, `cancel`: the whole way to a code from a shell."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from agent import credentials
from agent.core import codes
from agent.core.tour import Standing, TourCode
from tests.cli.desk_site import SECOND, DeskSite, desk_site

__all__ = ["desk_site"]

Call = Callable[..., tuple[int, str, str]]
ADA = ("--first-name", "Ada", "--last-name", "Lovelace", "--email", "ada@example.com", "--phone", "(310) 555-0100")


def fault(site: DeskSite, route: str, **facts: Any) -> None:  # noqa: ANN401 - the fault's own
    """Something goes wrong at Knock."""
    address = f"{site.sandbox.admin_url}/faults/{route}"
    request = urllib.request.Request(address, json.dumps(facts).encode(), {"Content-Type": "application/json"}, method="PUT")  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - loopback
        pass


def knows(site: DeskSite, path: str = "/state") -> Any:  # noqa: ANN401 - JSON
    """What Knock has."""
    with urllib.request.urlopen(site.sandbox.admin_url + path, timeout=10) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())


def times(call: Call, site: DeskSite) -> list[str]:
    """The free times, as `--json` lists them."""
    status, out, err = call("availability", "-c", site.config, "--json")
    assert (status, err) == (0, "")
    found: list[str] = json.loads(out)["starts"]
    return found


def booked(call: Call, site: DeskSite, number: int = 0, *more: str) -> dict[str, Any]:
    """Book the `number`-th free time."""
    status, out, err = call("book", "-c", site.config, "--start", times(call, site)[number], *ADA, *more, "--json")
    assert (status, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_availability__lists_knocks_times_on_the_propertys_clock(call: Call, desk_site: DeskSite) -> None:
    """Each with the offset, and in words."""
    found = times(call, desk_site)
    assert found == sorted(found)
    assert all(time.endswith(("-07:00", "-08:00")) for time in found)
    status, out, _ = call("availability", "-c", desk_site.config, "--community", "juniper-flats")
    assert status == 0
    assert [line.split("  ")[0] for line in out.splitlines()] == found


@pytest.mark.parametrize(("named", "status"), [("1001", 0), ("larch-court", 1), (None, 1), ("nowhere", 1)])
def test_availability__needs_to_know_which_community(call: Call, desk_site: DeskSite, named: str | None, status: int) -> None:
    """With several, one must be named by id or slug; one that Knock does not know is a sentence."""
    desk_site.configure(after=SECOND)
    found, out, err = call("availability", "-c", desk_site.config, *(["--community", named] if named else []))
    assert found == status
    assert bool(out) == (status == 0)
    assert err.startswith("tourlatch: ") == (status == 1)


def test_book__prints_a_code_that_a_door_reads(call: Call, desk_site: DeskSite) -> None:
    """Code, PIN and link are printed, the code is genuine, and Knock has the appointment under its title."""
    found = booked(call, desk_site, 0, "--unit", "305", "--source-title", "A Phone Call")
    read = codes.read(found["code"].encode(), codes.keyring([key.key for key in credentials.list_keys(desk_site.folder / "keys")]))
    assert isinstance(read, TourCode)
    assert (read.appointment_id, read.unit_names, found["doors"]) == (found["appointment_id"], ("305",), ["front", "annex"])
    assert (found["state"], len(found["pin"])) == ("confirmed", 8)
    assert found["manage_link"].startswith("https://tours.example.com/tour/")
    [asked] = knows(desk_site, "/received?route=request")
    assert asked["body"]["sourceTitle"] == "A Phone Call"
    assert asked["body"]["profile"]["phone"] == "+13105550100"


def test_book__in_words(call: Call, desk_site: DeskSite) -> None:
    """For a person: everything on a line of its own."""
    status, out, err = call("book", "-c", desk_site.config, "--start", times(call, desk_site)[0], *ADA)
    assert (status, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()] == ["Appointment", "When", "Doors", "Code", "PIN", "Manage link"]
    assert "Main entrance" in out


@pytest.mark.parametrize("start", ["noon", "2026-06-01T10:00:00", "1969-01-01T10:00:00-07:00", "9999-12-31T10:00:00-07:00"])
def test_book__refuses_what_is_no_start(call: Call, desk_site: DeskSite, start: str) -> None:
    """A time without offset, before the epoch or beyond the calendar is wrong usage; nothing is asked."""
    status, out, err = call("book", "-c", desk_site.config, "--start", start, *ADA)
    assert (status, out) == (2, "")
    assert "--start" in err
    assert knows(desk_site, "/received") == []


def test_book__refuses_a_person_that_cannot_be_reached(call: Call, desk_site: DeskSite) -> None:
    """Every problem at once, in sentences, without what was typed."""
    start = times(call, desk_site)[0]
    wrong = ("--first-name", "", "--last-name", "x" * 61, "--email", "nobody", "--phone", "123")
    status, out, err = call("book", "-c", desk_site.config, "--start", start, *wrong)
    assert (status, out) == (1, "")
    assert err.splitlines() == [
        "tourlatch: the first name is missing",
        "tourlatch: the last name is too long",
        "tourlatch: the email is no email address",
        "tourlatch: the phone is no phone number",
    ]
    assert knows(desk_site, "/received?route=request") == []


def test_book__a_time_that_is_taken_is_not_booked(call: Call, desk_site: DeskSite) -> None:
    """Exit status 1 and a sentence, and Knock is not asked."""
    start = times(call, desk_site)[0]
    booked(call, desk_site)
    ben = ("--first-name", "Ben", "--last-name", "Britten", "--email", "ben@example.com", "--phone", "+13105550101")
    status, out, err = call("book", "-c", desk_site.config, "--start", start, *ben)
    assert (status, out) == (1, "")
    assert err == "tourlatch: it is not booked. The time is no longer free.\n"
    status, out, err = call("book", "-c", desk_site.config, "--start", start, *ben, "--json")
    told = json.loads(out)
    assert (status, told["state"], told["booking_id"], told["manage_link"]) == (1, "refused", None, None)
    assert "(booking" not in err
    assert len(knows(desk_site, "/received?route=request")) == 1


def test_book__a_unit_that_is_none(call: Call, desk_site: DeskSite) -> None:
    """A sentence, and no request."""
    status, _, err = call("book", "-c", desk_site.config, "--start", times(call, desk_site)[0], *ADA, "--unit", "999")
    assert (status, "units" in err) == (1, True)
    assert knows(desk_site, "/received?route=request") == []


@pytest.mark.parametrize("title", ["Phone\nX-Evil: 1", "\x00", "x" * 201, "a\u202eb"])
def test_book__a_source_title_that_no_door_takes(call: Call, desk_site: DeskSite, title: str) -> None:
    """Wrong usage, with a sentence that does not repeat it; nothing is booked."""
    status, out, err = call("book", "-c", desk_site.config, "--start", times(call, desk_site)[0], *ADA, "--source-title", title)
    assert (status, out) == (2, "")
    assert "at most 200 visible characters" in err
    assert title not in err
    assert knows(desk_site, "/received?route=request") == []


@pytest.mark.parametrize(("title", "told"), [("x" * 200, "x" * 200), (" Phone ", "Phone"), ("  ", "Property Website")])
def test_book__a_source_title_as_the_pages_take_it(call: Call, desk_site: DeskSite, title: str, told: str) -> None:
    """Two hundred characters, outer space gone; an empty one is the property's own."""
    booked(call, desk_site, 0, "--source-title", title)
    [asked] = knows(desk_site, "/received?route=request")
    assert asked["body"]["sourceTitle"] == told


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"kind": "lost"}, "do not book again"),
        ({"kind": "status", "status": 429}, "try again"),
        ({"kind": "form", "booking_status": "X"}, "no code yet"),
    ],
)
def test_book__what_is_not_confirmed_has_no_code(call: Call, desk_site: DeskSite, facts: dict[str, Any], word: str) -> None:
    """Unknown, unsent and waiting each say what to do; the booking's id is told, and JSON says the state."""
    start = times(call, desk_site)[0]
    fault(desk_site, "request", **facts)
    status, out, err = call("book", "-c", desk_site.config, "--start", start, *ADA, "--json")
    told = json.loads(out)
    assert (status, told["code"], told["pin"]) == (1, None, None)
    assert word in err
    assert told["booking_id"] in err


def test_book__knock_out_of_reach_is_a_sentence(call: Call, desk_site: DeskSite) -> None:
    """Nothing is booked, nothing is a traceback."""
    start = times(call, desk_site)[0]
    fault(desk_site, "*", kind="refuse")
    for words in (("availability",), ("book", "--start", start, *ADA)):
        status, out, err = call(words[0], "-c", desk_site.config, *words[1:])
        assert (status, out) == (1, "")
        assert "cannot be" in err


@pytest.mark.parametrize("by", ["appointment_id", "booking_id"])
def test_cancel__by_either_id(call: Call, desk_site: DeskSite, by: str) -> None:
    """Dead for doors at once, beside a desk on the same store; Knock hears of it from the running desk's queue."""
    found = booked(call, desk_site)
    with closing(desk_site.store()) as store:
        status, out, err = call("cancel", "-c", desk_site.config, found[by])
        assert (status, out, err) == (0, "Cancelled.\n", "")
        appointment = store.appointment(found["appointment_id"])
        assert appointment is not None
        assert appointment.standing is Standing.CANCELLED
        assert [job.subject for job in store.due_jobs(2**50, 9)] == [found["appointment_id"]]
    again = call("cancel", "-c", desk_site.config, found[by], "--json")
    assert again[0] == 0
    assert json.loads(again[1])["state"] == "cancelled"


@pytest.mark.parametrize("named", ["999", "0" * 16, "'; --", "é"])
def test_cancel__of_nothing(call: Call, desk_site: DeskSite, named: str) -> None:
    """An id of nobody is a sentence and status 1."""
    status, out, err = call("cancel", "-c", desk_site.config, named)
    assert (status, out) == (1, "")
    assert err == "tourlatch: there is no such appointment in the roster\n"


@pytest.mark.parametrize(("name", "text"), [("desk-secret", "short"), ("appointment-key", "")])
def test_book__a_secret_that_cannot_be_one(call: Call, desk_site: DeskSite, name: str, text: str) -> None:
    """Too short or empty: the file is named, never what is in it."""
    desk_site.secret(name, text)
    status, _, err = call("availability", "-c", desk_site.config)
    assert status == 1
    assert name in err
    assert "short" not in err.replace("shortest", "")

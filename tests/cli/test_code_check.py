"""`tourlatch code check`: what a door would say, from its configuration, its keys and its store, without opening it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.core.tour import RosterEntry, Standing
from agent.store import files, upkeep
from agent.store.journal import connect, transaction
from tests.store.v2 import write_v2

Call = Callable[..., tuple[int, str, str]]
TIMES = ("--start", "2026-03-31T15:30:00-07:00", "--end", "2026-03-31T15:45:00-07:00")
IN_TIME = "2026-03-31T15:35:00-07:00"
CALL = "Help: +1 555 0100."


@pytest.fixture
def issue(call: Call, site: Path) -> Callable[..., dict[str, Any]]:
    """A code for appointment 17 at the front door; `issue("--door", "back")` adds a door."""

    def make(*more: str, community: str = "1001", door: str = "front", keys: Path = site / "keys") -> dict[str, Any]:
        words = ("--community", community, "--appointment", "17", "--prospect", "18", "--door", door, *TIMES, *more)
        status, out, _ = call("code", "issue", "-f", keys, "--json", *words)
        assert status == 0
        made = json.loads(out)
        assert isinstance(made, dict)
        return made

    return make


@pytest.fixture
def check(call: Call, site: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Exit status and the one JSON value of `code check --json`, at a time within the tour unless another is given."""

    def ask(code: str, at: str = IN_TIME, door: str = "front") -> tuple[int, dict[str, Any]]:
        status, out, err = call("code", "check", "-c", site / "agent.toml", "--door", door, "--at", at, "--json", "--", code)
        assert err == ""
        return status, json.loads(out)

    return ask


@pytest.fixture
def store(site: Path) -> Callable[..., None]:
    """Write to the site's store: `store(sql, parameters)` or `store(entry)` for news of an appointment."""
    path = site / "journal.db"

    def write(what: str | RosterEntry, parameters: tuple[object, ...] = ()) -> None:
        files.bring_up_to_date(path)
        with closing(connect(path, synchronous="OFF")) as conn, transaction(conn):
            if isinstance(what, RosterEntry):
                upkeep.apply_roster(conn, [what], 0)
            else:
                conn.execute(what, parameters)

    return write


def denied(reason: str, prospect: str, operator: str) -> tuple[int, dict[str, Any]]:
    """The whole answer to a code that is refused."""
    return 1, {"granted": False, "reason": reason, "prospect": f"{prospect} {CALL}", "operator": operator}


GRANTED = (0, {"granted": True})
OVER = denied(
    "too_late",
    "This code stopped working at {}. Book a new time on the website.",
    "The code is used after its window and grace ended, at {}.",
)


def at(answer: tuple[int, dict[str, Any]], time: str) -> tuple[int, dict[str, Any]]:
    """The answer with a time in its sentences."""
    return answer[0], {name: value.format(time) if isinstance(value, str) else value for name, value in answer[1].items()}


def test_granted__ends_with_0_and_says_when(call: Call, site: Path, issue: Callable[..., dict[str, Any]]) -> None:
    """A good code ends with 0 and the time in the property's zone, and opens nothing."""
    words = ("-c", site / "agent.toml", "--door", "front", "--at", "2026-03-31T22:35:00Z", "--", issue()["code"])
    assert call("code", "check", *words) == (0, "Granted at Tuesday, March 31 at 3:35 PM.\n", "")
    assert not (site / "relay-front").exists()
    assert not (site / "journal.db").exists()


def test_denied__ends_with_1_and_both_sentences(call: Call, site: Path) -> None:
    """A refused code ends with 1 and tells reason, prospect's and operator's sentence on stdout, since that is the answer."""
    status, out, err = call("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", IN_TIME, "HTTPS://EXAMPLE.COM")
    prospect = f"This is not a tour code. Show the code from your confirmation, with the screen bright and flat. {CALL}"
    operator = "Something was scanned that is no tour code."
    assert (status, err) == (1, "")
    assert out == f"Denied: unreadable\n  to the prospect: {prospect}\n  to the operator: {operator}\n"


@pytest.mark.parametrize(
    ("time", "answer"),
    [
        (
            "2026-03-31T13:29:59-07:00",
            denied(
                "too_early",
                "You are early. This code opens the door from 1:30 PM.",
                "The code is used before its window and grace begin, at 1:30 PM.",
            ),
        ),
        ("2026-03-31T13:30:00-07:00", GRANTED),
        ("2026-03-31T23:15:00+01:00", GRANTED),
        ("2026-03-31T16:15:00-07:00", GRANTED),
        ("2026-03-31T16:15:00.001-07:00", at(OVER, "4:15 PM")),
        ("2027-01-01T00:00:00Z", at(OVER, "Tuesday, March 31 at 4:15 PM")),
    ],
)
def test_at__another_time_decides_as_then(
    time: str, answer: object, issue: Callable[..., dict[str, Any]], check: Callable[..., object]
) -> None:
    """`--at` decides for that instant to the millisecond, with the configured grace at both ends."""
    assert check(issue()["code"], at=time) == answer


def test_now__is_the_default(call: Call, site: Path, issue: Callable[..., dict[str, Any]]) -> None:
    """Without `--at` it is decided for now, when a tour of the past is over."""
    status, out, err = call("code", "check", "-c", site / "agent.toml", "--door", "front", "--json", "--", issue()["code"])
    assert (status, json.loads(out), err) == (*at(OVER, "Tuesday, March 31 at 4:15 PM"), "")


def test_denied__elsewhere(issue: Callable[..., dict[str, Any]], check: Callable[..., object]) -> None:
    """A code for another door or another property is refused, and the right doors are named."""
    wrong_door = "This code opens another door: pool or roof."
    operator = "The code is genuine, but not for this door; it opens pool or roof."
    assert check(issue("--door", "roof", door="pool")["code"]) == denied("wrong_door", wrong_door, operator)
    elsewhere = "This code is for another property. Check the address in your confirmation."
    assert check(issue(community="1002")["code"]) == denied("wrong_community", elsewhere, "The code is genuine, but for another community.")


def test_denied__what_the_store_has_heard(
    issue: Callable[..., dict[str, Any]], check: Callable[..., object], store: Callable[..., None]
) -> None:
    """A code is granted while the store has heard nothing against it, and refused once it was cancelled."""
    code = issue()["code"]
    store(RosterEntry("17", Standing.CONFIRMED))
    store(RosterEntry("99", Standing.CANCELLED))
    assert check(code) == GRANTED
    store(RosterEntry("17", Standing.CANCELLED))
    cancelled = "This tour was cancelled. Book a new time on the website."
    assert check(code) == denied("cancelled", cancelled, "The appointment was cancelled.")


def test_denied__the_older_of_two_codes(
    issue: Callable[..., dict[str, Any]], check: Callable[..., object], store: Callable[..., None]
) -> None:
    """When the desk has named the one code that is alive, that one is granted and an older one is refused."""
    old, alive = issue(), issue()
    store(RosterEntry("17", Standing.CONFIRMED, alive["code_id"]))
    assert check(alive["code"]) == GRANTED
    moved = "Your tour was moved and you have a newer code. Open the latest confirmation."
    assert check(old["code"]) == denied("superseded", moved, "The appointment was moved, or its code made anew; this is the old code.")


def test_denied__used_up(issue: Callable[..., dict[str, Any]], check: Callable[..., object], store: Callable[..., None]) -> None:
    """After as many admissions at this door as the rules allow a code is refused; other doors' and appointments' do not count."""
    code = issue()["code"]
    store("INSERT INTO used VALUES ('17', 'front', 4, NULL), ('17', 'back', 9, NULL), ('18', 'front', 9, NULL)")
    assert check(code) == GRANTED
    store("UPDATE used SET admissions = 5 WHERE appointment_id = '17' AND door = 'front'")
    used = "The code was used at this door as often as the rules allow."
    assert check(code) == denied("used_up", "This code was used as often as it may be.", used)


@pytest.fixture
def rules(site: Path) -> Callable[..., None]:
    """Write into the site's configuration: below [rules], and into its one door."""

    def write(more: str = "", door: str = "") -> None:
        path = site / "agent.toml"
        text = path.read_text("utf-8").replace("[[door]]\n", f"[[door]]\n{door}\n", 1)
        path.write_text(text.replace("[rules]\n", f"[rules]\n{more}\n", 1), "utf-8")
        assert (more in path.read_text("utf-8"), door in path.read_text("utf-8")) == (True, True)

    return write


def test_denied__out_of_hours_and_on_closed_days(
    issue: Callable[..., dict[str, Any]], check: Callable[..., object], rules: Callable[..., None]
) -> None:
    """A good code is refused while the door lets no tours in, and told when it does again."""
    code = issue()["code"]
    rules(door='hours = [{ opens = "09:00", closes = "15:35" }]\nclosed_on = ["2026-04-01"]')
    assert check(code, at="2026-03-31T15:34:59-07:00") == GRANTED
    again = "The next tours are let in from Thursday, April 2 at 9:00 AM."
    assert check(code, at="2026-03-31T15:35:00-07:00") == denied(
        "out_of_hours",
        f"This door does not let tours in at this time of the day. {again}",
        f"The code is good, but the time is outside of this door's hours. {again}",
    )


def test_denied__on_a_closed_day(issue: Callable[..., dict[str, Any]], check: Callable[..., object], rules: Callable[..., None]) -> None:
    """A closed day is told as such, and the next day as it begins."""
    rules(door="closed_on = [2026-03-31]")
    again = "The next tours are let in from Wednesday, April 1 at 12:00 AM."
    assert check(issue()["code"]) == denied(
        "closed_day",
        f"There are no tours at this door today. {again}",
        f"The code is good, but the day is one of those on which this door is closed. {again}",
    )


def test_denied__the_pause_and_anti_passback(
    issue: Callable[..., dict[str, Any]], check: Callable[..., object], store: Callable[..., None], rules: Callable[..., None]
) -> None:
    """What the store remembers of the last admission and of where the code is in counts as it would at the door."""
    code, ms = issue()["code"], 1_774_996_500_000  # 3:35 PM
    rules("reentry_pause_s = 90")
    store(f"INSERT INTO used VALUES ('17', 'front', 1, {ms - 30_000}), ('17', 'back', 1, {ms}), ('18', 'front', 1, {ms})")  # noqa: S608 - a number
    assert check(code) == denied(
        "reentry_pause",
        "This code opened this door a moment ago. It opens it again from 3:36 PM.",
        "The code was used at this door so shortly before that the rules ask for a pause, until 3:36 PM.",
    )
    assert check(code, at="2026-03-31T15:36:00-07:00") == GRANTED
    store(f"INSERT INTO presence VALUES ('17', 'gym', {ms}), ('18', 'back', {ms})")  # noqa: S608 - a number
    assert check(code, at="2026-03-31T15:36:00-07:00") == GRANTED
    rules('antipassback = "hard"')
    assert check(code, at="2026-03-31T15:36:00-07:00") == denied(
        "passback",
        "This code has let somebody in by another door. Use that door again.",
        "The code came in by another door and was not seen leaving: anti-passback refuses it until then, or until its time is over.",
    )


def test_granted__soft_anti_passback_is_told(
    *,
    call: Call,
    site: Path,
    issue: Callable[..., dict[str, Any]],
    check: Callable[..., object],
    store: Callable[..., None],
    rules: Callable[..., None],
) -> None:
    """A code that would be let in and journaled is granted, with the door by which it is in."""
    code = issue()["code"]
    rules('antipassback = "soft"')
    store("INSERT INTO presence VALUES ('17', 'gym', 1774996500000)")
    assert check(code) == (0, {"granted": True, "passback": "gym"})
    words = ("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", IN_TIME, "--", code)
    sentence = "Granted at Tuesday, March 31 at 3:35 PM. It is in already, by the door gym, which is journaled.\n"
    assert call(*words) == (0, sentence, "")


def test_denied__a_key_the_store_remembers_as_retired(
    issue: Callable[..., dict[str, Any]], check: Callable[..., object], store: Callable[..., None]
) -> None:
    """A key that this door once knew as retired stays retired, though its file says nothing of it any more."""
    made = issue()
    store("INSERT INTO retired_key VALUES (?, 0)", (made["key_id"],))
    old = "This code is out of date. Open the latest confirmation that you got from us."
    operator = "The code is signed with a key that was retired: send the prospect a new code."
    assert check(made["code"]) == denied("retired_key", old, operator)


def test_spaces__are_part_of_the_code(issue: Callable[..., dict[str, Any]], check: Callable[..., tuple[int, dict[str, Any]]]) -> None:
    """A space is a letter of the code: one that holds some is granted, and one more before the guard, or one less, is not overlooked."""
    code = next(code for code in (str(issue()["code"]) for _ in range(500)) if " " in code)
    assert check(code) == GRANTED
    for changed in (code[:-1] + " .", code + " ", " " + code, code.replace(" ", "", 1)):
        status, answer = check(changed)
        assert (status, answer["reason"]) == (1, "unreadable"), changed


def test_standard_input__by_pipe(site: Path, program: Callable[..., subprocess.Popen[str]], issue: Callable[..., dict[str, Any]]) -> None:
    """`-` takes the code from a pipe, and only its line's end is taken off."""
    words = ("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", IN_TIME, "--json", "-")
    for sent, answer in ((issue()["code"] + "\r\n", (0, None)), (" " + issue()["code"], (1, "unreadable"))):
        done = program(*words, stdin=subprocess.PIPE)
        out, err = done.communicate(sent, timeout=20)
        assert err == ""
        assert (done.returncode, json.loads(out).get("reason")) == answer


def test_mistakes__an_unknown_door_is_told_with_those_that_are_known(call: Call, site: Path) -> None:
    """A door that the configuration does not have ends with 1 and names those that it has."""
    for door in ("back", "", "Front"):
        sentence = f"tourlatch: there is no door {door!r}; there are: front\n"
        assert call("code", "check", "-c", site / "agent.toml", "--door", door, "TL1:.") == (1, "", sentence)


def test_mistakes__a_store_that_is_none_is_told(call: Call, site: Path, issue: Callable[..., dict[str, Any]]) -> None:
    """A store that cannot be read ends with 1 and its name, and is left as it is."""
    (site / "journal.db").write_bytes(b"no database " * 500)
    status, out, err = call("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", IN_TIME, "--", issue()["code"])
    assert (status, out, err) == (1, "", f"tourlatch: the store {site / 'journal.db'} cannot be read: file is not a database\n")
    assert (site / "journal.db").read_bytes() == b"no database " * 500


def test_mistakes__a_store_of_an_older_agent_is_told(call: Call, site: Path, issue: Callable[..., dict[str, Any]]) -> None:
    """A store that the upgraded agent has not taken over yet ends with 1 and says when it will be, and is left as it is."""
    write_v2(site / "journal.db")
    status, out, err = call("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", IN_TIME, "--", issue()["code"])
    assert (status, out) == (1, "")
    assert err == (
        f"tourlatch: the store {site / 'journal.db'} is of an older tourlatch (schema 2, this one reads 3): "
        "it is brought up to date when the agent next starts\n"
    )

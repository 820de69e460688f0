"""The door's ear: what it hears it keeps, whatever the desk does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core import pin
from agent.daemon.feed import MAX_PAGES
from agent.web import Answer, Call, json_answer
from tests.daemon.ear import Ear
from tests.daemon.played_desk import PIN_KEY, TOKEN, PlayedDesk, cancelled, confirmed

Play = Callable[[PlayedDesk, Ear], Awaitable[None]]
Listen = Callable[..., None]


@pytest.fixture
def listen(tmp_path: Path) -> Listen:
    """Play something with a desk and an ear, and stop both."""

    def run(play: Play, *, page: int = 200, **options: Any) -> None:  # noqa: ANN401 - an ear's
        async def all_of_it() -> None:
            desk = PlayedDesk(page=page)
            await desk.start()
            ear = Ear(tmp_path, desk, **options)
            try:
                await play(desk, ear)
            finally:
                await ear.close()
                await desk.stop()

        asyncio.run(all_of_it())

    return run


def test_ok__news_is_heard_and_kept(listen: Listen) -> None:
    """Confirmations, PINs and cancels arrive in order; the status says so, with the cursor."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        assert ear.feed.status == {"state": "never", "heard_s": None, "cursor": None, "applied": 0, "skipped": 0, "trouble": None}
        desk.tell(confirmed(1), confirmed(2))
        ear.start()
        await ear.heard(2)
        desk.tell(cancelled(1))
        await ear.heard(3)
        assert ear.feed.status == {"state": "fresh", "heard_s": 0, "cursor": "epoch.3", "applied": 3, "skipped": 0, "trouble": None}
        assert ear.rows("SELECT appointment_id, standing FROM roster") == [
            {"appointment_id": "1", "standing": "cancelled"},
            {"appointment_id": "2", "standing": "confirmed"},
        ]
        assert ear.journal.pin("front", pin.digest(PIN_KEY, "00000001")) is None
        assert (known := ear.journal.pin("front", pin.digest(PIN_KEY, "00000002"))) is not None
        assert known.appointment_id == "2"
        assert ear.told("roster", "feed_lost", "feed_back") == ["roster", "roster"]
        assert ear.rows("SELECT kind, reason, appointment_id FROM journal") == [
            {"kind": "roster", "reason": "cancelled", "appointment_id": "1"}
        ]

    listen(play)


def test_ok__a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The first thing that is asked after a restart is what came after the last page; meanwhile the door knows what it knew."""

    async def play() -> None:
        desk = PlayedDesk()
        await desk.start()
        desk.tell(confirmed(1))
        first = Ear(tmp_path, desk)
        first.start()
        await first.heard(1)
        await first.close()
        await desk.vanish()
        second = Ear(tmp_path, desk)
        second.start()
        await second.until(lambda: second.feed.status["trouble"])
        found = second.feed.status
        assert (found["state"], found["cursor"], found["applied"]) == ("stale", "epoch.1", 1)
        assert second.journal.pin("front", pin.digest(PIN_KEY, "00000001")) is not None
        desk.tell(confirmed(2))
        desk.asked.clear()
        await desk.come_back()
        await second.heard(2)
        assert desk.asked[0] == "epoch.1"
        await second.close()
        await desk.stop()

    asyncio.run(play())


HUGE = json.dumps({"entries": [], "cursor": "e.1", "has_more": False, "x": "x" * 600_000}).encode()
DEEP = b"[" * 100_000
GOOD = {"entries": [confirmed(66)], "cursor": "bad.1", "has_more": False, "is_resync": False, "orders": []}
FAULTS: dict[str, Callable[[Call], Answer | None]] = {
    "500": lambda _: json_answer({"error": "broken"}, 500),
    "500 in HTML": lambda _: Answer(500, b"<h1>Bad</h1>", "text/html"),
    "503 later": lambda _: Answer(503, b"", headers={"Retry-After": "0"}),
    "404": lambda _: json_answer({}, 404),
    "redirect": lambda _: Answer(302, b"", headers={"Location": "http://127.0.0.1:1/"}),
    "204": lambda _: Answer(204, b""),
    "hangs": lambda _: None,
    "drops": lambda _: Answer(is_dropped=True),
    "truncated": lambda _: Answer(content=json.dumps(GOOD).encode(), sent_bytes=100),
    "empty": lambda _: Answer(content=b""),
    "garbage": lambda _: Answer(content=b"\xff\x00 no json"),
    "a log-in page": lambda _: Answer(200, b"<html>Wi-Fi: please log in</html>", "text/html"),
    "a list": lambda _: json_answer([GOOD]),
    "deep": lambda _: Answer(content=DEEP),
    "huge": lambda _: Answer(content=HUGE),
    "compressed": lambda _: Answer(content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
    "no entries": lambda _: json_answer({**GOOD, "entries": None}),
    "entries of a wrong type": lambda _: json_answer({**GOOD, "entries": {"0": confirmed(66)}}),
    "too many entries": lambda _: json_answer({**GOOD, "entries": [confirmed(number) for number in range(1000, 1201)]}),
    "a wrong cursor": lambda _: json_answer({**GOOD, "cursor": 7}),
    "a wrong has_more": lambda _: json_answer({**GOOD, "has_more": "yes"}),
    "more of nothing": lambda _: json_answer({**GOOD, "entries": [], "has_more": True}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fail__a_desk_at_fault_changes_nothing(listen: Listen, fault: str) -> None:
    """Nothing of it is applied and nothing is forgotten; the trouble is told once and without the token, and it passes by itself."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1))
        ear.start()
        await ear.heard(1)
        before = {table: ear.rows(f"SELECT * FROM {table}") for table in ("roster", "pin", "feed", "journal")}  # noqa: S608
        desk.fault = FAULTS[fault]
        desk._wake()
        asked = len(desk.asked)
        await ear.until(lambda: ear.feed.status["trouble"])
        if fault != "hangs":  # there each try takes its time
            await ear.until(lambda: len(desk.asked) > asked + 2)
        found = ear.feed.status
        assert (found["state"], found["cursor"], found["applied"]) == ("stale", "epoch.1", 1)
        assert {table: ear.rows(f"SELECT * FROM {table}") for table in before} == before  # noqa: S608 - constants
        assert set(desk.asked[1:]) == {"epoch.1"}
        desk.fault = None
        desk.tell(cancelled(1))
        await ear.heard(2)
        assert ear.told("feed_lost", "feed_back", "feed_refused") == ["feed_lost", "feed_back"]
        (words,) = (event["words"] for event in ear.events if event["event"] == "feed_lost")
        assert isinstance(words, str)
        assert words.startswith(("the desk", "no connection", "302", "500"))
        assert TOKEN not in json.dumps(ear.events)

    listen(play)


def test_fail__a_desk_that_is_gone(listen: Listen) -> None:
    """A closed port is a lost feed, told once however long it lasts, and the feed comes back with the desk."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        await desk.vanish()
        ear.start()
        await ear.until(lambda: ear.feed._failures > 2)
        assert ear.feed.status["state"] == "never"
        assert str(ear.feed.status["trouble"]).startswith("no connection to the desk (ConnectError)")
        await desk.come_back()
        desk.tell(confirmed(1))
        await ear.heard(1)
        assert ear.told("feed_lost", "feed_back") == ["feed_lost", "feed_back"]

    listen(play)


def test_ok__a_desk_that_is_back_is_known_at_once(listen: Listen) -> None:
    """Though there is no news, and the desk would hold its answer back: the first question after a trouble is not to be held."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1))
        ear.start()
        await ear.heard(1)
        await desk.vanish()
        await ear.until(lambda: ear.feed.state == "stale")
        asked = len(desk.waits)
        await desk.come_back()
        await ear.until(lambda: ear.feed.state == "fresh")
        await ear.until(lambda: len(desk.waits) > asked + 1)
        assert desk.waits[0] == 0
        assert desk.waits[asked : asked + 2] == [0, 2]

    listen(play)


def test_fail__a_token_that_is_not_accepted_is_a_persons_to_mend(listen: Listen) -> None:
    """The status says refused and what to do, the log says it once, nothing repeats the token, and it is tried again slowly."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1))
        ear.start()
        await ear.until(lambda: ear.feed.state == "refused")
        trouble = str(ear.feed.status["trouble"])
        assert trouble.startswith("the desk does not accept the door's token (401: unknown token Bearer (the key))")
        assert "make a new one at the desk" in trouble
        assert "wrong-token" not in json.dumps([ear.feed.status, ear.events])
        assert ear.told("feed_lost", "feed_refused") == ["feed_lost", "feed_refused"]
        assert ear.feed._trouble is not None
        assert ear.feed._wait_s(ear.feed._trouble) >= 30
        assert desk.asked == [None]
        assert ear.rows("SELECT * FROM roster") == []

    listen(play, token="wrong-token")


def test_fail__a_token_that_is_revoked_meanwhile(listen: Listen) -> None:
    """What the door heard before still counts: its PINs and cancels stay."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1), cancelled(2))
        ear.start()
        await ear.heard(2)
        desk.fault = lambda _: json_answer({"error": "revoked"}, 401)
        desk._wake()
        await ear.until(lambda: ear.feed.state == "refused")
        assert ear.journal.pin("front", pin.digest(PIN_KEY, "00000001")) is not None
        assert ear.feed.status["applied"] == 2

    listen(play)


def test_refused__wrong_entries_are_skipped_and_the_others_heard(listen: Listen) -> None:
    """They are counted and journaled once, without what stood in them; the cursor goes on, so they are never heard again."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1), confirmed(2, community_id="9999"), {"appointment_id": "SECRET NAME"}, cancelled(3))
        ear.start()
        await ear.heard(2)
        desk.tell(confirmed(4))
        await ear.heard(3)
        assert (ear.feed.status["skipped"], ear.feed.status["cursor"]) == (2, "epoch.5")
        assert [row["appointment_id"] for row in ear.rows("SELECT appointment_id FROM roster")] == ["1", "3", "4"]
        (note,) = ear.rows("SELECT door, detail FROM journal WHERE kind = 'roster_skipped'")
        assert json.loads(note["detail"]) == {"count": 2, "words": "entry 2: the community_id is another community's"}
        assert ear.told("roster_skipped") == ["roster_skipped"]
        assert "SECRET" not in json.dumps([ear.events, note])

    listen(play)


def test_refused__the_dead_stay_dead_whatever_the_desk_says(listen: Listen) -> None:
    """Neither a higher revision nor a resync revives what was cancelled, moved or made anew (P5)."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1), confirmed(2), confirmed(3))
        desk.tell(cancelled(1), cancelled(2, "superseded"), confirmed(3, issue=1, revision=2, typed="99999999"))
        ear.start()
        await ear.heard(6)
        desk.tell(*(confirmed(number, revision=40) for number in (1, 2, 3)))
        desk.forget()
        await ear.until(lambda: ear.told("roster_resync"))
        await ear.until(lambda: ear.feed.cursor == "epochx.9")
        assert [ear.journal.pin("front", pin.digest(PIN_KEY, f"0000000{number}")) for number in (1, 2, 3)] == [None] * 3
        assert ear.rows("SELECT standing, code_id FROM roster WHERE appointment_id = '3'") == [
            {"standing": "confirmed", "code_id": "000000030001"}
        ]
        assert ear.journal.pin("front", pin.digest(PIN_KEY, "99999999")) is not None

    listen(play)


def test_ok__a_resync_forgets_nothing(listen: Listen) -> None:
    """A desk that begins anew, without what it told before, adds to what the door knows."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.tell(confirmed(1), cancelled(2))
        ear.start()
        await ear.heard(2)
        desk._news.clear()
        desk.tell(confirmed(3))
        desk.forget()
        await ear.until(lambda: ear.feed.cursor == "epochx.1" and ear.feed.state == "fresh")
        assert [row["appointment_id"] for row in ear.rows("SELECT appointment_id FROM roster")] == ["1", "2", "3"]
        assert ear.journal.pin("front", pin.digest(PIN_KEY, "00000001")) is not None
        assert ear.told("roster_resync", "feed_lost") == ["roster_resync"]

    listen(play)


def test_fail__a_desk_that_forgets_again_and_again_is_asked_slowly(listen: Listen) -> None:
    """Two desks behind one address, which do not know each other's cursors: their news is heard, the trouble told, and no loop spins."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.fault = lambda _: json_answer({**GOOD, "is_resync": True, "cursor": f"e.{len(desk.asked)}"})
        ear.start()
        await ear.until(lambda: ear.feed._failures >= 3)
        assert "forgets again and again" in str(ear.feed.status["trouble"])
        assert [row["appointment_id"] for row in ear.rows("SELECT appointment_id FROM roster")] == ["66"]
        assert ear.told("feed_lost") == ["feed_lost"]

    listen(play)


def test_fail__a_cursor_that_stands_still(listen: Listen) -> None:
    """More is promised and the same page comes again: it is heard once, and the desk is asked slowly."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.fault = lambda _: json_answer({**GOOD, "has_more": True})
        ear.start()
        await ear.until(lambda: ear.feed._failures >= 3)
        assert "repeats itself" in str(ear.feed.status["trouble"])
        assert ear.told("roster") == ["roster"]

    listen(play)


def test_fail__a_roster_without_end(listen: Listen) -> None:
    """After more pages than any roster has, a desk that always has more is asked slowly, and never believed to be done."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.fault = lambda _: json_answer({**GOOD, "cursor": f"e.{len(desk.asked)}", "has_more": True})
        ear.feed._pages = MAX_PAGES - 3
        ear.start()
        await ear.until(lambda: ear.feed._failures >= 2)
        assert "has no end" in str(ear.feed.status["trouble"])
        assert len(desk.asked) >= 4

    listen(play)


def test_fail__a_desk_that_never_waits_is_not_asked_without_pause(listen: Listen) -> None:
    """Empty pages at once, one after the other: the pauses grow, up to what still brings a cancel within two seconds."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        desk.fault = lambda _: json_answer({**GOOD, "entries": []})
        ear.start()
        await ear.until(lambda: len(desk.asked) > 4)
        pauses = [ear.feed._pause_s(0.0) for _ in range(6)]
        assert pauses == sorted(pauses)
        assert pauses[-1] == 1.0
        assert ear.feed._pause_s(5.0) == 0.0

    listen(play)


def test_ok__a_page_is_written_in_batches_that_a_scan_can_wait_for(listen: Listen) -> None:
    """No transaction holds more than a hundred entries, none waits behind another, and the cursor is in the last."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        sizes: list[tuple[int, bool]] = []
        submit = ear.upkeep.submit

        def watched(work: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - passed on
            before = ear.rows("SELECT (SELECT count(*) FROM roster) AS entries, (SELECT count(*) FROM feed) AS cursors")[0]
            future = submit(work)
            future.result(10)
            after = ear.rows("SELECT (SELECT count(*) FROM roster) AS entries, (SELECT count(*) FROM feed) AS cursors")[0]
            sizes.append((after["entries"] - before["entries"], after["cursors"] > before["cursors"]))
            return future

        ear.upkeep.submit = watched  # type: ignore[method-assign]  # looks before and after
        desk.tell(*(confirmed(number) for number in range(150)))
        ear.start()
        await ear.heard(150)
        assert [size for size in sizes if size != (0, False)] == [(100, False), (50, True)]

    listen(play)


def test_fail__a_full_disk_loses_no_news(listen: Listen) -> None:
    """What cannot be written is asked for again, and is heard when there is room."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        ear.start()
        await ear.until(lambda: ear.feed.state == "fresh")
        pages = ear.upkeep.submit(lambda conn: conn.execute("PRAGMA page_count").fetchone()[0]).result(5)
        ear.upkeep.submit(lambda conn: conn.execute(f"PRAGMA max_page_count = {pages}")).result(5)
        desk.tell(*(confirmed(number) for number in range(150)))
        await ear.until(lambda: ear.told("store_failed"))
        assert (ear.feed.status["state"], ear.feed.cursor) == ("stale", "epoch.0")
        ear.upkeep.submit(lambda conn: conn.execute("PRAGMA max_page_count = 1000000")).result(5)
        await ear.heard(150)
        assert len(ear.rows("SELECT * FROM pin")) == 150

    listen(play)


def test_fail__certificates_that_cannot_be_used(listen: Listen) -> None:
    """A ca_file that is not there is told with what to do, and the feed begins when it is."""

    async def play(desk: PlayedDesk, ear: Ear) -> None:
        good = ear.settings
        ear.settings = good.model_copy(update={"ca_file": Path("/nowhere/ca.pem")})
        ear.start()
        await ear.until(lambda: ear.feed.status["trouble"])
        assert ear.feed.status["trouble"] == "the certificates cannot be used (No such file or directory): check desk.ca_file"
        ear.settings = good
        desk.tell(confirmed(1))
        await ear.heard(1)

    listen(play)

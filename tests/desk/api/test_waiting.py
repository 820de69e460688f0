"""Held requests: woken by what concerns their door, whichever process changed it, and let go of in every case."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.core.tour import Standing
from agent.desk.api.watch import MOST_HELD
from tests.desk.api.made import NOW_MS, Site, put

LONG_S = 50
SOON_S = 20.0
"""Less than a wait: what is answered within it was woken."""

CANCEL = """
import sys
from pathlib import Path
from agent.core.tour import Standing
from agent.desk.store import DeskStore
store = DeskStore.open(Path(sys.argv[1]))
sys.stdin.readline()
store.end_appointment("a1", Standing.CANCELLED, int(sys.argv[2]))
store.close()
"""


class Poll:
    """A door that waits for news, in a thread."""

    def __init__(self, site: Site, token: str, cursor: str, wait_s: int = LONG_S) -> None:
        self._client = site.client(token)
        self._pool = ThreadPoolExecutor(1)
        self._future: Future[httpx.Response] = self._pool.submit(
            self._client.get, "/api/v1/roster", params={"cursor": cursor, "wait_s": str(wait_s)}
        )

    @property
    def is_waiting(self) -> bool:
        """Whether there is no answer yet."""
        return not self._future.done()

    def answer(self) -> httpx.Response:
        """The answer, which must come soon."""
        try:
            return self._future.result(SOON_S)
        finally:
            self._client.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def page(self) -> dict[str, Any]:
        """The page that must come soon."""
        answer = self.answer()
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def token(site: Site) -> str:
    """The front door's token."""
    return site.door()


def cursor_of(site: Site, token: str) -> str:
    """Where the door stands now."""
    with site.client(token) as client:
        return str(client.get("/api/v1/roster").json()["cursor"])


def hold(site: Site, token: str, count: int = 1) -> list[Poll]:
    """Polls that are surely held."""
    put(site.store)
    cursor = cursor_of(site, token)
    polls = [Poll(site, token, cursor) for _ in range(count)]
    site.until(lambda: site.api.watch.held == count)
    return polls


def test_ok__a_cancel_in_another_process_wakes_a_held_request(site: Site, token: str, tmp_path: Path) -> None:
    """Whichever process wrote it: the watch asks the store, not this process's memory."""
    command = [sys.executable, "-c", CANCEL, str(tmp_path / "desk.db"), str(NOW_MS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[3]) as other:
        (poll,) = hold(site, token)
        assert other.stdin is not None
        other.stdin.write(b"go\n")
        other.stdin.close()
        assert poll.page()["entries"] == [{"appointment_id": "a1", "standing": "cancelled", "revision": 2}]
    assert other.returncode == 0


def test_ok__two_desk_processes_serve_one_roster(start: Callable[..., Site]) -> None:
    """A door held by one is woken by what the other one's vendor did, and either reads the other's cursors."""
    one, other = start(), start()
    token, vendor = one.door(), one.vendor()
    (poll,) = hold(one, token)
    with other.client(vendor) as client:
        assert client.put("/api/v1/appointments/a1/cancel").status_code == 200
    page = poll.page()
    assert [entry["standing"] for entry in page["entries"]] == ["cancelled"]
    with other.client(token) as client:
        params = {"cursor": page["cursor"]}
        again = client.get("/api/v1/roster", params=params).json()
    assert (again["entries"], again["is_resync"]) == ([], False)


def test_ok__another_doors_change_leaves_it_waiting(site: Site, token: str) -> None:
    """Only the doors concerned are woken."""
    (poll,) = hold(site, token)
    put(site.store, 2, doors=("gym",))
    put(site.store, 3, community_id="1002")
    site.api.look()
    time.sleep(0.6)
    assert poll.is_waiting
    site.store.end_appointment("a1", Standing.CANCELLED, NOW_MS)
    assert len(poll.page()["entries"]) == 1


def test_ok__an_order_ends_a_wait_once(site: Site, token: str) -> None:
    """It is told at once; while it is not done it is told with every page, and does not make the door ask without a pause."""
    (poll,) = hold(site, token)
    order = site.store.add_order("1001", "front", "outbox_retry", ["v1"], NOW_MS)
    page = poll.page()
    assert (page["entries"], [one["order_id"] for one in page["orders"]]) == ([], [order.order_id])
    again = Poll(site, token, page["cursor"])
    site.until(lambda: site.api.watch.held == 1)
    time.sleep(0.4)
    assert again.is_waiting
    put(site.store, 2)
    assert len(again.page()["entries"]) == 1


def test_ok__a_wait_without_news_ends_with_an_empty_page(site: Site, token: str) -> None:
    """After the time that the door asked for."""
    put(site.store)
    cursor = cursor_of(site, token)
    began_s = time.monotonic()
    page = Poll(site, token, cursor, wait_s=1).page()
    assert (page["entries"], page["cursor"], page["has_more"]) == ([], cursor, False)
    assert time.monotonic() - began_s >= 1
    assert site.api.watch.held == 0


def test_ok__a_door_without_a_cursor_is_answered_at_once(site: Site, token: str) -> None:
    """It learns where it stands, although there is nothing yet."""
    with site.client(token) as client:
        began_s = time.monotonic()
        page = client.get("/api/v1/roster", params={"wait_s": "50"}).json()
    assert time.monotonic() - began_s < SOON_S
    assert page["entries"] == []


def test_ok__a_client_that_goes_away_is_let_go_of(site: Site, token: str) -> None:
    """Nothing of it stays until the wait would have ended."""
    put(site.store)
    cursor = cursor_of(site, token)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(
            f"GET /api/v1/roster?cursor={cursor}&wait_s=50 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        site.until(lambda: site.api.watch.held == 1)
    site.until(lambda: site.api.watch.held == 0)


def test_ok__a_stop_answers_what_is_held(start: Callable[..., Site]) -> None:
    """At once and well, so that the door asks the next process."""
    site = start()
    token = site.door()
    (poll,) = hold(site, token)
    stopping = threading.Thread(target=site.api.close)
    stopping.start()
    page = poll.page()
    stopping.join()
    assert (page["entries"], page["is_resync"]) == ([], False)
    assert Poll(site, token, page["cursor"]).page()["entries"] == []  # nothing is held any more


def test_ok__one_more_request_of_a_token_ends_its_oldest(site: Site, token: str) -> None:
    """A door whose connections died unseen, or a stolen token, cannot hold any number."""
    polls = hold(site, token, MOST_HELD)
    cursor = cursor_of(site, token)
    polls.append(Poll(site, token, cursor))
    site.until(lambda: sum(poll.is_waiting for poll in polls) == MOST_HELD)
    site.until(lambda: site.api.watch.held == MOST_HELD)
    put(site.store, 2)
    pages = [poll.page() for poll in polls]
    assert sorted(len(page["entries"]) for page in pages) == [0] + [1] * MOST_HELD


def test_refused__a_token_revoked_meanwhile_is_told_nothing(site: Site, token: str) -> None:
    """News that comes after the revocation is not this door's any more."""
    (poll,) = hold(site, token)
    assert site.store.revoke_door(token[:8], NOW_MS)
    put(site.store, 2)
    answer = poll.answer()
    assert (answer.status_code, "entries" in answer.json()) == (401, False)


def test_ok__a_change_between_reading_and_holding_is_not_missed(site: Site, token: str) -> None:
    """Many changes one after the other, each heard before the next, however they fall."""
    put(site.store)
    cursor = cursor_of(site, token)
    with site.client(token) as client:
        for number in range(2, 22):
            writing = threading.Timer(0.001 * (number % 7), put, (site.store, number))
            writing.start()
            page = client.get("/api/v1/roster", params={"cursor": cursor, "wait_s": "50"}).json()
            writing.join()
            assert [entry["appointment_id"] for entry in page["entries"]] == [f"a{number}"]
            cursor = page["cursor"]

"""Every fault as a client meets it over a real socket, and what is left behind it."""

from __future__ import annotations

import http.client
import random
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agent.errors import RefusedError
from agent.sandbox.faults import EVERY_ROUTE, Fault, FaultBoard, Kind
from agent.sandbox.public import BOMB_BYTES
from agent.sandbox.state import ROUTES, VISIT
from agent.sandbox.threaded import ThreadedSandbox

TIMES = "/community/1001/available-times"
UNDONE = ["refuse", "not-json", "gzip-bomb"]


def visits(admin: httpx.Client) -> int:
    """How many visits have arrived."""
    return len(admin.get("/received", params={"route": "visit"}).json())


def switch(admin: httpx.Client, route: str, **fault: object) -> None:
    """Switch a fault on."""
    admin.put(f"/faults/{route}", json=fault).raise_for_status()


def test_refuse__one_route_drops_the_connection_and_does_nothing(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """The connection ends without a byte, no visit is made, and other routes answer."""
    switch(admin, "visit", kind="refuse")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        knock.post("/visit", json=visit)
    assert visits(admin) == 0
    assert knock.get(TIMES).status_code == 200
    admin.delete("/faults/visit").raise_for_status()
    assert knock.post("/visit", json=visit).status_code == 200


def test_refuse__every_route_closes_the_port_until_it_is_cleared(
    sandbox: ThreadedSandbox, knock: httpx.Client, admin: httpx.Client
) -> None:
    """Nobody listens: a connect is refused by the system; cleared, the same port answers again, as often as one likes."""
    address = urlsplit(sandbox.url)
    for _ in range(3):
        switch(admin, "*", kind="refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.hostname, address.port or 0))
        with pytest.raises(httpx.ConnectError):
            knock.get(TIMES)
        admin.delete("/faults").raise_for_status()
        assert knock.get(TIMES).status_code == 200


def test_refuse__closed_port_stays_ours(sandbox: ThreadedSandbox, knock: httpx.Client, admin: httpx.Client) -> None:
    """While closed no other program gets the port by chance; when one takes it on purpose, that is told and may be tried again."""
    address = urlsplit(sandbox.url)
    place = (str(address.hostname), address.port or 0)
    switch(admin, "*", kind="refuse")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(place)
    with socket.create_server(place):
        answer = admin.delete("/faults")
        assert (answer.status_code, "in use" in answer.json()["error"]) == (503, True)
    assert admin.delete("/faults").status_code == 200
    assert knock.get(TIMES).status_code == 200


def test_refuse__every_route_aborts_open_connections(sandbox: ThreadedSandbox, admin: httpx.Client) -> None:
    """A kept-alive connection dies with the port."""
    address = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(address.netloc, timeout=5)
    connection.request("GET", "/nowhere")
    connection.getresponse().read()
    switch(admin, "*", kind="refuse")
    assert connection.sock.recv(1) == b""
    connection.close()


def test_refuse__closed_port_is_opened_by_any_other_fault_in_its_place(knock: httpx.Client, admin: httpx.Client) -> None:
    """Another fault for every route takes the place of the closed port."""
    switch(admin, "*", kind="refuse")
    switch(admin, "*", kind="status", status=503)
    assert knock.get(TIMES).status_code == 503


def test_slow__the_work_is_done_at_once_and_answered_late(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """A client that does not wait has made its visit all the same."""
    switch(admin, "visit", kind="slow", seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        knock.post("/visit", json=visit, timeout=0.2)
    assert visits(admin) == 1


def test_slow__the_answer_comes_after_its_seconds(knock: httpx.Client, admin: httpx.Client) -> None:
    """The answer is whole, and not early."""
    switch(admin, "available-times", kind="slow", seconds=0.2)
    began = time.monotonic()
    assert knock.get(TIMES).json()["acceptableTimes"]
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("status", [200, 204, 302, 304, 400, 401, 418, 499, 500, 502, 503, 599])
def test_status__is_answered_and_nothing_is_done(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any], status: int) -> None:
    """Any status can be played."""
    switch(admin, "visit", kind="status", status=status)
    assert knock.post("/visit", json=visit).status_code == status
    assert visits(admin) == 0


def test_status__429_says_when_to_come_back(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """Too many requests, in the words of a gateway, with Retry-After in seconds."""
    switch(admin, "visit", kind="status", status=429, retry_after_seconds=7)
    answer = knock.post("/visit", json=visit)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "7", {"message": "Too Many Requests"})


def test_form__another_status_is_answered_and_kept(knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any]) -> None:
    """Knock that does not confirm at once: the appointment stands as it says, takes its time, and dies by the next request."""
    switch(admin, "request", kind="form", booking_status="REQUESTED", count=1)
    asked = knock.post("/appointment/request", json=booking).json()
    assert asked["appointment"]["status"] == "REQUESTED"
    assert booking["requestedTimes"][0]["startTime"] not in knock.get(TIMES, params={"forSelfGuided": "true"}).json()["acceptableTimes"]
    confirmed = knock.post("/appointment/request", json=booking).json()
    kept = {one["id"]: one["status"] for one in admin.get("/state").json()["appointments"]}
    assert kept == {asked["appointmentId"]: "CANCELLED", confirmed["appointmentId"]: "CONFIRMED"}


@pytest.mark.parametrize(
    ("left_out", "names", "inner"),
    [
        (["prospectId", "appointment"], {"appointmentId"}, set()),
        (["prospectId"], {"appointmentId", "appointment"}, {"id", "status"}),
        (["appointmentId", "prospectId"], {"appointment"}, {"id", "status"}),
        (["status"], {"appointmentId", "prospectId", "appointment"}, {"id", "prospectId"}),
    ],
)
def test_form__fields_are_left_out_at_any_depth(  # noqa: PLR0917 - pytest passes them by name
    knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any], left_out: list[str], names: set[str], inner: set[str]
) -> None:
    """The forms in which Knock may answer a booking; the work is done in each of them."""
    switch(admin, "request", kind="form", left_out=left_out)
    answer = knock.post("/appointment/request", json=booking)
    content = answer.json()
    assert (answer.status_code, set(content)) == (200, names)
    assert {"id", "status", "prospectId"} & set(content.get("appointment", {})) == inner
    assert [one["status"] for one in admin.get("/state").json()["appointments"]] == ["CONFIRMED"]


def test_form__a_refusal_stays_what_it_is(knock: httpx.Client, admin: httpx.Client) -> None:
    """What Knock would have refused is refused, and a status is not a form of it."""
    switch(admin, "request", kind="form", left_out=["prospectId"], booking_status="REQUESTED")
    answer = knock.post("/appointment/request", json={})
    assert (answer.status_code, set(answer.json())) == (400, {"errorMessage"})


@pytest.mark.parametrize(
    "wrong",
    [{"left_out": "prospectId"}, {"left_out": [1]}, {"booking_status": ""}, {"booking_status": 1}, {"status": 200}, {"form": "bare"}],
)
def test_refused__a_form_that_is_none(admin: httpx.Client, wrong: dict[str, Any]) -> None:
    """A slip in a fault is told, and nothing is switched on."""
    answer = admin.put("/faults/request", json={"kind": "form", **wrong})
    assert (answer.status_code, "error" in answer.json()) == (400, True)
    assert admin.get("/state").json()["faults"] == {}


def test_lost__the_work_is_done_and_nobody_hears(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """The visit is made, the connection drops without a byte; the retry is a second visit."""
    switch(admin, "visit", kind="lost", count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        knock.post("/visit", json=visit)
    assert visits(admin) == 1
    assert knock.post("/visit", json=visit).status_code == 200
    assert visits(admin) == 2


def test_lost__a_refusal_is_lost_too(knock: httpx.Client, admin: httpx.Client) -> None:
    """What Knock would have refused is lost without being made."""
    switch(admin, "visit", kind="lost")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        knock.post("/visit", json={})
    assert visits(admin) == 0


def test_not_json__is_a_200_with_a_page(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """A captive portal says 200 and means nothing."""
    switch(admin, "visit", kind="not-json")
    answer = knock.post("/visit", json=visit)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert visits(admin) == 0


def test_truncated__the_work_is_done_and_the_answer_breaks_off(
    sandbox: ThreadedSandbox, knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]
) -> None:
    """More is announced than comes."""
    switch(admin, "visit", kind="truncated")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        knock.post("/visit", json=visit)
    assert visits(admin) == 1
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    connection.request("POST", "/visit", b"{}", {"x-api-key": "syndication-prospect-TEST-KEY"})
    answer = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)) as broken:
        answer.read()
    if isinstance(broken.value, http.client.IncompleteRead):
        assert 0 < len(broken.value.partial) < int(answer.headers["content-length"])
    connection.close()


def test_gzip_bomb__is_small_on_the_wire_and_huge_at_home(sandbox: ThreadedSandbox, admin: httpx.Client) -> None:
    """A valid gzip body under 1 MB grows to 256 MiB; nothing is done."""
    switch(admin, "visit", kind="gzip-bomb")
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5)
    connection.request("POST", "/visit", b"{}", {"x-api-key": "syndication-prospect-TEST-KEY"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    body = answer.read()
    connection.close()
    assert len(body) < 1_000_000
    expander, size, rest = zlib.decompressobj(wbits=31), 0, body
    while rest:
        size += len(expander.decompress(rest, 1024 * 1024))
        rest = expander.unconsumed_tail
    assert (expander.eof, size) == (True, BOMB_BYTES)
    assert visits(admin) == 0


@pytest.mark.parametrize("kind", UNDONE)
def test_count__ends_a_fault_by_itself(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any], kind: str) -> None:
    """After its count of requests a fault is over."""
    switch(admin, "visit", kind=kind, count=2)
    headers = {"Accept-Encoding": "identity"}
    for _ in range(2):
        try:
            with knock.stream("POST", "/visit", json=visit, headers=headers) as answer:
                assert answer.headers.get("content-encoding") == "gzip" or "html" in answer.headers["content-type"]
        except (httpx.RemoteProtocolError, httpx.ReadError):
            assert kind == "refuse"
    assert admin.get("/state").json()["faults"]["visit"]["left"] == 0
    assert knock.post("/visit", json=visit).status_code == 200


def test_every_route__is_struck_but_its_own_fault_goes_first(knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any]) -> None:
    """`*` strikes each route that has no fault of its own."""
    switch(admin, "*", kind="status", status=503)
    switch(admin, "request", kind="status", status=418)
    assert knock.post("/visit", json={}).status_code == 503
    assert knock.post("/prospect", json={}).status_code == 503
    assert knock.get(TIMES).status_code == 503
    assert knock.put("/appointment/1/cancel").status_code == 503
    assert knock.post("/appointment/request", json=booking).status_code == 418


def test_probability__follows_its_seed() -> None:
    """The same seed strikes the same requests; another one others; none and always are sure."""

    def pattern(probability: float, seed: int) -> list[bool]:
        board = FaultBoard()
        board.switch_on(VISIT, Fault(Kind.LOST, probability=probability, seed=seed))
        return [board.strike(VISIT) is not None for _ in range(200)]

    assert pattern(0.5, 1) == pattern(0.5, 1) != pattern(0.5, 2)
    assert 50 < sum(pattern(0.5, 1)) < 150
    assert (sum(pattern(0, 1)), sum(pattern(1, 1))) == (0, 200)


def test_board__a_cleared_route_is_whole_and_the_others_are_not() -> None:
    """Clearing one route leaves the rest as it was."""
    board = FaultBoard()
    for route in ROUTES:
        board.switch_on(route, Fault(Kind.LOST))
    board.clear(VISIT)
    assert board.strike(VISIT) is None
    assert set(board.to_json()) == set(ROUTES) - {VISIT}
    board.clear()
    assert board.to_json() == {}


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("nowhere", Fault(Kind.LOST)),
        ("", Fault(Kind.LOST)),
        (EVERY_ROUTE, Fault(Kind.REFUSE, count=3)),
        (EVERY_ROUTE, Fault(Kind.REFUSE, probability=0.5)),
    ],
)
def test_refused__faults_that_cannot_be(route: str, fault: Fault) -> None:
    """A route that is not there, or counting connects that never arrive, is refused and changes nothing."""
    board = FaultBoard()
    with pytest.raises(RefusedError):
        board.switch_on(route, fault)
    assert board.to_json() == {}


@pytest.mark.parametrize("kind", list(Kind))
def test_fault__reads_what_it_writes(kind: Kind) -> None:
    """Every kind goes through JSON and back."""
    fault = Fault(kind, seconds=1.5 if kind is Kind.SLOW else 0.0, count=2, probability=0.25, seed=random.Random(kind).randrange(100))  # noqa: S311 - a sample
    written = {name: value for name, value in fault.to_json().items() if value is not None}
    assert Fault.from_json(written) == fault


def test_stop__does_not_wait_for_slow_requests_nor_for_kept_connections(start: Callable[..., ThreadedSandbox]) -> None:
    """With a request that would take an hour and an idle connection open, the end comes within two seconds."""
    running = start()
    httpx.put(running.admin_url + "/faults/visit", json={"kind": "slow", "seconds": 3600}, trust_env=False).raise_for_status()
    idle = http.client.HTTPConnection(urlsplit(running.url).netloc)
    idle.request("GET", "/nowhere")
    idle.getresponse().read()
    slow = http.client.HTTPConnection(urlsplit(running.url).netloc)
    slow.request("POST", "/visit", b"{}")
    half = socket.create_connection((urlsplit(running.url).hostname, urlsplit(running.url).port or 0))
    half.sendall(b"POST /visit HTTP/1.1\r\nhost: x\r\nx-api-key: syndication-prospect-TEST-KEY\r\ncontent-length: 9\r\n\r\n{")
    time.sleep(0.1)
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 2
    for connection in (idle, slow):
        connection.close()
    half.close()

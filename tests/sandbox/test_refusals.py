"""What never gets in: wrong keys, wrong methods, bodies that are too long or no JSON. And never a 500 of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.sandbox.threaded import ThreadedSandbox

APPOINTMENT_KEY = "syndication-appointment-TEST-KEY"
PROSPECT_KEY = "syndication-prospect-TEST-KEY"
CALLS = [
    ("GET", "/community/1001/available-times", APPOINTMENT_KEY),
    ("POST", "/prospect", PROSPECT_KEY),
    ("POST", "/appointment/request", APPOINTMENT_KEY),
    ("PUT", "/appointment/1/cancel", APPOINTMENT_KEY),
    ("POST", "/visit", PROSPECT_KEY),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("communityId", "requestedTimes", "profile", "email", "phone", "prospectId", "appointmentId", "visitTime", "unitNames", "tourType")
BODIES = JSON | st.dictionaries(st.sampled_from(NAMES), JSON | st.just("1001") | st.just("2026-06-01T10:00:00-07:00"))


@pytest.fixture
def bare(sandbox: ThreadedSandbox) -> Iterator[httpx.Client]:
    """A client without any key."""
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "key"), CALLS)
def test_refused__every_key_but_the_right_one(bare: httpx.Client, method: str, path: str, key: str) -> None:
    """No key, the other API's key, a longer key and a key in another header are all a gateway's 403."""
    other = PROSPECT_KEY if key == APPOINTMENT_KEY else APPOINTMENT_KEY
    for headers in ({}, {"x-api-key": other}, {"x-api-key": key + " x"}, {"x-api-key": ""}, {"authorization": key}):
        answer = bare.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})
    assert bare.request(method, path, headers={"X-API-KEY": key}).status_code != 403


def test_refused__a_key_of_strange_bytes(sandbox: ThreadedSandbox) -> None:
    """Bytes that are no ASCII are a wrong key and nothing worse."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc)
    connection.putrequest("POST", "/visit")
    connection.putheader("x-api-key", b"\xff\xfe\xe9")
    connection.endheaders()
    assert connection.getresponse().status == 403
    connection.close()


def test_keys__their_header_and_values_are_settings(start: Callable[..., ThreadedSandbox]) -> None:
    """Another deployment names the header otherwise and has keys of its own."""
    url = start(key_header="X-Knock-Key", appointment_key="a", prospect_key="p").url
    for path, key, status in (("/visit", "p", 400), ("/visit", "a", 403), ("/appointment/request", "a", 400)):
        assert httpx.post(url + path, headers={"x-knock-key": key}, json={}, trust_env=False).status_code == status
    assert httpx.post(url + "/visit", headers={"x-api-key": "p"}, json={}, trust_env=False).status_code == 403


@pytest.mark.parametrize(("method", "path", "key"), CALLS)
def test_refused__every_other_method(bare: httpx.Client, method: str, path: str, key: str) -> None:
    """A wrong method is a 405 that names the right one, HEAD included."""
    for other in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} - {method}:
        answer = bare.request(other, path, headers={"x-api-key": key})
        assert (answer.status_code, answer.headers["allow"]) == (405, method)


@pytest.mark.parametrize(
    "path", ["/", "/visits", "/visit/", "/community/1001", "//visit", "/received", "/faults/visit", "/state", "/healthz"]
)
def test_refused__paths_that_are_not_knock_s(knock: httpx.Client, path: str) -> None:
    """Other paths are a 404 in JSON; the admin API is not on the public port."""
    answer = knock.get(path)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b"[" * 60_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        '{"a": 1}'.encode("utf-16"),
        b"[]",
        b'"text"',
        b"null",
    ],
)
def test_refused__bodies_that_are_no_json_object(knock: httpx.Client, content: bytes) -> None:
    """What is no JSON object in UTF-8 is a 400 with words, on every route that takes a body."""
    for path in ("/visit", "/prospect", "/appointment/request"):
        answer = knock.post(path, content=content)
        assert (answer.status_code, "errorMessage" in answer.json()) == (400, True)


def test_refused__bodies_that_are_too_long(knock: httpx.Client) -> None:
    """64 kB may come, one byte more may not, with or without a Content-Length; the connection goes on."""
    fits = b'{"a": "' + b"x" * (64 * 1024 - 9) + b'"}'
    assert knock.post("/visit", content=fits).status_code == 400
    assert knock.post("/visit", content=fits + b" ").status_code == 413
    assert knock.post("/visit", content=iter([fits, b" "])).status_code == 413
    assert knock.put("/appointment/1/cancel", content=b"x" * 1_000_000).status_code == 413
    assert knock.post("/visit", content=b"{}").status_code == 400


def test_refused__bytes_that_are_no_http(sandbox: ThreadedSandbox, knock: httpx.Client) -> None:
    """Noise on the port and a client that hangs up in the middle of its body leave the sandbox as it was."""
    address = urlsplit(sandbox.url)
    head = f"POST /visit HTTP/1.1\r\nhost: x\r\nx-api-key: {PROSPECT_KEY}\r\ncontent-length: 99\r\n\r\n".encode()
    for noise in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", head + b'{"a"', head[:30]):
        with socket.create_connection((address.hostname, address.port or 0)) as connection:
            connection.sendall(noise)
    assert knock.get("/community/1001/available-times").status_code == 200


def test_taken__half_a_surrogate_pair(knock: httpx.Client, admin: httpx.Client) -> None:
    """A name that JSON allows and UTF-8 does not is kept and shown again."""
    body = b'{"communityId": "1001", "email": "a@example.com", "firstName": "\\ud800"}'
    assert knock.post("/prospect", content=body).status_code == 200
    assert admin.get("/state").json()["prospects"][0]["profile"]["firstName"] == "\ud800"
    assert admin.get("/received").json()[0]["body"] == json.loads(body)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/visit", "/prospect", "/appointment/request"]), body=BODIES)
def test_refused__any_json_is_never_a_5xx(knock: httpx.Client, path: str, body: object) -> None:
    """Whatever JSON comes, the answer is 200 or a refusal in JSON with words."""
    answer = knock.post(path, content=json.dumps(body).encode())
    assert answer.status_code < 500
    content: dict[str, Any] = answer.json()
    assert answer.status_code == 200 or isinstance(content["errorMessage"], str)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_refused__any_bytes_are_never_a_5xx(knock: httpx.Client, content: bytes) -> None:
    """Whatever bytes come as a body, the answer is a 400."""
    assert knock.post("/visit", content=content).status_code == 400


def test_admin__is_on_loopback_even_when_the_api_is_not(start: Callable[..., ThreadedSandbox]) -> None:
    """An open host opens Knock's port only; the address that is told can be connected to."""
    running = start(host="0.0.0.0")  # noqa: S104 - that is what is tested
    assert urlsplit(running.url).hostname == urlsplit(running.admin_url).hostname == "127.0.0.1"
    assert httpx.get(running.url + "/healthz", trust_env=False).status_code == 404
    port = urlsplit(running.admin_url).port
    assert asyncio.run(_listening_hosts(port or 0)) == ["127.0.0.1"]


async def _listening_hosts(port: int) -> list[str]:
    """Which of two loopback addresses of this device answer on a port: a port that is open to all answers on both."""
    answering = []
    for host in ("127.0.0.1", "127.0.0.2"):
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            continue
        writer.close()
        await writer.wait_closed()
        answering.append(host)
    return answering

"""What every answer of the desk has, and what no request gets past."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from agent import config
from agent.desk.guard import Guard, with_head
from agent.errors import RefusedError, StoreError
from agent.listener import Listener
from agent.settings.desk import DeskSettings
from agent.web import Answer, Call, build

WRITTEN: dict[str, Any] = {
    "public_url": "https://tours.example.com",
    "community": [
        {
            "id": "1001",
            "slug": "juniper-flats",
            "name": "Juniper Flats",
            "time_zone": "America/Los_Angeles",
            "address": "12 Juniper Street, Portland, OR 97201",
            "door": [{"name": "front"}],
        }
    ],
}


def _settings(**changes: Any) -> DeskSettings:  # noqa: ANN401 - what TOML holds
    return config.parse_as(DeskSettings, {**WRITTEN, **changes}, "desk.toml")


def _page(_call: Call, status: int, words: str, _is_unrouted: bool) -> Answer:
    return Answer(status, f"<p>{words}</p>".encode(), "text/html")


def _call(target: str = "/", *, headers: Mapping[str, str] | None = None, client: str = "198.51.100.7", method: str = "GET") -> Call:
    async def body() -> bytes:
        return b""

    return Call({}, {}, {"host": "tours.example.com", **(headers or {})}, body, method, target, client)


def _through(guard: Guard, call: Call, raised: Exception | None = None) -> tuple[Answer, list[str]]:
    """The answer, and the client's address as the handler saw it, if it was reached."""
    seen: list[str] = []

    async def handler(call: Call) -> Answer:
        seen.append(call.client)
        if raised is not None:
            raise raised
        return Answer(content=b"fine", media_type="text/plain")

    return asyncio.run(_await(guard, handler, call)), seen


async def _await(guard: Guard, handler: Any, call: Call) -> Answer:  # noqa: ANN401 - a handler
    answer: Answer = await guard.around(handler)(call)
    return answer


@pytest.mark.parametrize("raised", [None, RefusedError(404, "gone"), RuntimeError("boom"), StoreError("full")])
def test_ok__every_answer_has_the_security_headers(raised: Exception | None) -> None:
    """Also a refusal, and also what went wrong in us."""
    answer, _ = _through(Guard(_settings(), _page), _call(), raised)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_ok__plain_http_promises_no_https() -> None:
    """A browser that was promised HTTPS by a demo on loopback would not come back."""
    guard = Guard(_settings(public_url="http://127.0.0.1:8780"), _page)
    answer, _ = _through(guard, _call(headers={"host": "127.0.0.1:8780"}))
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "tours.example.com.evil.example", "", "127.0.0.1", "tours.example.com:8080", "localhost"])
def test_refused__another_host(host: str) -> None:
    """A page for another host could be kept by a cache, or be read by a rebound name."""
    answer, seen = _through(Guard(_settings(), _page), _call(headers={"host": host}))
    assert (answer.status, seen) == (421, [])


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("tours.example.com", "/"),
        ("TOURS.example.com", "/"),
        ("tours.example.com:443", "/juniper-flats"),
        ("127.0.0.1:8780", "/api/v1/roster"),
        ("[::1]:8780", "/api/v1/roster"),
        ("localhost:8780", "/healthz"),
    ],
)
def test_ok__our_own_host(host: str, target: str) -> None:
    """Doors on the same board and health checks come over this machine's own address."""
    answer, seen = _through(Guard(_settings(), _page), _call(target, headers={"host": host}))
    assert (answer.status, len(seen)) == (200, 1)


@pytest.mark.parametrize(
    ("client", "forwarded", "seen"),
    [
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "10.9.9.9, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "203.0.113.9, nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "", "198.51.100.7"),
        ("", "203.0.113.9", ""),
    ],
)
def test_ok__the_client_is_who_a_trusted_proxy_saw(client: str, forwarded: str, seen: str) -> None:
    """What a client writes into the header itself changes nothing, and one site of IPv6 is one client."""
    guard = Guard(_settings(listen={"trusted_proxies": ["127.0.0.0/8"]}), _page)
    _, clients = _through(guard, _call(headers={"x-forwarded-for": forwarded}, client=client))
    assert clients == [seen]


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("10.9.9.9, 203.0.113.9, 10.1.0.5", "203.0.113.9"),
        ("203.0.113.9, 10.1.0.5, ::ffff:10.1.0.6", "203.0.113.9"),
        ("10.1.0.7, 10.1.0.5", "10.1.0.7"),
        ("203.0.113.9, nonsense, 10.1.0.5", "10.1.0.5"),
        ("203.0.113.9,10.1.0.5,", "127.0.0.1"),
    ],
)
def test_ok__a_proxy_behind_a_proxy(forwarded: str, seen: str) -> None:
    """The right-most address that is no trusted proxy's counts; where one wrote no address, the proxy itself does."""
    guard = Guard(_settings(listen={"trusted_proxies": ["127.0.0.0/8", "10.1.0.0/16"]}), _page)
    _, clients = _through(guard, _call(headers={"x-forwarded-for": forwarded}, client="127.0.0.1"))
    assert clients == [seen]


def _over_a_socket(*lines: str, method: str = "GET", path: str = "/", host: str = "tours.example.com") -> tuple[str, list[str]]:
    """The answer to a request with these header lines, as it stands on the wire, and the clients that the handler saw."""
    seen: list[str] = []

    async def handler(call: Call) -> Answer:
        seen.append(call.client)
        return Answer(content=b"fine", media_type="text/plain")

    async def play() -> str:
        guard = Guard(_settings(listen={"trusted_proxies": ["127.0.0.0/8"]}), _page)
        listener = Listener(build(with_head({"/": {"GET": handler, "POST": handler}}), guard.refuse, guard.around), "127.0.0.1", 0)
        await listener.start()
        reader, writer = await asyncio.open_connection(*listener.address)
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines, "", ""]
        writer.write("\r\n".join(head).encode())
        try:
            return (await asyncio.wait_for(reader.read(), 10)).decode()
        finally:
            writer.close()
            await listener.stop()

    return asyncio.run(play()), seen


def test_refused__an_address_of_the_clients_own_choice_in_a_line_before_the_proxys() -> None:
    """A proxy that appends a line of its own, as some do, is believed, and not what the client wrote."""
    answer, seen = _over_a_socket("X-Forwarded-For: 10.9.9.9", "x-forwarded-for: 192.0.2.1, 203.0.113.9")
    assert answer.startswith("HTTP/1.1 200")
    assert seen == ["203.0.113.9"]


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "DELETE", "BREW"])
def test_refused__a_method_that_is_nobodys_passes_the_guard(method: str) -> None:
    """It has the security headers, and says which methods there are; for another host it is not even that."""
    answer, seen = _over_a_socket(method=method)
    head = answer.partition("\r\n\r\n")[0].lower()
    assert head.startswith("http/1.1 405")
    assert {"x-content-type-options: nosniff", "allow: get, post, head", "cache-control: no-store"} <= set(head.split("\r\n"))
    assert "content-security-policy: default-src 'none'" in head
    assert _over_a_socket(method=method, host="evil.example")[0].startswith("HTTP/1.1 421")
    assert seen == []


def test_fail__a_mistake_of_ours_is_a_sentence_and_its_words_stay_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The words of an error may hold what somebody typed: neither the client nor the log has them."""
    with caplog.at_level(logging.ERROR, "tourlatch"):
        answer, _ = _through(Guard(_settings(), _page), _call(), ValueError("ada@example.com"))
    assert answer.status == 500
    assert b"ada@" not in answer.content
    (record,) = caplog.records
    assert record.facts["error"] == "ValueError"  # type: ignore[attr-defined]  # our own extra
    assert "ada@" not in repr(record.__dict__)


def test_fail__a_page_that_fails_is_text() -> None:
    """The last resort needs no template."""

    def broken(*_: object) -> Answer:
        raise KeyError

    answer, _ = _through(Guard(_settings(), broken), _call(), RefusedError(404, "Not here."))
    assert (answer.status, answer.content) == (404, b"Not here.")


def test_fail__a_store_that_is_away_is_503() -> None:
    """A full disk is nobody's mistake at the other end."""
    answer, _ = _through(Guard(_settings(), _page), _call(), StoreError("disk full"))
    assert (answer.status, b"disk" in answer.content) == (503, False)


def test_ok__programs_get_json() -> None:
    """Under /api/ a refusal is an object with `error`."""
    answer, _ = _through(Guard(_settings(), _page), _call("/api/v1/roster"), RefusedError(401, "No."))
    assert (answer.content, answer.media_type) == (b'{"error": "No."}', "application/json")


def test_ok__what_may_be_cached_says_so() -> None:
    """A handler's own header wins."""

    async def handler(call: Call) -> Answer:
        return replace(Answer(), headers={"Cache-Control": "public", "X-Seen": call.method})

    answer = asyncio.run(_await(Guard(_settings(), _page), handler, _call()))
    assert answer.headers["Cache-Control"] == "public"


def test_ok__get_answers_head() -> None:
    """And nothing else does."""

    async def handler(call: Call) -> Answer:
        return Answer(content=call.method.encode())

    routes = with_head({"/a": {"GET": handler}, "/b": {"POST": handler}})
    assert {path: sorted(handlers) for path, handlers in routes.items()} == {"/a": ["GET", "HEAD"], "/b": ["POST"]}

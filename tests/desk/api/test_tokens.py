"""Bearer tokens: whose they are, and that nothing else opens anything."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.desk.api.made import NOW_MS, Site, body, put

DOORS = [("GET", "/api/v1/roster"), ("POST", "/api/v1/report")]
VENDORS = [("PUT", "/api/v1/appointments/a1"), ("GET", "/api/v1/appointments/a1"), ("PUT", "/api/v1/appointments/a1/cancel")]


def send(client: httpx.Client, method: str, path: str) -> httpx.Response:
    """A request that is right but for its token."""
    bodies = {"/api/v1/report": {"version": "1"}, "/api/v1/appointments/a1": body()}
    return client.request(method, path, json=bodies.get(path) if method != "GET" else None)


def is_unauthorized(answer: httpx.Response) -> bool:
    """401 as RFC 6750 wants it, and nothing told."""
    return answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer ") and set(answer.json()) == {"error"}


@pytest.mark.parametrize(("method", "path"), DOORS + VENDORS)
@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic QWxhZGRpbjpvcGVu", "Bearer " + "a" * 43, "Bearer " + "a" * 7000, "Bearer 'a b' c",
     "Token {token}", "Bearer {token}, Bearer {token}", "{token}", "Bearer {short}"],
)  # fmt: skip
def test_refused__no_token_or_another(site: Site, method: str, path: str, header: str) -> None:
    """Missing, short, long, of another scheme, twice, or all but its last letter."""
    put(site.store)
    token = site.door() if (method, path) in DOORS else site.vendor()
    written = header.replace("{token}", token).replace("{short}", token[:-1])
    with site.client() as client:
        client.headers["Authorization"] = written
        answer = send(client, method, path)
    assert is_unauthorized(answer)
    assert token not in answer.text + str(answer.headers)


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe" + b"a" * 40, b"Bearer \xe2\x98\x83" * 9, b"Bearer\t" + b"a" * 43, b"\x80" * 60])
def test_refused__bytes_that_are_no_letters(site: Site, value: bytes) -> None:
    """Whatever stands in the header, the answer is a sentence."""
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"GET /api/v1/roster HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: " + value + b"\r\n\r\n")
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(("method", "path"), VENDORS)
def test_refused__a_doors_token_is_no_vendors(site: Site, method: str, path: str) -> None:
    """Who steals a door's board can make no codes."""
    put(site.store)
    with site.client(site.door()) as client:
        assert is_unauthorized(send(client, method, path))


@pytest.mark.parametrize(("method", "path"), DOORS)
def test_refused__a_vendors_token_is_no_doors(site: Site, method: str, path: str) -> None:
    """Who has a website's token hears nothing of the roster."""
    with site.client(site.vendor()) as client:
        assert is_unauthorized(send(client, method, path))


def test_refused__a_revoked_token_is_dead_at_once(site: Site) -> None:
    """The next request with it is refused, though the one before was not."""
    door, vendor = site.door(), site.vendor()
    with site.client(door) as client:
        assert send(client, *DOORS[0]).status_code == 200
        site.store.revoke_door(door[:8], NOW_MS)
        assert all(is_unauthorized(send(client, *route)) for route in DOORS)
    with site.client(vendor) as client:
        assert send(client, *VENDORS[0]).status_code == 201
        site.store.revoke_vendor("A Website", NOW_MS)
        assert all(is_unauthorized(send(client, *route)) for route in VENDORS)


def test_refused__a_token_in_the_address_or_a_cookie(site: Site) -> None:
    """Addresses end in logs: a token counts in its header only."""
    token = site.door()
    with site.client() as client:
        assert is_unauthorized(client.get("/api/v1/roster", params={"access_token": token, "token": token}))
        assert is_unauthorized(client.get("/api/v1/roster", headers={"Cookie": f"token={token}"}))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_ok__the_scheme_is_read_in_any_case(site: Site, scheme: str) -> None:
    """As RFC 9110 has it."""
    with site.client() as client:
        client.headers["Authorization"] = f"{scheme} {site.door()}"
        assert client.get("/api/v1/roster").status_code == 200


def test_refused__the_token_comes_before_the_body(site: Site) -> None:
    """Nobody without one is told what would be wrong with what they sent."""
    with site.client() as client:
        assert is_unauthorized(client.put("/api/v1/appointments/a1", content=b"not json"))
        assert is_unauthorized(client.post("/api/v1/report", content=b"x" * 1_000_000))

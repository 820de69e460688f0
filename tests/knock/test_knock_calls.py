"""What holds for each call of the desk: statuses, lost answers, redirects, secrets, and that nothing is ever sent twice."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.core.booking import Person
from agent.core.replay import Refused, TryAgain, Unknown
from agent.sandbox.faults import Fault, Kind
from tests.knock.calls import CALLS, GOOD, WRITES, Told, answered
from tests.knock.peers import APPOINTMENT_KEY, KEY, Handler, answer, ask, peer, stand_in, tour

each_call = pytest.mark.parametrize("call", list(CALLS))
REDIRECTED = "redirected; check base_url, or the site's network asks for a log-in"
KEY_REFUSED = "(Knock or a gateway does not accept the key: check the key files and key_header)"
NOT_KNOCK = "(not in Knock's form: check base_url)"
MARKED = {"errorMessage": "because"}
NOTHING_DONE = [
    (301, None, TryAgain(f"301: {REDIRECTED}")),
    (304, None, TryAgain(f"304: {REDIRECTED}")),
    (307, MARKED, TryAgain(f"307: {REDIRECTED}")),
    (400, MARKED, Refused("400: because")),
    (404, MARKED, Refused("404: because")),
    (409, {"errorMessage": ["taken"]}, Refused('409: ["taken"]')),
    (418, MARKED, Refused("418: because")),
    (422, MARKED, Refused("422: because")),
    (499, MARKED, Refused("499: because")),
    (400, None, TryAgain(f"400: no explanation {NOT_KNOCK}")),
    (400, {"errorMessage": ""}, TryAgain(f"400: no explanation {NOT_KNOCK}")),
    (400, ["errorMessage"], TryAgain(f"400: no explanation {NOT_KNOCK}")),
    (404, b"<html>nginx", TryAgain(f"404: no explanation {NOT_KNOCK}")),
    (405, {"message": "Method Not Allowed"}, TryAgain(f"405: Method Not Allowed {NOT_KNOCK}")),
    (413, b"\xff", TryAgain(f"413: no explanation {NOT_KNOCK}")),
    (401, MARKED, TryAgain(f"401: because {KEY_REFUSED}")),
    (403, {"message": "Forbidden"}, TryAgain(f"403: Forbidden {KEY_REFUSED}")),
    (407, None, TryAgain(f"407: no explanation {KEY_REFUSED}")),
    (425, MARKED, TryAgain("425: because", 7.0)),
    (429, {"message": "Slow down"}, TryAgain("429: Slow down", 7.0)),
]
MAYBE_DONE = [201, 202, 204, 206, 208, 299, 408, 500, 501, 502, 503, 504, 507, 599]


@each_call
def test_ok__the_good_answer(call: str) -> None:
    """A whole answer in Knock's form does what was asked, with one request."""
    body, told = GOOD[call]
    assert answered(call, answer(200, body)) == (told, 1)


@each_call
@pytest.mark.parametrize(("status", "body", "told"), NOTHING_DONE)
def test_ok__a_status_by_which_knock_did_nothing(call: str, status: int, body: object, told: Told) -> None:
    """Refused in Knock's own words, or to be tried again: never unknown, since nothing was done."""
    assert answered(call, answer(status, body, Retry_After="7")) == (told, 1)


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("status", MAYBE_DONE)
@pytest.mark.parametrize("body", [MARKED, {"message": "because"}])
def test_fail__a_status_by_which_knock_may_have_done_it(call: str, status: int, body: object) -> None:
    """A gateway that lost the answer, or a success that Knock does not document: nobody knows, whatever Retry-After says."""
    content = None if status == 204 else body
    words = "no explanation" if status == 204 else "because"
    assert answered(call, answer(status, content, Retry_After="7")) == (Unknown(f"{status}: {words}"), 1)


@pytest.mark.parametrize("status", MAYBE_DONE)
def test_ok__free_times_may_be_asked_for_again(status: int) -> None:
    """A look changes nothing, so whatever went wrong it is tried again, when Knock says."""
    told, _ = answered("free_times", answer(status, None, Retry_After="7"))
    assert told == TryAgain(f"{status}: no explanation", 7.0)


@each_call
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"appointmentId": "12", "id": "5", "acceptableTimes": []}',
        b"HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\n" + json.dumps(MARKED).encode(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_fail__what_is_no_whole_answer_is_unknown_and_is_sent_once(call: str, raw: bytes) -> None:
    """The request arrived and its answer did not: it is not sent again, and not called undone. A look may be taken again by the caller."""
    told, requests = answered(call, raw)
    assert isinstance(told, Unknown if call in WRITES else TryAgain)
    assert told.words.startswith("the answer was lost (")
    assert requests == 1


@each_call
def test_fail__an_answer_that_comes_too_late_is_unknown_and_is_sent_once(call: str) -> None:
    """Silence after the request: time-outs of a piece and of the whole say the same."""

    async def never(_reader: object, _writer: object) -> None:
        await asyncio.sleep(1)

    async def play(**settings: float) -> tuple[Told, int]:
        async with peer(never) as made:
            return await ask(made.url, CALLS[call], **settings), len(made.requests)

    kind = Unknown if call in WRITES else TryAgain
    assert asyncio.run(play(read_timeout_s=0.2)) == (kind("the answer was lost (ReadTimeout)"), 1)
    assert asyncio.run(play(total_timeout_s=0.2)) == (kind("the answer was lost (TimeoutError)"), 1)


@each_call
def test_ok__a_closed_port_is_tried_again(call: str) -> None:
    """Nobody listens: nothing was sent."""
    assert asyncio.run(ask("http://127.0.0.1:1", CALLS[call])) == TryAgain("no connection to Knock (ConnectError)")


@each_call
@pytest.mark.parametrize(("settings", "kind"), [({"connect_timeout_s": 0.2}, "ConnectTimeout"), ({"total_timeout_s": 0.2}, "TimeoutError")])
def test_ok__a_connection_that_never_comes_about_is_tried_again(call: str, settings: dict[str, float], kind: str) -> None:
    """Whichever time is over first: nothing was sent, so nothing is unknown."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        told = asyncio.run(ask(f"http://127.0.0.1:{full.getsockname()[1]}", CALLS[call], **settings))
    assert told == TryAgain(f"no connection to Knock ({kind})")


@each_call
def test_ok__a_certificate_that_is_not_trusted_is_tried_again(call: str, tmp_path: Path) -> None:
    """Somebody in between gets nothing, so nothing is in doubt."""
    from tests.knock.test_knock_tls import certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))

    async def play() -> tuple[Told, int]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # a handshake that we broke off on purpose
        async with peer(b"", ssl=context) as made:
            return await ask(made.url, CALLS[call]), len(made.requests)

    assert asyncio.run(play()) == (TryAgain("no connection to Knock (ConnectError)"), 0)


@each_call
@pytest.mark.parametrize("key", ["", "two\nlines", "a\r\nX-More: b"])
def test_ok__a_key_that_no_header_can_hold_is_never_sent(call: str, key: str) -> None:
    """Nothing is sent; the words say where to look, and do not say the key."""

    async def play() -> tuple[Told, int]:
        async with peer(answer(200, GOOD[call][0])) as made:
            return await ask(made.url, CALLS[call], key=key, appointment_key=key), len(made.requests)

    if key:
        words = "the request could not be made (LocalProtocolError): check the key file and extra_headers"
        assert asyncio.run(play()) == (TryAgain(words), 0)
    else:
        assert asyncio.run(play()) == (TryAgain("the request could not be made (no key): check the key file and extra_headers"), 0)


@each_call
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fail__a_redirect_is_not_followed(call: str, status: int) -> None:
    """Nobody else gets to see the person or the key, and a booking is not made twice."""

    async def play() -> tuple[Told, int, int]:
        async with peer(answer(200, GOOD[call][0])) as thief, peer(answer(status, None, Location=f"{thief.url}/x")) as made:
            return await ask(made.url, CALLS[call]), len(made.requests), len(thief.requests)

    assert asyncio.run(play()) == (TryAgain(f"{status}: {REDIRECTED}"), 1, 0)


@each_call
@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
def test_fail__words_hold_neither_the_keys_nor_the_person(call: str, status: int) -> None:
    """Knock may repeat what it was sent; it goes neither into a log nor onto a page."""
    key = KEY if call == "prospect" else APPOINTMENT_KEY
    said = f"{key}: Ada MOSS <ADA@example.com>, (206) 555-0134 or +12065550134, is no prospect, x{key}"
    for body in ({"errorMessage": said}, {"message": said}, {"errorMessage": {"key": [said]}}, {"errorMessage": "x" * 190 + key}):
        told, _ = answered(call, answer(status, body))
        shown = repr(told).lower()
        assert key[:12] not in shown
        if call in {"book", "prospect"}:
            assert not [secret for secret in ("ada", "moss", "example.com") if secret in shown]
            assert "5550134" not in "".join(letter for letter in shown if letter.isdigit())


def test_ok__only_whole_words_are_taken_for_a_name() -> None:
    """Somebody called An or Li does not tear Knock's sentence apart; a name with signs of a pattern is found as it is written."""
    person = Person("An", "Li (jr.)", "a+n@example.com", "")

    async def play() -> Told:
        said = "An appointment in Lisbon for LI (JR.) an: a+n@example.com, aan@example.com"
        async with peer(answer(400, {"errorMessage": said})) as made:
            return await ask(made.url, lambda knock: knock.book(tour(person=person), "k"))

    assert asyncio.run(play()) == Refused("400: (hidden) appointment in Lisbon for (hidden) (hidden): (hidden), aan@example.com")


@each_call
@pytest.mark.parametrize(
    "raw",
    [
        answer(200, gzip.compress(bytes(20_000_000)), Content_Encoding="gzip"),
        answer(200, b" " * 70_000 + b"{}"),
        answer(200, json.dumps({**GOOD["book"][0], **GOOD["free_times"][0], "x": "y" * 70_000}).encode()),  # type: ignore[dict-item]
    ],
    ids=["gzip", "long", "good but long"],
)
def test_fail__an_answer_without_bounds_is_not_read(call: str, raw: bytes) -> None:
    """Compressed or too long: nothing of it is believed, and the words name the setting."""
    kind = Unknown if call in WRITES else TryAgain
    assert answered(call, raw) == (kind("200, but the answer is compressed or longer than max_answer_kb"), 1)


@each_call
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"12", b'"12"', b"<html>Welcome", b"\xff\xfe", b"[" * 50_000, b"{}", b'{"id": NaN}'])
def test_fail__a_200_that_says_nothing_is_believed_by_nobody(call: str, body: bytes) -> None:
    """A network's log-in page books nothing and cancels nothing."""
    told, requests = answered(call, answer(200, body))
    assert isinstance(told, Unknown if call in WRITES else TryAgain)
    assert requests == 1


@pytest.mark.parametrize(
    ("fault", "kind", "is_done"),
    [
        (Fault(Kind.REFUSE), Unknown, False),
        (Fault(Kind.LOST), Unknown, True),
        (Fault(Kind.TRUNCATED), Unknown, True),
        (Fault(Kind.SLOW, seconds=30), Unknown, True),
        (Fault(Kind.NOT_JSON), Unknown, False),
        (Fault(Kind.GZIP_BOMB), Unknown, False),
        (Fault(Kind.STATUS, status=503), Unknown, False),
        (Fault(Kind.STATUS, status=429), TryAgain, False),
        (Fault(Kind.STATUS, status=403), TryAgain, False),
        (Fault(Kind.STATUS, status=302), TryAgain, False),
        (Fault(Kind.STATUS, status=400), Refused, False),
    ],
    ids=lambda value: f"{value.kind}{value.status}" if isinstance(value, Fault) else "",
)
@pytest.mark.parametrize("route", ["request", "*"])
def test_ok__a_fault_of_the_stand_in_at_a_booking(fault: Fault, kind: type, is_done: bool, route: str) -> None:
    """Only where the stand-in surely did nothing is it said so; it never has more than one appointment."""

    async def play() -> tuple[Told, int]:
        async with stand_in() as sandbox:
            times = await ask(sandbox.url, CALLS["free_times"])
            start_ms = times.starts_ms[0]  # type: ignore[union-attr]
            if not (route == "*" and fault.kind is Kind.REFUSE):  # the board alone does not close the port
                sandbox.faults.switch_on(route, fault)
            else:
                sandbox.faults.switch_on("request", fault)
            told = await ask(sandbox.url, lambda knock: knock.book(tour(start_ms), "k"), read_timeout_s=0.5)
            return told, len(sandbox.ledger.state.appointments) - 1  # one is known from the start

    told, made = asyncio.run(play())
    assert (type(told), made) == (kind, int(is_done))


def test_fail__a_reused_connection_that_dies_sends_nothing_again() -> None:
    """The peer keeps the connection and drops it in the middle of the second booking: it was asked twice, not three times."""
    from tests.knock.peers import Request, read_request

    seen: list[Request] = []
    good = json.dumps(GOOD["book"][0]).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(good) + good)
        await writer.drain()
        seen.append(await read_request(reader))

    async def play() -> tuple[Told, Told, int]:
        handler: Handler = serve
        async with peer(handler) as made:

            async def twice(knock: object) -> tuple[Told, Told]:
                return await CALLS["book"](knock), await CALLS["book"](knock)  # type: ignore[arg-type]

            first, second = await ask(made.url, twice)
            return first, second, len(made.requests) + len(seen)

    first, second, requests = asyncio.run(play())
    assert first == GOOD["book"][1]
    assert isinstance(second, Unknown)
    assert requests == 2

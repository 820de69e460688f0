"""What may be sent to a running agent: any bytes at all, and nothing but `unlock` ever moves the relay."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.clock import to_iso
from agent.demo.stage import Stage
from agent.protocol import MAX_LINE_BYTES, encode
from agent.store import files
from agent.store.journal import connect

Talk = Callable[[bytes], bytes]
Play = Callable[..., Any]
NOT_AN_OBJECT = b'{"ok":false,"error":"a request is one JSON object on one line"}\n'
KNOWN = "lock, outbox_drop, outbox_retry, roster, screen_help, screen_pin, screen_staff, status, unlock, events"
NO_SUCH = f"there is no such request; there are: {', '.join(sorted(KNOWN.split(', ')))}"
IN_ONE_AGENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def unmoved(stage: Stage) -> Iterator[None]:
    """After every test of this module the relay was released no more often than before it, and the agent answers without a complaint."""
    before = stage.relay_log.read_text("ascii").count("released")
    yield
    assert stage.relay_log.read_text("ascii").count("released") == before
    assert stage.relay_level() == "locked"
    assert "Traceback" not in stage.agent_log()
    assert "traceback" not in stage.agent_log()


def refused(line: bytes) -> str:
    """The sentence of a refusal."""
    answer = json.loads(line)
    assert answer.keys() == {"ok", "error"}, answer
    assert answer["ok"] is False
    sentence = answer["error"]
    assert isinstance(sentence, str)
    assert sentence
    return sentence


GARBAGE = {
    "empty": b"",
    "spaces": b"   \t ",
    "text": b"unlock front",
    "half an object": b'{"do":"unlock","door":"front","reason":"x"',
    "a list": b'[{"do":"unlock","door":"front","reason":"x"}]',
    "a string": b'"unlock"',
    "a number": b"5",
    "null": b"null",
    "two objects": b'{"do":"status"}{"do":"unlock","door":"front","reason":"x"}',
    "binary": bytes(range(256)).replace(b"\n", b""),
    "not UTF-8": b'{"do":"\xff"}',
    "UTF-16": '{"do":"unlock","door":"front","reason":"x"}'.encode("utf-16-le")[:-1],
    "single quotes": b"{'do':'unlock','door':'front','reason':'x'}",
    "comment": b'{"do":"unlock","door":"front","reason":"x"} // please',
    "deep list": b"[" * 200_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep inside": b'{"do":"unlock","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "huge integer": b'{"do":' + b"9" * 10_000 + b"}",
    "HTTP": b"POST /unlock HTTP/1.1\r",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage__gets_an_error_and_the_conversation_goes_on(name: str, talk: Talk) -> None:
    """A line that is no JSON object is answered with one sentence, and the next line is served."""
    assert talk(GARBAGE[name] + b"\n") == NOT_AN_OBJECT
    assert json.loads(talk(encode({"do": "status"})))["ok"] is True


def test_huge__a_line_above_the_limit_ends_the_conversation(talk: Talk, stage: Stage, play: Play) -> None:
    """A line that is longer than the limit is answered with a sentence, whatever is in it, and hung up on."""
    padded = b'{"do":"unlock","door":"front","reason":"x","pad":"' + b"x" * MAX_LINE_BYTES + b'"}\n'
    with contextlib.suppress(BrokenPipeError):
        assert refused(talk(padded)) == f"a request has at most {MAX_LINE_BYTES} bytes"
        assert talk(b"") == b""
    assert play(stage.ask({"do": "status"}))["ok"] is True


@IN_ONE_AGENT
@given(st.binary(max_size=300))
def test_any_bytes__are_refused(stage: Stage, data: bytes) -> None:
    """Whatever bytes are sent, each line gets one refusal, and nothing else comes of it."""
    with socket.socket(socket.AF_UNIX) as peer, peer.makefile("rb") as answers:
        peer.settimeout(10)
        peer.connect(str(stage.folder / "agent.sock"))
        peer.sendall(data + b"\n")
        peer.shutdown(socket.SHUT_WR)
        assert [refused(line) for line in answers] == ["a request is one JSON object on one line"] * (data.count(b"\n") + 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["unlock ", "UNLOCK", "open", "_unlock", "__class__", "", "handlers", "lock\x00"])


@IN_ONE_AGENT
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4), JSON | NAMES)
def test_unknown__requests_are_told_which_there_are(stage: Stage, others: dict[str, Any], name: object) -> None:
    """A `do` of any type and value that names no request is refused with the list of those that there are."""
    if name in KNOWN.split(", "):
        return
    assert _asked(stage, {**others, "do": name}) == NO_SUCH
    assert _asked(stage, {key: value for key, value in others.items() if key != "do"}) == NO_SUCH


def _asked(stage: Stage, request: dict[str, Any]) -> str:
    with socket.socket(socket.AF_UNIX) as peer, peer.makefile("rb") as answers:
        peer.settimeout(10)
        peer.connect(str(stage.folder / "agent.sock"))
        peer.sendall(encode(request))
        return refused(answers.readline())


TAKEN = """SELECT appointment_id FROM roster
    UNION ALL SELECT kind FROM journal WHERE kind IN ('unlock', 'drop', 'roster', 'admission')"""
NO_TEXT = st.one_of(JSON.filter(lambda value: not isinstance(value, str)))
NO_LIST = JSON.filter(lambda value: not isinstance(value, list))
NO_IDS = st.lists(JSON, min_size=1, max_size=3).filter(lambda values: not all(isinstance(value, str) for value in values))
WRONG_REASON = NO_TEXT | st.sampled_from(["", "  ", "a\nb", "\x00", "\ud800", "x" * 201])
GOOD_ENTRY = {"appointment_id": "4711", "standing": "cancelled", "code_id": None, "source_title": "x"}
NO_ENTRY = st.one_of(
    JSON.filter(lambda value: not isinstance(value, dict)),
    NO_TEXT.map(lambda value: {**GOOD_ENTRY, "appointment_id": value}),
    NO_TEXT.map(lambda value: {**GOOD_ENTRY, "standing": value}),
    NO_TEXT.filter(lambda value: value is not None).map(lambda value: {**GOOD_ENTRY, "code_id": value}),
    NO_TEXT.filter(lambda value: value is not None).map(lambda value: {**GOOD_ENTRY, "source_title": value}),
    st.sampled_from([{}, {"appointment_id": "4711"}, {"standing": "cancelled"}, {**GOOD_ENTRY, "standing": "dead"}]),
    st.sampled_from(["", "4711\n", "é", "x" * 41, "\ud800"]).map(lambda value: {**GOOD_ENTRY, "appointment_id": value}),
    st.sampled_from(["\ud800", "x" * 201, "a\nb"]).map(lambda value: {**GOOD_ENTRY, "source_title": value}),
)
WRONG = st.one_of(
    st.builds(lambda door, reason: {"do": "unlock", "door": door, "reason": reason}, NO_TEXT | st.just("back"), JSON | st.just("why")),
    st.builds(lambda reason: {"do": "unlock", "door": "front", "reason": reason}, WRONG_REASON),
    st.sampled_from([{"do": "unlock"}, {"do": "unlock", "door": "front"}, {"do": "unlock", "reason": "why"}]),
    st.builds(lambda ids: {"do": "outbox_drop", "visit_ids": ids}, NO_LIST | NO_IDS),
    st.builds(lambda ids: {"do": "outbox_retry", "visit_ids": ids}, NO_LIST.filter(lambda value: value is not None) | NO_IDS),
    st.sampled_from([{"do": "outbox_drop"}, {"do": "outbox_drop", "visit_ids": ["x"] * 10_001}, {"do": "roster"}]),
    st.builds(lambda entries: {"do": "roster", "entries": entries}, NO_LIST),
    st.builds(lambda bad, at: {"do": "roster", "entries": [*[GOOD_ENTRY] * at, bad]}, NO_ENTRY, st.integers(0, 2)),
)


@settings(IN_ONE_AGENT, max_examples=150)
@given(WRONG)
def test_wrong__types_in_any_field_of_any_request_are_refused(stage: Stage, request_sent: dict[str, Any]) -> None:
    """A field of the wrong type or value, wherever it stands, is refused with a sentence; of a list with one such entry none is taken."""
    _asked(stage, request_sent)
    assert files.rows(stage.folder / "journal.db", TAKEN) == []


def test_half__a_line_holds_up_neither_another_peer_nor_a_scan(stage: Stage, play: Play, talk: Talk) -> None:
    """While peers dawdle over half a line, a status is answered and a scan is decided at once."""
    peers = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for peer in peers:
        peer.connect(str(stage.folder / "agent.sock"))
        peer.sendall(b'{"do":"unlock","door":"front","reas')
    now_ms = int(time.time()) * 1000
    late = stage.sign({"appointmentId": 1, "prospectId": 2}, to_iso(now_ms - 90_000_000), to_iso(now_ms - 80_000_000))

    async def scan() -> float:
        began_s = time.monotonic()
        stage.scan(late)
        assert (await stage.event("refused"))["reason"] == "too_late"
        return time.monotonic() - began_s

    assert play(scan()) < 1
    began_s = time.monotonic()
    assert json.loads(talk(encode({"do": "status"})))["ok"] is True
    assert time.monotonic() - began_s < 1
    for peer in peers:
        peer.close()


def test_large__a_roster_of_the_largest_size_holds_up_no_scan(stage: Stage, play: Play) -> None:
    """While ten thousand appointments are written, a scan is decided within a second."""
    entries = [{"appointment_id": f"big-{number}", "standing": "confirmed"} for number in range(10_000)]
    now_ms = int(time.time()) * 1000
    late = stage.sign({"appointmentId": 1, "prospectId": 3}, to_iso(now_ms - 90_000_000), to_iso(now_ms - 80_000_000))

    async def scan() -> float:
        telling = asyncio.create_task(stage.ask({"do": "roster", "entries": entries}))
        await asyncio.sleep(0.05)
        began_s = time.monotonic()
        stage.scan(late)
        await stage.event("refused")
        took_s = time.monotonic() - began_s
        assert await telling == {"ok": True, "changed": 10_000}
        return took_s

    try:
        assert play(scan()) < 1
    finally:
        _forget_roster(stage)


def _forget_roster(stage: Stage) -> None:
    """The other tests of this module look for an empty roster."""
    with contextlib.closing(connect(stage.folder / "journal.db", synchronous="OFF")) as conn:
        conn.execute("DELETE FROM roster")


def test_requests__that_are_right_move_no_relay_either(stage: Stage, play: Play) -> None:
    """Status, roster, retry, drop and lock are done, and not one of them releases the relay."""
    entry = {"appointment_id": "right", "standing": "confirmed"}
    asked: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"do": "roster", "entries": []}, {"changed": 0}),
        ({"do": "roster", "entries": [entry, entry]}, {"changed": 1}),
        ({"do": "outbox_retry"}, {"retried": 0}),
        ({"do": "outbox_retry", "visit_ids": ["x"]}, {"retried": 0}),
        ({"do": "outbox_drop", "visit_ids": ["x"]}, {"dropped": []}),
        ({"do": "lock"}, {"doors": ["front"]}),
    ]
    try:
        assert [play(stage.ask(request)) for request, _ in asked] == [{"ok": True, **answer} for _, answer in asked]
    finally:
        _forget_roster(stage)

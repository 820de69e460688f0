"""What is asked for by touch, by whom, and what goes to the agent of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.kiosk.run import Kiosk
from tests.kiosk.browser import Browser
from tests.kiosk.played_agent import PlayedAgent

Play = Callable[..., Any]
PIN = {"pin": "12345678"}


def asked(agent: PlayedAgent, *but: str) -> list[dict[str, Any]]:
    """What the agent was asked but for what follows it anyway."""
    return [one for one in agent.asked if one["do"] not in {"status", "events", *but}]


def test_ok__a_pin_goes_to_the_agent_and_nowhere_else(browser: Browser, agent: PlayedAgent) -> None:
    """The agent decides it; the page hears only whether it was taken."""
    agent.answers["screen_pin"] = {"ok": True, "taken": True, "more": "secret"}
    got = browser.touch("pin", PIN)
    assert (got.status, got.json) == (200, {"taken": True})
    assert asked(agent) == [{"do": "screen_pin", "door": "front", "pin": "12345678"}]
    agent.answers["screen_pin"] = {"ok": True, "taken": False}
    assert browser.touch("pin", PIN).json == {"taken": False}


def test_ok__a_call_for_help_and_what_staff_order(browser: Browser, agent: PlayedAgent) -> None:
    """Each is one request to the agent, of this door; staff's PIN is in it and in nothing that comes back."""
    agent.answers["screen_help"] = {"ok": True, "called": True}
    agent.answers["screen_staff"] = {"ok": True, "door": "front", "tours": []}
    assert browser.touch("help", {}).json == {"called": True, "staff": "nobody"}
    got = browser.touch("staff", {"pin": "654321", "what": "unlock", "reason": "delivery"})
    assert (got.status, got.json) == (200, {"door": "front", "tours": []})
    assert asked(agent) == [
        {"do": "screen_help", "door": "front"},
        {"do": "screen_staff", "door": "front", "pin": "654321", "what": "unlock", "reason": "delivery"},
    ]


def test_ok__a_second_call_within_the_agents_pause_says_so(browser: Browser, agent: PlayedAgent) -> None:
    """Staff were told already."""
    agent.answers["screen_help"] = {"ok": True, "called": False}
    assert browser.touch("help", {}).json == {"called": False, "staff": "nobody"}


def test_ok__help_is_called_whatever_becomes_of_the_agent(
    agent: PlayedAgent, start: Callable[..., Kiosk], play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page hears what became of the message to staff; here nobody takes it, and the agent is gone."""
    monkeypatch.setattr("agent.kiosk.server.OUTCOME_S", 0.05)
    (tmp_path / "hook").touch(0o600)
    (tmp_path / "hook").write_text("http://127.0.0.1:1/\n", "ascii")
    browser = Browser(start(help={"webhook_url_file": str(tmp_path / "hook")}).address)
    browser.until("ready")
    assert browser.touch("help", {}).json == {"called": True, "staff": "trying"}
    token = browser.state()["token"]
    play(agent.stop())
    got = browser.touch("help", {}, **{"X-Screen-Token": token})
    assert (got.status, got.json) == (200, {"called": True, "staff": "trying"})


def test_ok__a_call_waits_for_no_agent_that_hangs(
    agent: PlayedAgent, start: Callable[..., Kiosk], play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staff are told at the same time: what became of that is answered while the agent still says nothing. One that answers journals it."""
    monkeypatch.setattr("agent.kiosk.server.OUTCOME_S", 0.05)
    monkeypatch.setattr("agent.kiosk.link.ANSWER_S", 600.0)
    (tmp_path / "hook").touch(0o600)
    (tmp_path / "hook").write_text("http://127.0.0.1:1/\n", "ascii")
    browser = Browser(start(help={"webhook_url_file": str(tmp_path / "hook")}).address)
    browser.until("ready")
    assert browser.touch("help", {}).json == {"called": True, "staff": "trying"}
    play(agent.asked_for("screen_help", 1))
    token = browser.state()["token"]
    agent.is_deaf = True
    assert browser.touch("help", {}, **{"X-Screen-Token": token}).json == {"called": True, "staff": "trying"}
    assert agent.counts["screen_help"] == 1


def test_fail__the_agents_refusal_is_told_with_its_reason(browser: Browser, agent: PlayedAgent) -> None:
    """The page chooses its own sentence by the reason."""
    agent.answers["screen_staff"] = {"ok": False, "error": "this is not staff's PIN", "reason": "wrong_pin"}
    got = browser.touch("staff", {"pin": "000000", "what": "show"})
    assert (got.status, got.json) == (409, {"error": "this is not staff's PIN", "reason": "wrong_pin"})


def test_fail__without_an_agent_nothing_is_taken(browser: Browser, agent: PlayedAgent, play: Play) -> None:
    """A PIN is not kept for later: somebody else may stand there then."""
    token = browser.state()["token"]
    play(agent.stop())
    got = browser.touch("pin", PIN, **{"X-Screen-Token": token})
    assert (got.status, got.json) == (503, {"error": "The door does not answer just now. Please try again."})
    play(agent.start())
    browser.until("ready")
    assert asked(agent) == []


@pytest.mark.parametrize("name", ["pin", "help", "staff"])
@pytest.mark.parametrize(
    "changed",
    [
        {"X-Screen-Token": "-"},
        {"X-Screen-Token": ""},
        {"X-Screen-Token": "guess"},
        {"X-Screen-Token": "gu\u00e9ss"},
        {"Origin": "http://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "-"},
        {"Origin": "-", "Sec-Fetch-Site": "-"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:x", "Sec-Fetch-Site": "-"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_fail__only_the_screens_own_page_may_touch(browser: Browser, agent: PlayedAgent, name: str, changed: dict[str, str]) -> None:
    """Another site's page, another port's, and whatever has not read the token, are refused before anything is read."""
    got = browser.touch(name, PIN, **changed)
    assert (got.status, list(got.json)) == (403, ["error"])
    assert asked(agent) == []


@pytest.mark.parametrize("name", ["pin", "help", "staff"])
@pytest.mark.parametrize(
    "changed", ["https://{0}", "http://evil@{0}", "http://{0}/", "{0}", "//{0}", "http://{0}, http://{0}", "http://127.0.0.1"]
)
def test_fail__an_origin_is_scheme_host_and_port_exactly(browser: Browser, agent: PlayedAgent, name: str, changed: str) -> None:
    """What only resembles ours, as another scheme, a user before the host or an address without its port, is another."""
    origin = changed.format(browser.origin.removeprefix("http://"))
    for site in ("same-origin", "-"):
        assert browser.touch(name, PIN, **{"Origin": origin, "Sec-Fetch-Site": site}).status == 403
    assert asked(agent) == []


@pytest.mark.parametrize(
    "host",
    [
        *("[", "[::1", "]", "[::1]x", "[::1]:", "127.0.0.1:x", "127.0.0.1:", "127.0.0.1:123456", "evil@127.0.0.1", "evil:x@127.0.0.1:80"),
        *("127.0.0.1/", "127.0.0.1?", "127.0.0.1#", "127.0.0.1, evil.example", "evil.example, 127.0.0.1", "127.0.0.1\\@evil", "[127.0.0.1"),
    ],
)
def test_fail__a_host_that_is_none_is_not_answered(browser: Browser, host: str) -> None:
    """A name and a port, and nothing else; what cannot be read is refused, and is no mistake of ours."""
    got = browser.get("/screen/state", Host=host)
    assert got.status in {400, 421}
    assert b"token" not in got.body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8770", "127.0.0.1.evil.example", "", "10.0.0.1", "[::ffff:10.0.0.1]"])
@pytest.mark.parametrize("target", ["/", "/screen/state", "/screen/static/x.js", "/nowhere"])
def test_fail__another_name_of_this_address_is_not_answered(browser: Browser, host: str, target: str) -> None:
    """A name of the internet that leads here by a trick of DNS reads nothing."""
    got = browser.get(target, Host=host)
    assert got.status == 421
    assert b"token" not in got.body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8770", "LocalHost", "[::1]:1", "[::1]"])
def test_ok__this_machines_own_names_are_answered(browser: Browser, host: str) -> None:
    """Whatever the browser was started with."""
    assert browser.get("/screen/state", Host=host).status == 200


@pytest.mark.parametrize(
    "pin",
    [
        "",
        "1234567",
        "123456789",
        "1234567a",
        "12 45678",
        "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
        12345678,
        None,
        ["1"] * 8,
        "1" * 100,
    ],
)
def test_fail__what_is_no_pin_never_reaches_the_agent(browser: Browser, agent: PlayedAgent, pin: object) -> None:
    """Eight digits, and the answer repeats nothing of what was typed."""
    got = browser.touch("pin", {"pin": pin})
    assert got.status == 400
    assert asked(agent) == []
    assert not pin or str(pin).encode() not in got.body


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (json.dumps(PIN).encode(), "text/plain", 400),
        (json.dumps(PIN).encode(), "application/x-www-form-urlencoded", 400),
        (b" " * 70_000, "application/json", 413),
    ],
)
def test_fail__a_body_that_is_not_the_pages_is_refused(
    browser: Browser, agent: PlayedAgent, body: bytes, content_type: str, status: int
) -> None:
    """No form of another site, no nonsense, nothing long."""
    own = {"Origin": browser.origin, "Sec-Fetch-Site": "same-origin", "X-Screen-Token": browser.state()["token"]}
    got = browser.ask("POST", "/screen/pin", body, {**own, "Content-Type": content_type})
    assert (got.status, list(got.json)) == (status, ["error"])
    assert asked(agent) == []


@pytest.mark.parametrize(
    "body",
    [
        {"pin": "654321"},
        {"pin": "654321", "what": "unlock", "reason": 5},
        {"pin": "654321", "what": "unlock", "reason": "x" * 201},
        {"pin": "654321", "what": "unlock", "reason": "a\nb"},
        {"pin": "6" * 65, "what": "show"},
        {"what": "show"},
    ],
)
def test_fail__an_order_of_staff_is_whole_or_refused(browser: Browser, agent: PlayedAgent, body: dict[str, Any]) -> None:
    """What is missing, too long or unprintable stays here."""
    assert browser.touch("staff", body).status == 400
    assert asked(agent) == []


@pytest.mark.parametrize("name", ["pin", "help", "staff"])
def test_fail__what_the_settings_leave_out_cannot_be_asked_for(agent: PlayedAgent, start: Callable[..., Kiosk], name: str) -> None:
    """A page from before a change of the settings gets nothing, either."""
    browser = Browser(start(pin_pad=None, help=None, staff=None).address)
    browser.until("ready")
    assert browser.touch(name, {**PIN, "what": "show"}).status == 404
    assert asked(agent) == []


def test_ok__the_page_and_its_answers_shut_every_other_source_out(browser: Browser) -> None:
    """The policy is on every answer, of files and refusals, too; nothing is kept and no cookie is set."""
    for target, status in (("/", 200), ("/screen/state", 200), ("/nowhere", 404), ("/screen/logo", 404), ("/screen/pin", 405)):
        got = browser.get(target)
        assert got.status == status
        policy = dict(part.strip().split(" ", 1) for part in got.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src", "frame-src")} == {"'self'"}
        assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
        assert (got.headers["x-content-type-options"], got.headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert got.headers["cache-control"] == "no-store"
        assert "set-cookie" not in got.headers
        assert "access-control-allow-origin" not in got.headers


def test_ok__the_pages_files_may_be_kept_for_good(browser: Browser) -> None:
    """Their names change with what is in them."""
    page = browser.get("/").body.decode()
    files = sorted({part.split('"')[0].split("#")[0] for part in page.split('="/screen/static/')[1:]})
    assert files
    for name in files:
        got = browser.get(f"/screen/static/{name}")
        assert (got.status, got.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")

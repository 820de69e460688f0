"""The kiosk beside an agent that comes, goes, hangs, turns away and talks nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import RetryPolicy
from agent.errors import AgentAbsentError, RequestRefusedError
from agent.kiosk import link as module
from agent.kiosk.link import Link
from tests.kiosk.played_agent import PlayedAgent

LIMIT_S = 20.0
SOON = RetryPolicy(first_s=0.02, max_s=0.05)


class Ear:
    """Hears what a link tells."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._has_more = asyncio.Event()

    def tell(self, event: Any) -> None:  # noqa: ANN401 - an event
        """One event."""
        self.heard.append(dict(event))
        self._has_more.set()

    @property
    def names(self) -> list[str]:
        """The names so far, each run of one name once."""
        names = [str(event["event"]) for event in self.heard]
        return [name for before, name in zip([None, *names], names, strict=False) if name != before]

    async def until(self, *names: str) -> None:
        """Wait until exactly these were heard."""
        while self.names != list(names):
            self._has_more.clear()
            await self._has_more.wait()


def play(path: Path, story: Callable[[PlayedAgent, Link, Ear], Awaitable[None]], *, status_every_s: float = 5.0) -> None:
    """Run a story with a link that follows."""

    async def live() -> None:
        ear, agent = Ear(), PlayedAgent(path)
        link = Link(path, ear.tell, retry=SOON, status_every_s=status_every_s)
        following = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(LIMIT_S):
                await story(agent, link, ear)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await agent.stop()

    asyncio.run(live())


def numbers(ear: Ear) -> list[int]:
    """Which of the statuses that were asked for were told."""
    return [event["number"] for event in ear.heard if event["event"] == "status"]


def test_ok__a_status_from_before_an_event_does_not_undo_it(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens while the status is under way is later than it: the next one counts, and one of two in a row always does."""
    happens = iter([0, 1, 0, 1, 1])
    usual, asked = Link.ask, 0

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        async def ask(link: Link, request: dict[str, Any]) -> dict[str, Any]:
            nonlocal asked
            answer = await usual(link, request)
            if request["do"] != "status":
                return answer
            asked += 1
            answer["number"] = asked
            if next(happens, 0):
                heard = len(ear.heard)
                await agent.tell("locked", door="front")
                while len(ear.heard) == heard:  # noqa: ASYNC110 - bounded by the story
                    await asyncio.sleep(0.005)
            return answer

        monkeypatch.setattr(Link, "ask", ask)
        await ear.until("agent_away")
        await agent.start()
        await ear.until("agent_away", "status")
        for count in (2, 3):
            await agent.tell("scan", door="front")
            while len(numbers(ear)) < count:  # noqa: ASYNC110 - bounded by the story
                await asyncio.sleep(0.005)
        assert numbers(ear)[:3] == [1, 3, 5]

    play(socket_path, story)


def test_ok__an_agent_that_comes_goes_and_comes_back_is_followed(socket_path: Path) -> None:
    """Without an agent it is away; each time that it is there its status comes first, and then what happens."""

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        await ear.until("agent_away")
        await agent.start()
        await ear.until("agent_away", "status")
        await agent.tell("scan", door="front")
        await ear.until("agent_away", "status", "scan", "status")
        await agent.stop()
        await ear.until("agent_away", "status", "scan", "status", "agent_away")
        await agent.start()
        await ear.until("agent_away", "status", "scan", "status", "agent_away", "status")

    play(socket_path, story)


def test_ok__the_status_is_asked_for_again_and_again_and_soon_after_news(socket_path: Path) -> None:
    """A lost event heals by the next status; a burst of events is one question, not a burst of them."""

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        await agent.start()
        await agent.asked_for("status", 3)
        before = agent.counts["status"]
        for _ in range(200):
            await agent.tell("scan", door="front")
        while len([event for event in ear.heard if event["event"] == "scan"]) < 200:  # noqa: ASYNC110 - bounded by the story
            await asyncio.sleep(0.005)
        assert agent.counts["status"] - before <= 10

    play(socket_path, story, status_every_s=0.05)


def test_ok__a_change_of_the_door_is_heard_without_an_event(socket_path: Path) -> None:
    """The status says how the door is by now."""

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        await agent.start()
        await agent.asked_for("status", 1)
        agent.door["lock"] = "fire"
        while not any(event.get("doors", {}).get("front", {}).get("lock") == "fire" for event in ear.heard):  # noqa: ASYNC110 - bounded by the story
            await asyncio.sleep(0.005)

    play(socket_path, story, status_every_s=0.05)


@pytest.mark.parametrize("line", [b"nonsense\n", b"[]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"x" * 2_000_000 + b"\n"])
def test_fail__an_agent_that_talks_nonsense_is_left_and_tried_again(socket_path: Path, line: bytes) -> None:
    """Nothing of it is believed; the link begins anew."""

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        await agent.start()
        while "status" not in ear.names:  # noqa: ASYNC110 - bounded by the story
            await asyncio.sleep(0.005)
        before = ear.names
        await agent.say(line)
        await ear.until(*before, "agent_away", "status")

    play(socket_path, story)


def test_fail__an_agent_that_turns_away_or_hangs_counts_as_away(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a refusal nor silence is taken for a door that is well."""
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    monkeypatch.setattr(module, "STATUS_ANSWER_S", 0.1)

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        agent.answers["events"] = {"ok": False, "error": "this user may not speak to the agent"}
        await agent.start()
        await agent.asked_for("events", 2)
        assert ear.names == ["agent_away"]
        agent.answers.clear()
        await ear.until("agent_away", "status")
        agent.is_deaf = True
        await ear.until("agent_away", "status", "agent_away")
        agent.is_deaf = False
        await ear.until("agent_away", "status", "agent_away", "status")

    play(socket_path, story, status_every_s=0.05)


def test_fail__a_hung_agent_is_seen_by_its_status_alone(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within five seconds as shipped, however long other answers are waited for."""
    assert module.STATUS_EVERY_S + module.STATUS_ANSWER_S <= 5
    monkeypatch.setattr(module, "STATUS_ANSWER_S", 0.1)
    monkeypatch.setattr(module, "ANSWER_S", 600.0)

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        await ear.until("agent_away")
        await agent.start()
        await ear.until("agent_away", "status")
        agent.is_deaf = True
        await ear.until("agent_away", "status", "agent_away")

    play(socket_path, story, status_every_s=0.05)


def test_fail__an_agent_that_cannot_say_how_it_is_is_there_all_the_same(socket_path: Path) -> None:
    """Its disk may be gone: its events are followed on, and nothing of it counts as away."""

    async def story(agent: PlayedAgent, _link: Link, ear: Ear) -> None:
        agent.answers["status"] = {"ok": False, "error": "the store cannot be read"}
        await ear.until("agent_away")
        await agent.start()
        await ear.until("agent_away", "status_refused")
        await agent.tell("refused", door="front", reason="store_failed")
        await ear.until("agent_away", "status_refused", "refused", "status_refused")
        agent.answers.clear()
        await ear.until("agent_away", "status_refused", "refused", "status_refused", "status")

    play(socket_path, story, status_every_s=0.05)


def test_ok__a_request_is_asked_once_and_answered(socket_path: Path) -> None:
    """The answer is the agent's own; a refusal has its words and its reason."""

    async def story(agent: PlayedAgent, link: Link, _ear: Ear) -> None:
        agent.answers["screen_pin"] = {"ok": True, "taken": True}
        agent.answers["screen_staff"] = {"ok": False, "error": "no", "reason": "wrong_pin"}
        await agent.start()
        assert await link.ask({"do": "screen_pin", "pin": "1"}) == {"ok": True, "taken": True}
        with pytest.raises(RequestRefusedError, match=r"^no$") as refused:
            await link.ask({"do": "screen_staff"})
        assert refused.value.reason == "wrong_pin"
        assert (agent.counts["screen_pin"], agent.counts["screen_staff"]) == (1, 1)

    play(socket_path, story)


def test_fail__a_request_without_an_answer_is_told_and_not_repeated(socket_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, a hang and a hang-up each are an agent that is absent."""
    monkeypatch.setattr(module, "ANSWER_S", 0.1)

    async def story(agent: PlayedAgent, link: Link, _ear: Ear) -> None:
        with pytest.raises(AgentAbsentError, match="No such file"):
            await link.ask({"do": "screen_pin"})
        agent.is_deaf = True
        await agent.start()
        with pytest.raises(AgentAbsentError, match="does not answer"):
            await link.ask({"do": "screen_pin"})
        await agent.stop()
        hanging_up = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), socket_path)
        with pytest.raises(AgentAbsentError):
            await link.ask({"do": "screen_pin"})
        hanging_up.close()
        assert agent.counts["screen_pin"] == 0

    play(socket_path, story)


def test_ok__what_is_sent_is_one_line_of_json(socket_path: Path) -> None:
    """Whatever is in a text, it cannot be taken for another request."""

    async def story(agent: PlayedAgent, link: Link, _ear: Ear) -> None:
        await agent.start()
        await link.ask({"do": "screen_staff", "reason": 'a\n{"do":"unlock"}'})
        asked = [one for one in agent.asked if one["do"] == "screen_staff"]
        assert asked == [{"do": "screen_staff", "reason": 'a\n{"do":"unlock"}'}]
        assert agent.counts["unlock"] == 0

    play(socket_path, story)

"""Days on a wall, compressed: scans without end, and neither the kiosk, the agent nor the page grows by them.

SOAK=100000 for so many scans; a few hundred otherwise. A page follows all the while, and is touched now and then.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from agent import protocol
from agent.errors import AgentError
from tests.browser.chromium import chromium
from tests.kiosk.wall import Kiosk, Wall, rss_kib

SCANS = int(os.environ.get("SOAK", "400"))
CODES = 400
"""Of one kind: more than are shown within the time in which the same bytes are the same scan."""
ROUND = max(SCANS // 20, 50)
WARM = 0.3
"""So much of it fills caches, pools and tables that are kept for good."""
PATIENCE_S = 20
SERVER_KIB, HEAP_KIB = 3072, 512
"""What may come and go at any moment: arenas, buffers, the garbage that was not collected yet."""
BYTES_A_SCAN = 20
"""Less than anything that is kept for each scan would be."""

pytestmark = pytest.mark.timeout(120 + SCANS // 10)
Play = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is held: by the processes in KiB, by the page's scripts in KiB, and how many nodes and listeners it has."""

    kiosk: int
    agent: int
    heap: int
    nodes: int
    listeners: int


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[Wall]:
    """A door without a desk, and a Knock that does not answer: visits wait."""
    made = Wall(tmp_path_factory.mktemp("wall"), has_desk=False)
    play(made.open())
    try:
        play(made.stage.admin("PUT", "/faults/*", {"kind": "refuse"}))
        play(made.start(guesses=50))
        yield made
    finally:
        play(made.close())


def test_ok__memory_stays_flat(wall: Wall) -> None:
    """After the first third nothing grows any more: not by a scan, a refusal, a lockout, an opened panel or another language."""
    kiosk = wall.kiosk(look="welcome_s = 3\nrefused_s = 5\nsounds = false")
    answers = follow(wall)
    sizes: list[tuple[int, Sizes]] = []
    with chromium() as browser:
        context = browser.new_context(has_touch=True, viewport={"width": 800, "height": 480}, locale="en-US", reduced_motion="reduce")
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(kiosk.url)
        expect(page.locator("html")).to_have_attribute("data-kind", "ready")
        ruler = context.new_cdp_session(page)
        texts = scans(wall)
        for done in range(ROUND, SCANS + 1, ROUND):
            for _ in range(ROUND):
                wall.stage.scan(next(texts))
                answers.get(timeout=PATIENCE_S)
            touch(page)
            sizes.append((done, measured(kiosk, wall, ruler)))
    assert len(sizes) >= 3
    warm = [size for done, size in sizes if done <= max(SCANS * WARM, ROUND)]
    first, (last_at, last) = warm[-1], sizes[-1]
    slack = BYTES_A_SCAN * last_at // 1024
    grown = {
        "kiosk": last.kiosk - first.kiosk - SERVER_KIB - slack,
        "agent": last.agent - first.agent - SERVER_KIB - slack,
        "heap": last.heap - first.heap - HEAP_KIB - slack,
        "nodes": last.nodes - first.nodes - 200,
        "listeners": last.listeners - first.listeners - 50,
    }
    sys.stdout.write("".join(f"{done} scans: {size}\n" for done, size in sizes))
    assert {name: by for name, by in grown.items() if by > 0} == {}, "\n".join(f"{done} {size}" for done, size in sizes)


def scans(wall: Wall) -> Iterator[str]:
    """What is shown to the scanner, one after the other: mostly refused, one in ten let in, no two alike soon after one another."""
    early = [wall.code(10_000 + number, from_ms=86_400_000, to_ms=90_000_000) for number in range(CODES)]
    other = [wall.code(20_000 + number, doors=("gym",)) for number in range(CODES)]
    good = [wall.code(30_000 + number, to_ms=80_000_000) for number in range(CODES)]
    number = 0
    while True:
        number += 1
        kinds = (early, other, good if number % 10 == 0 else early, None)
        kind = kinds[number % 4 if number % 10 else 2]
        yield f"HTTPS://EXAMPLE.COM/{number}" if kind is None else kind[number % CODES]


def follow(wall: Wall) -> queue.Queue[str]:
    """The outcomes of scans, as they come."""
    heard: queue.Queue[str] = queue.Queue()
    listening = threading.Event()

    def listen() -> None:
        with suppress(AgentError):
            for event in protocol.stream(wall.folder / "agent.sock", {"do": "events"}):
                listening.set()
                if event["event"] in {"admitted", "refused"}:
                    heard.put(str(event["event"]))

    threading.Thread(target=listen, daemon=True).start()
    assert listening.wait(PATIENCE_S)
    return heard


def touch(page: Page) -> None:
    """What a visitor touches: panels, keys, the other language and back."""
    for language in ("es", "en"):
        page.locator(f'[data-language="{language}"]').dispatch_event("click")
        expect(page.locator("html")).to_have_attribute("lang", language)
        for name in ("help", "pin"):
            page.locator(f"#{name}-open").dispatch_event("click")
            dialog = page.locator(f"#{'pad' if name == 'pin' else name}")
            dialog.locator("[data-close]").first.dispatch_event("click")


def measured(kiosk: Kiosk, wall: Wall, ruler: CDPSession) -> Sizes:
    """What is held now, after the page's garbage is collected."""
    for _ in range(2):
        ruler.send("HeapProfiler.collectGarbage")
    used = int(ruler.send("Runtime.getHeapUsage")["usedSize"]) // 1024
    counts = ruler.send("Memory.getDOMCounters")
    agent = int(wall.stage.agent_file("status").parent.name)
    return Sizes(rss_kib(kiosk.pid), rss_kib(agent), used, int(counts["nodes"]), int(counts["jsEventListeners"]))

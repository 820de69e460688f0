"""A door's screen: `make bench`, or `python -m tests.bench.kiosk`.

First paint from a cold cache; from the tick of the relay's release to the change on the page, and to the next frame after it; what the
agent, the kiosk and the browser hold in memory, and what that means for a board of 512 MB.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.chromium import chromium
from tests.kiosk.wall import Kiosk, Wall

SCANS = 100
PAINTS = 10
LIMIT_S = 30
SYSTEM_MB = 110
"""A system without a desktop: assumed, not measured here; `free -m` on the board says it better."""
COG_MB = 213
"""cage with cog 0.16 and one page, as the README has it; not measured here."""
BOARD_MB = 512 - 64
"""Of 512 MB the graphics take their part."""
WATCH = """
() => {
  window.seen = [];
  const now = () => performance.timeOrigin + performance.now();
  new MutationObserver(() => {
    const at = now(), unit = document.querySelector("#unit-list").textContent;
    const last = window.seen[window.seen.length - 1];
    if (!unit || (last && last.unit === unit)) return;
    const one = {unit, at, drawn: 0};
    window.seen.push(one);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { one.drawn = now(); };
      channel.port2.postMessage(0);
    });
  }).observe(document.querySelector("#unit-list"), {childList: true, subtree: true});
}
"""
Play = Callable[[Coroutine[Any, Any, Any]], Any]


def main() -> None:
    """Print all of it."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def play(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it returns
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(LIMIT_S)

    with tempfile.TemporaryDirectory(prefix="tourlatch-bench-") as name:
        wall = Wall(Path(name), has_desk=False)
        play(wall.open())
        try:
            play(wall.start())
            kiosk = wall.kiosk(look="welcome_s = 3\nrefused_s = 5\nsounds = false")
            kiosk.until(lambda state: state["kind"] == "ready")
            with chromium() as browser:
                first_paint(browser, kiosk)
                context = browser.new_context(viewport={"width": 800, "height": 480}, has_touch=True)
                page = context.new_page()
                page.goto(kiosk.url)
                page.wait_for_selector("html[data-kind=ready]")
                to_screen(page, wall, play)
                memory(wall, kiosk)
        finally:
            play(wall.close())


def first_paint(browser: Browser, kiosk: Kiosk) -> None:
    """Each time in a context that has nothing yet."""
    paints, readies = [], []
    for _ in range(PAINTS):
        context = browser.new_context(viewport={"width": 800, "height": 480})
        page = context.new_page()
        page.goto(kiosk.url)
        page.wait_for_selector("html[data-kind=ready]")
        readies.append(page.evaluate("performance.now()"))
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"))
        context.close()
    row("first paint, cold cache", paints)
    row("...and the door's state on it", readies)


def to_screen(page: Page, wall: Wall, play: Play) -> None:
    """The relay's own record of its release, against the browser's clock, which is compared with ours before and after."""
    page.evaluate(WATCH)
    before_ms = offset_ms(page)
    released: dict[str, int] = {}
    for number in range(SCANS):
        unit = f"U{number}"
        scanned_ns = time.monotonic_ns()
        wall.scan(wall.code(1000 + number, unit_names=(unit,)))
        released[unit] = play(wall.stage.relay_record("released", scanned_ns))
        play(wall.stage.relay_record("locked", released[unit]))
        page.wait_for_function("unit => window.seen.some((one) => one.unit === unit && one.drawn)", arg=unit)
        play(wall.stage.event("locked"))
    shift_ms = (before_ms + offset_ms(page)) / 2
    seen = {one["unit"]: one for one in page.evaluate("window.seen")}
    row("relay to the change of the page", [seen[unit]["at"] + shift_ms - at_ns / 1e6 for unit, at_ns in released.items()])
    row("relay to the frame drawn", [seen[unit]["drawn"] + shift_ms - at_ns / 1e6 for unit, at_ns in released.items()])


def offset_ms(page: Page) -> float:
    """What must be added to the page's clock to have the monotonic one of this machine, by the quickest of many questions."""
    best_ms, found = float("inf"), 0.0
    for _ in range(50):
        asked_ms = time.monotonic_ns() / 1e6
        at_ms = page.evaluate("performance.timeOrigin + performance.now()")
        answered_ms = time.monotonic_ns() / 1e6
        if answered_ms - asked_ms < best_ms:
            best_ms, found = answered_ms - asked_ms, (asked_ms + answered_ms) / 2 - at_ms
    return found


def memory(wall: Wall, kiosk: Kiosk) -> None:
    """Proportional set sizes: what is shared by several processes counts once."""
    agent, server = pss_mb(int(wall.stage.agent_file("status").parent.name)), pss_mb(kiosk.pid)
    shells = [pid for pid in descendants(os.getpid()) if "chrom" in name_of(pid)]
    page = sum(pss_mb(pid) for pid in shells)
    write("")
    write(f"memory in MB: agent {agent:.0f}, kiosk {server:.0f}, Chromium with this page {page:.0f} ({len(shells)} processes, headless)")
    for what, browser in (("cog", float(COG_MB)), ("Chromium", page)):
        total = SYSTEM_MB + agent + server + browser
        rest = BOARD_MB - total
        write(f"512 MB board ({BOARD_MB} MB for us) with {what}: {total:.0f} MB, {'leaves' if rest > 0 else 'lacks'} {abs(rest):.0f}")
    write(f"(the system's {SYSTEM_MB} MB are assumed, and cog's {COG_MB} MB with cage are the README's; Chromium is without cage)")


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text("ascii").split()]
    return [found for child in children for found in (child, *descendants(child))]


def name_of(pid: int) -> str:
    """The program's file."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace").rsplit("/", 1)[-1]


def pss_mb(pid: int) -> float:
    """Of one process, in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def row(name: str, ticks_ms: list[float]) -> None:
    """One line of the table."""
    ordered = sorted(ticks_ms)
    if name.startswith("first"):
        write(f"{'the screen':34} {'p50 ms':>8} {'p90 ms':>8} {'max ms':>8}")
    write(f"{name:34} {statistics.median(ordered):8.1f} {ordered[int(len(ordered) * 0.9) - 1]:8.1f} {ordered[-1]:8.1f}")


def write(line: str) -> None:
    """To stdout, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

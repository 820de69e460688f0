"""Looks at a door's screen as a person before it would, as axe would, and as whoever watches the network would; remembers what is wrong.

Rule 1: every look is taken at each size and in each language, by pages that stay open all the while: what is shown changes under them.
Rule 2: with an album a screenshot of each look is kept there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

SIZES: Mapping[str, tuple[int, int]] = {
    "800x480": (800, 480),
    "480x800": (480, 800),
    "1024x600": (1024, 600),
    "600x1024": (600, 1024),
    "1280x800": (1280, 800),
    "800x1280": (800, 1280),
    "1920x1080": (1920, 1080),
    "1080x1920": (1080, 1920),
}
TOUCH_PX = 44
TITLE_VMIN = 5.0
TEXT_VMIN = 3.0
"""Of the sentence below the title: README says what that is from two metres."""
LOOPBACK = "127.0.0.1"
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""All of it to level AA; `best-practice` beside it holds of one page, and not of a page with another one in a frame."""

FAULTS = """
([touch, title, text]) => {
  const faults = [];
  const wide = window.innerWidth, high = window.innerHeight;
  for (const one of [document.documentElement, document.body]) {
    if (one.scrollWidth > wide) faults.push(`${one.tagName} is ${one.scrollWidth} wide of ${wide}`);
    if (one.scrollHeight > high) faults.push(`${one.tagName} is ${one.scrollHeight} high of ${high}`);
  }
  const dialogs = [...document.querySelectorAll("dialog[open]")];
  const root = dialogs.length ? dialogs[dialogs.length - 1] : document.querySelector("#page");
  const isSeen = (one) => one.checkVisibility({opacityProperty: true, visibilityProperty: true}) && !one.closest(".unseen, [inert]");
  const nameOf = (one) => one.id ? "#" + one.id : one.tagName.toLowerCase() + "." + one.className;
  const scrolls = (one) => {
    for (let at = one; at && at !== root; at = at.parentElement) {
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowY) && at.scrollHeight > at.clientHeight) return at;
    }
    return null;
  };
  const within = (one, box) => {
    let [left, top, right, bottom] = [box.left, box.top, box.right, box.bottom];
    for (let at = one.parentElement; at && at !== root && at !== document.body; at = at.parentElement) {
      if (!["hidden", "clip"].includes(getComputedStyle(at).overflowY)) continue;
      const edge = at.getBoundingClientRect();
      [left, top] = [Math.max(left, edge.left), Math.max(top, edge.top)];
      [right, bottom] = [Math.min(right, edge.right), Math.min(bottom, edge.bottom)];
    }
    return Math.max(0, right - left) * Math.max(0, bottom - top) / (box.width * box.height);
  };
  for (const one of document.querySelectorAll("[aria-label]")) {
    if (/[<{]|^$/.test(one.getAttribute("aria-label"))) faults.push(`${nameOf(one)} is called ${one.getAttribute("aria-label")}`);
  }
  const texts = [];
  for (const one of root.querySelectorAll("*")) {
    if (!isSeen(one) || one.closest("svg") || one.closest("iframe")) continue;
    const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    const isTouched = one.matches("button, a, input, select, textarea");
    if (!own && !isTouched && !one.matches(".picture, img")) continue;
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const left = within(one, box);
    if (left === 0) continue;
    if (left < 0.97) faults.push(`${nameOf(one)} is cut off: ${Math.round(left * 100)} % of it are seen`);
    const inner = scrolls(one);
    if (!inner && (box.left < -1 || box.top < -1 || box.right > wide + 1 || box.bottom > high + 1)) {
      faults.push(`${nameOf(one)} is outside: ${[box.left, box.top, box.right, box.bottom].map(Math.round)} of ${wide}x${high}`);
    }
    if (own && !one.matches("select, option") && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline") {
      faults.push(`${nameOf(one)} is cut off: ${one.scrollWidth} of ${one.clientWidth} wide`);
    }
    if (isTouched && (box.width < touch || box.height < touch)) {
      faults.push(`${nameOf(one)} is too small to touch: ${Math.round(box.width)}x${Math.round(box.height)}`);
    }
    if (!inner) texts.push([one, box]);
  }
  const holds = (one, other) => one.contains(other) || other.contains(one);
  texts.forEach(([one, a], index) => {
    for (const [other, b] of texts.slice(index + 1)) {
      if (holds(one, other)) continue;
      const x = Math.min(a.right, b.right) - Math.max(a.left, b.left), y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (x > 2 && y > 2) faults.push(`${nameOf(one)} and ${nameOf(other)} overlap by ${Math.round(x)}x${Math.round(y)}`);
    }
  });
  if (!dialogs.length) {
    for (const [id, vmin] of [["title", title], ["text", text]]) {
      const size = parseFloat(getComputedStyle(document.getElementById(id)).fontSize);
      if (size < vmin * Math.min(wide, high) / 100 - 0.1) faults.push(`#${id} is ${size} px high`);
    }
  }
  return faults;
}
"""
SETTLED = """
async () => {
  for (let frames = 0; frames < 2; frames += 1) await new Promise(requestAnimationFrame);
  const ends = (one) => Number.isFinite(one.effect?.getComputedTiming().endTime);
  await Promise.all(document.getAnimations().filter(ends).map((one) => one.finished.catch(() => null)));
}
"""
"""The size is taken in and transitions are over: axe would measure the contrast of what is half faded."""


class Watch:
    """What pages ask of the network and say on the console: nothing but this machine, no fault, nothing against the policy."""

    def __init__(self, context: BrowserContext) -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.said.append(f"error: {error.error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def outside(self) -> list[str]:
        """Requests to anybody else."""
        return [url for url in self.asked if urlsplit(url).scheme not in {"data", "blob"} and urlsplit(url).hostname != LOOPBACK]

    def faults(self, *expected: str) -> list[str]:
        """What was said, but for lines that hold one of these."""
        return [line for line in self.said if not any(text in line for text in expected)]


class Eye:
    """Takes looks with one page for each language."""

    def __init__(self, pages: Mapping[str, Page], album: Path | None, *, is_whole: bool) -> None:
        self._pages = pages
        self._album = album
        self._is_whole = is_whole
        self.names: list[str] = []
        self.faults: list[str] = []

    def take(self, name: str, sizes: Collection[str] = tuple(SIZES), *, shared: int = 2) -> None:
        """What is shown now, at these sizes, shared out between the languages; if all is wanted, all in all, and axe each time.

        With `shared` 4 looks that are alike but for their words share out the sizes among each other, too.
        """
        self.names.append(name)
        turn, is_shared = len(self.names), len(self._pages) > 1 and len(sizes) > 1 and not self._is_whole
        for number, (language, page) in enumerate(self._pages.items()):
            looked = [size for index, size in enumerate(sizes) if not is_shared or (index + number + turn) % shared == 0]
            page.bring_to_front()  # a page behind another one is drawn once a second
            for index, size in enumerate(looked):
                width, height = SIZES[size]
                page.set_viewport_size({"width": width, "height": height})
                page.evaluate(SETTLED)
                found = page.evaluate(FAULTS, [TOUCH_PX, TITLE_VMIN, TEXT_VMIN])
                if self._is_whole or (index == turn % len(looked) and (shared == 2 or number == turn % len(self._pages))):
                    found += axe(page)
                self.faults += [f"{name} {language} {size}: {fault}" for fault in found]
                if self._album is not None:
                    page.screenshot(path=self._album / f"screen-{name}-{size}-{language}.png")


def axe(page: Page) -> list[str]:
    """What axe finds on the page and, each by itself since none reaches into another, in its frames."""
    tags = WCAG if len(page.frames) > 1 else [*WCAG, "best-practice"]
    options: dict[str, Any] = {"resultTypes": ["violations"], "runOnly": tags, "iframes": False, "preload": False}
    found = []
    for frame in page.frames:
        if not frame.evaluate("typeof window.axe === 'object'"):
            frame.evaluate(AXE_SCRIPT)
        response = frame.evaluate("(options) => window.axe.run(document, options)", options)
        found += [f"axe: {one['id']}: {one['help']} at {[node['target'] for node in one['nodes']]}" for one in response["violations"]]
    return found

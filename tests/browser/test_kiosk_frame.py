"""A desk that somebody else has taken over: whatever it puts into the frame stays there, and the screen's page hears nothing of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect

from agent.kiosk.run import Kiosk
from tests.browser.eye import LOOPBACK, Watch
from tests.kiosk.conftest import settings
from tests.kiosk.played_agent import PlayedAgent

pytestmark = pytest.mark.timeout(120)
Play = Callable[..., Any]
STAFF_PIN = "739164"
LEAK = "/juniper-flats/times?leak="
ATTACK = f"""
try {{ const s = parent.document.createElement("script"); s.src = "/static/evil.js"; parent.document.head.append(s); }} catch {{}}
try {{ top.document.title = "taken"; }} catch {{}}
document.documentElement.dataset.taken = "yes"; location.href = "{LEAK}ran";
"""
EVIL = f"""
document.addEventListener("click", (event) => fetch("{LEAK}" + event.target.textContent), true);
"""
PAGE = f"""<!doctype html><html lang="en"><head><title>times</title>
<script src="/static/a.js"></script><link rel="stylesheet" href="/static/a.css"><script>{ATTACK}</script></head>
<body onload='location.href="{LEAK}load"' onpointerdown='location.href="{LEAK}on"'><h1>times</h1>
<script type="module" src="/static/a.js"></script><svg><script href="/static/a.js"></script></svg>
<scr<script></script>ipt>{ATTACK}</scr<script></script>ipt>
<iframe src="/"></iframe><iframe srcdoc="&lt;script&gt;parent.location.href='{LEAK}srcdoc'&lt;/script&gt;"></iframe>
<object data="/screen/state"></object><embed src="/static/a.js">
<img src="/static/none.png" alt="" onerror='location.href="{LEAK}error"'>
<p><a id="script" href="javascript:location.href='{LEAK}link'">a</a></p><p><a id="up" href="{LEAK}top" target="_top">b</a></p>
<form id="pin" method="post" action="/screen/pin" enctype="text/plain">
<input type="hidden" name='{{"pin":"12345678","a":"' value='"}}'></form>
<form method="post" action="/juniper-flats/register"><input name="name" value="<b>Ada</b>"><button>go</button></form></body></html>"""
ODD = """
() => {
  const shapes = [
    "", "ready ", "READY", "field", "field ", "field <img src=x onerror=alert(1)>", "field none\\u0000", "field constructor",
    "constructor", "__proto__", "field __proto__", "x".repeat(1e6), null, undefined, 0, 1.5, true, [], ["ready"], [["field name"]], {},
    {toString: "field name"}, {word: "field name"}, {data: "ready"}, {order: "look", size_px: 900, is_dark: true},
    {order: "type", text: "x"}, {kind: "fire", is_dark: true}, new String("field name"), new Map([["field name", 1]]),
    new Error("field name"), new Uint8Array(9),
  ];
  for (const shape of shapes) for (const target of ["*", location.origin]) parent.postMessage(shape, target);
  return 2 * shapes.length;
}
"""
TRIED = """
async () => {
  const tried = {};
  const fails = async (name, does) => { try { tried[name] = String(await does()); } catch { tried[name] = "no"; } };
  await fails("document", () => parent.document.title);
  await fails("frames", () => top.frames[0].frameElement.outerHTML);
  await fails("element", () => frameElement?.outerHTML ?? "no");
  await fails("global", () => parent.Kiosk);
  await fails("storage", () => localStorage.length);
  await fails("session", () => sessionStorage.length);
  await fails("cookie", () => document.cookie);
  await fails("worker", () => navigator.serviceWorker.register("/static/a.js"));
  await fails("state", () => fetch("/screen/state").then((answer) => answer.text()));
  await fails("opaquely", () => fetch("/screen/state", {mode: "no-cors"}).then((answer) => answer.type));
  await fails("pin", () => fetch("/screen/pin", {method: "POST", body: "{}", mode: "no-cors"}).then((answer) => answer.type));
  await fails("top", () => { top.location.href = "/juniper-flats/times?leak=top"; return "asked"; });
  await fails("replace", () => { parent.location.replace("/juniper-flats/times?leak=replace"); return "asked"; });
  await fails("window", () => open("/juniper-flats/times?leak=window") ?? "no");
  await fails("script", () => new Promise((done, no) => {
    const made = document.createElement("script");
    made.src = "/static/a.js"; made.onload = () => done("ran"); made.onerror = no;
    document.head.append(made);
  }));
  return {...tried, origin: self.origin};
}
"""


class Desk:
    """A desk as whoever has taken it over would have it."""

    def __init__(self) -> None:
        self.page = PAGE
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                desk.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
                kind, body = "text/html", desk.page
                if self.path.startswith("/static/"):
                    kind, body = ("text/css", "h1 { color: rgb(1, 2, 3) }") if self.path.endswith(".css") else ("text/javascript", EVIL)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Set-Cookie", "a=b")
                self.send_header("Content-Security-Policy", "script-src *")
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                del format, args

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"

    def leaks(self) -> list[str]:
        """What reached it of the screen."""
        return [target for _, target, _ in self.asked if "leak=" in target]

    def close(self) -> None:
        """It is gone."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A played one."""
    made = Desk()
    yield made
    made.close()


@pytest.fixture
def kiosk(tmp_path: Path, play: Play, desk: Desk, browser: Browser) -> Iterator[Kiosk]:  # noqa: ARG001 - no browser, no kiosk
    """A kiosk beside a played agent, of that desk."""
    agent = PlayedAgent(tmp_path / "agent.sock")
    agent.answers["screen_staff"] = {"ok": False, "error": "this is not staff's PIN", "reason": "wrong_pin"}

    async def opened() -> Kiosk:
        return await Kiosk(settings(tmp_path / "agent.sock", book={"url": desk.url, "community": "juniper-flats"})).__aenter__()

    play(agent.start())
    made = play(opened())
    yield made
    play(made.__aexit__())
    play(agent.stop())


def booking(kiosk: Kiosk, context: BrowserContext, page: Page | None = None) -> tuple[Page, Frame]:
    """A page with the desk's in its frame."""
    page = page or context.new_page()
    page.goto(f"http://{LOOPBACK}:{kiosk.address[1]}/")
    page.locator("#book-open").tap()
    expect(page.frame_locator("#book iframe").locator("h1")).to_have_text("times")
    inside = next(frame for frame in page.frames if frame.parent_frame == page.main_frame)
    inside.wait_for_load_state("load")
    expect(page.locator("#book iframe")).to_be_visible()  # it has said that it is there
    return page, inside


def around(page: Page) -> str:
    """The screen's page, without its clock and what becomes of time."""
    return re.sub(r'<p id="clock".*?</p>', "", page.content(), flags=re.DOTALL)


def test_fail__nothing_that_a_desk_sends_runs(kiosk: Kiosk, desk: Desk, context: BrowserContext) -> None:
    """Scripts of every kind, handlers, frames and links of script: none runs, none is even fetched; its style and its form work."""
    page, inside = booking(kiosk, context)
    expect(page.frame_locator("#book iframe").locator("h1")).to_have_css("color", "rgb(1, 2, 3)")
    page.frame_locator("#book iframe").locator("#script").tap()
    page.frame_locator("#book iframe").locator("#up").tap()
    page.frame_locator("#book iframe").locator("h1").tap()
    assert inside.evaluate("document.documentElement.dataset.taken ?? 'no'") == "no"
    assert (page.url, page.title()) == (f"http://{LOOPBACK}:{kiosk.address[1]}/", "Juniper Flats")
    with page.expect_response(lambda answer: "/register" in answer.url) as answered:
        page.frame_locator("#book iframe").get_by_role("button", name="go").tap()
    assert answered.value.status == 200
    assert [target for _, target, _ in desk.asked if target.endswith(".js")] == []
    posted = [headers for method, _, headers in desk.asked if method == "POST"]
    assert [(headers["sec-fetch-site"], headers.get("cookie"), headers.get("origin")) for headers in posted] == [
        ("same-origin", None, None)
    ]
    assert (desk.leaks(), context.cookies()) == ([], [])


def test_fail__a_script_that_ran_there_all_the_same_would_be_alone(kiosk: Kiosk, desk: Desk, context: BrowserContext) -> None:
    """As if the policy had a hole: the frame has no origin, reaches no page, answer, store or window, and loads no script."""
    page, inside = booking(kiosk, context)
    before = around(page)
    assert inside.evaluate(TRIED) == {
        **dict.fromkeys(
            (
                *("document", "frames", "element", "global", "storage", "session", "cookie", "worker", "state", "opaquely", "pin"),
                *("top", "replace", "window", "script"),
            ),
            "no",
        ),
        "origin": "null",
    }
    assert ([one.url for one in context.pages], desk.leaks()) == ([f"http://{LOOPBACK}:{kiosk.address[1]}/"], [])
    assert around(page) == before


def test_fail__a_message_of_another_shape_or_from_elsewhere_is_passed_over(kiosk: Kiosk, context: BrowserContext) -> None:
    """A few fixed words of that one frame are taken; nothing that is sent gets into the page, and nothing of it becomes a fault."""
    page, inside = booking(kiosk, context)
    watch = Watch(context)
    page.evaluate("window.heard = 0; addEventListener('message', () => { window.heard += 1; })")
    before = around(page)
    sent = inside.evaluate(ODD)
    page.evaluate("postMessage('field name', '*')")
    page.wait_for_function("(sent) => window.heard === sent", arg=sent + 1)
    assert (around(page), page.locator("#keyboard").is_visible()) == (before, False)
    assert watch.faults() == []
    inside.evaluate("parent.postMessage('field letters', '*')")
    expect(page.locator("#keyboard")).to_be_visible()
    assert "Ada" not in page.content()


def test_fail__the_frame_takes_orders_from_the_screens_page_alone(kiosk: Kiosk, context: BrowserContext) -> None:
    """The page types; whoever else posts the same, types nothing, and what is no order of ours is passed over."""
    page, inside = booking(kiosk, context)
    page.frame_locator("#book iframe").locator('[name="name"]').tap()
    expect(page.locator("#keyboard")).to_be_visible()
    inside.evaluate("postMessage({order: 'type', text: 'evil'}, '*')")
    page.evaluate("for (const odd of [null, 'type', {order: 'constructor'}, {order: '__proto__'}, {}, 5]) frames[0].postMessage(odd, '*')")
    inside.evaluate("new Promise((done) => { addEventListener('message', done, {once: true}); postMessage('after', '*'); })")
    page.locator("#keyboard").get_by_role("button", name="z", exact=True).tap()
    expect(page.frame_locator("#book iframe").locator('[name="name"]')).to_have_value(re.compile("z"))
    assert "evil" not in page.frame_locator("#book iframe").locator('[name="name"]').input_value()


def test_fail__a_form_of_the_frames_reaches_the_booking_alone(kiosk: Kiosk, context: BrowserContext) -> None:
    """A form with a PIN in it, sent from the frame to the screen's own paths, is refused."""
    page, inside = booking(kiosk, context)
    with page.expect_response(lambda answer: answer.url.endswith("/screen/pin")) as answered:
        inside.evaluate("document.getElementById('pin').submit()")
    assert answered.value.status == 403


def test_ok__after_such_a_desk_staff_type_their_pin_unheard(kiosk: Kiosk, desk: Desk, context: BrowserContext) -> None:
    """The frame is shut, the PIN is typed, and the desk learns nothing of either."""
    page, _ = booking(kiosk, context)
    page.locator("#book-back").tap()
    expect(page.locator("#book iframe")).to_have_count(0)
    page.locator("#staff-open").tap()
    for digit in STAFF_PIN:
        page.locator("#keys").get_by_role("button", name=digit, exact=True).tap()
    with page.expect_response(lambda answer: answer.url.endswith("/screen/staff")):
        page.locator("#keys button.main").tap()
    assert desk.leaks() == []
    assert STAFF_PIN not in str(desk.asked)


def test_ok__what_the_desks_own_script_would_do_is_done(kiosk: Kiosk, desk: Desk, context: BrowserContext) -> None:
    """A form is sent once, and a page that waits for Knock looks again by itself; nobody's touch is made of that."""
    desk.page = """<!doctype html><html lang="en"><head><title>t</title></head><body><h1>times</h1><div data-look-again="1" hidden></div>
      <form method="post" action="/juniper-flats/register"><button data-busy="One moment">go</button></form></body></html>"""
    page = context.new_page()
    page.clock.install()
    page, inside = booking(kiosk, context, page)
    submit = """() => [1, 2].map(() => document.forms[0].dispatchEvent(new Event("submit", {bubbles: true, cancelable: true})))"""
    assert inside.evaluate(submit) == [True, False]
    assert inside.evaluate("document.querySelector('button').textContent") == "One moment"
    for _ in range(3):
        with page.expect_response(lambda answer: "/times" in answer.url) as answered:
            page.clock.run_for(1000)
        answered.value.finished()
        expect(page.frame_locator("#book iframe").get_by_role("button", name="go")).to_be_visible()
    page.clock.run_for(87_000)
    expect(page.locator("#book")).to_be_hidden()

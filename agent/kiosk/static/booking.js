// The booking's frame: the desk's pages stand in it, and the page's own words when they do not come.
"use strict";

(() => {
  const { byId, say, element } = Kiosk;
  const { open, quiet } = Panels;
  const NEWS = new Set(["welcome", "refused", "door_open", "please_close"]);
  const WARN_S = 20;
  const READY_MS = 3000; // a page of ours says that it is there while its head is read
  const AWAY_S = 4; // a kiosk that is started anew is back by then
  // what the frame shows when it shows no page of the desk's: which words, and whether to try again is offered
  const AWAY = { title: "book_away", text: "book_away_text", hasAgain: true };
  const UNKNOWN = { title: "book_unknown", text: "book_unknown_text", hasAgain: false };

  // The desk's pages stand in a frame whose origin is nobody's: neither side reaches into the other. Its one script (frame.js) tells one
  // of these words, and nothing else that comes from there is taken; what we tell it is our own look and our own keys.
  const WORDS = new Map([
    ["ready", ready],
    ["leaves", leaves],
    ["sent", () => { isSent = true; }],
    ["touched", () => { isTouchedSince = true; touch(); }],
    ["field none", () => Keyboard.close()],
    ...["letters", "digits", "name", "begun-name"].map((kind) => [`field ${kind}`, () => Keyboard.open(kind, order)]),
  ]);
  let timer = 0;
  let readyTimer = 0;
  let touched = 0;
  let isTouchedSince = false;
  let isReady = false;
  let isSent = false; // a form is on its way: until a page comes nobody knows what became of it
  let awayS = 0;
  let frame = null;

  function touch() {
    touched = Date.now();
    byId("book-idle").hidden = true;
    Kiosk.awake();
  }

  function show(path) {
    if (!path) return;
    const isDark = "dark" in document.documentElement.dataset;
    // its name is what it can read before anything is drawn
    frame = element("iframe", {
      title: say("book_title"), name: isDark ? "dark" : "light", sandbox: "allow-scripts allow-forms", referrerpolicy: "no-referrer",
    });
    frame.addEventListener("load", loaded);
    frame.src = path;
    leaves();
    byId("book-lost").hidden = true;
    byId("book-place").replaceChildren(frame);
    open("book");
    touch();
    clearInterval(timer);
    timer = setInterval(watch, 1000);
  }

  // The page in the frame goes: what comes in its place may be the browser's own, and is seen once it says that it is ours.
  function leaves() {
    isReady = false;
    frame?.classList.add("is-out");
  }

  function loaded() {
    const wasReady = isReady;
    isReady = false;
    stopWaiting();
    if (wasReady) return;
    frame.classList.add("is-out");
    Keyboard.close();
    if (Kiosk.state === null) return lose();
    readyTimer = setTimeout(lose, READY_MS);
    order("hello"); // what it said may have come too early
  }

  function stopWaiting() {
    clearTimeout(readyTimer);
    readyTimer = 0;
  }

  // No page of the desk's is there, nor will one come by itself. What was sent is never sent again from here.
  function lose() {
    const said = isSent ? UNKNOWN : AWAY;
    stopWaiting();
    Keyboard.close();
    frame = null;
    byId("book-place").replaceChildren();
    quiet("book-lost-title", say(said.title));
    quiet("book-lost-text", say(said.text));
    byId("book-again").hidden = !said.hasAgain;
    byId("book-lost").hidden = false;
    byId(said.hasAgain ? "book-again" : "book-back").focus();
  }

  window.addEventListener("message", (event) => {
    if (frame === null || event.source !== frame.contentWindow || typeof event.data !== "string") return;
    WORDS.get(event.data)?.();
  });

  // Whoever is in the frame may read it: nothing but keys and looks.
  function order(name, more = {}) {
    frame?.contentWindow?.postMessage({ order: name, ...more }, "*");
  }

  function ready() {
    // of a page that was loaded before it could say so, no load is to come
    isReady = !readyTimer;
    stopWaiting();
    isSent = false;
    frame.classList.remove("is-out");
    Keyboard.close();
    const size = parseFloat(getComputedStyle(document.documentElement).fontSize);
    order("look", { size_px: Math.max(16, size * 0.7), is_dark: "dark" in document.documentElement.dataset });
    // a page that somebody asked for wants reading; one that comes by itself is nobody's touch
    if (isTouchedSince) touch();
    isTouchedSince = false;
  }

  function watch() {
    awayS = Kiosk.state === null ? awayS + 1 : 0;
    if (awayS >= AWAY_S && frame !== null) lose();
    if (frame?.classList.contains("is-out")) order("hello");
    const idle = Kiosk.state?.book?.idle_s ?? 90;
    const left = Math.ceil(idle - (Date.now() - touched) / 1000);
    if (left <= 0) byId("book").close();
    else if (left <= Math.min(WARN_S, idle / 2)) {
      quiet("book-idle-text", say("book_idle_text", { n: left }));
      if (byId("book-idle").hidden) {
        byId("book-idle").hidden = false;
        byId("book-stay").focus();
      }
    }
  }

  let lastPath = "";
  byId("book-open").addEventListener("click", () => show(Kiosk.state?.book?.path));
  byId("time-list").addEventListener("click", (event) => show(event.target.closest("[data-path]")?.dataset.path));
  // from the times on: nothing of what was asked for last is asked for again
  byId("book-again").addEventListener("click", () => show(Kiosk.state?.book?.path ?? lastPath));
  byId("book-stay").addEventListener("click", touch);
  byId("book").addEventListener("pointerdown", () => { isTouchedSince = true; touch(); }, true);
  byId("book").addEventListener("close", () => {
    clearInterval(timer);
    stopWaiting();
    Keyboard.close();
    frame = null;
    awayS = 0;
    isReady = isSent = false;
    byId("book-place").replaceChildren();
    for (const id of ["book-idle", "book-lost"]) byId(id).hidden = true;
  });

  Kiosk.listen((told) => {
    if (told.book) lastPath = told.book.path;
    const news = byId("book-door");
    news.hidden = !NEWS.has(told.kind);
    news.textContent = news.hidden ? "" : told.title;
  });
})();

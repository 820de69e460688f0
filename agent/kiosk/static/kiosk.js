// What is shown: asks for the state, shows it, and goes on when nobody answers. Panels are in panels.js.
"use strict";

const Kiosk = (() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const facts = JSON.parse(byId("facts").textContent);
  const usualLanguage = root.lang;
  const TONES = {
    welcome: "good", door_open: "good", held_unlocked: "good", refused: "bad", fire: "fire",
    please_close: "warn", locked_out: "warn", out_of_order: "warn",
  };
  const NOT_YET = new Set(["too_early", "out_of_hours", "closed_day", "reentry_pause", "busy"]);
  const OFFERS = new Set(["too_late", "cancelled", "used_up"]); // another tour would help
  const WITH_PHONE = new Set(["starting", "refused", "locked_out", "out_of_order"]);
  const HELD_MS = 30_000; // the server holds an answer back for 25 s
  const OVER_MS = 2_000; // an answer whose time is over for so long is taken down, though nobody says so
  const AWAKE_MS = 30_000;
  const FORGET_MS = 90_000;
  const listeners = [];
  let language = usualLanguage;
  let state = null;
  let ahead = 0; // how far the agent's clock is ahead of this browser's
  let version = null;
  let failures = 0;
  let asking = null;
  let isChanged = false;
  let isOver = false;
  let touched = 0;
  let sounded = "";
  let audio = null;

  const say = (name, values = {}) =>
    (facts.labels[language][name] ?? "").replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  const now = () => Date.now() + ahead;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  // --- asking ---

  async function follow() {
    if (facts.is_remote && !facts.is_entered && !(await enter())) {
      nothing("no_token", "out_of_order");
      return;
    }
    for (;;) {
      asking = new AbortController();
      isChanged = false;
      let isLate = false;
      const limit = setTimeout(() => { isLate = true; asking.abort(); }, HELD_MS);
      try {
        const after = state === null ? "" : `&after=${state.number}`;
        const answer = await fetch(`/screen/state?lang=${language}${after}`, { signal: asking.signal, cache: "no-store" });
        if (answer.status === 401 && facts.is_remote) {
          location.reload(); // the token is another one by now: the page says how to come in
          return;
        }
        if (!answer.ok) throw new Error(String(answer.status));
        const told = await answer.json();
        failures = 0;
        if (!isChanged) take(told);
      } catch {
        if (isChanged) continue;
        state = null;
        failures += isLate || isOver ? 2 : 1;
        isOver = false;
        if (failures > 1) nothing("starting", "starting");
        await pause(Math.min(150 * 2 ** failures, 2000));
      } finally {
        clearTimeout(limit);
      }
    }
  }

  // Another device brings its token behind the #, which no server ever logs, and forgets it at once.
  async function enter() {
    const token = tokenIn(location.hash.slice(1));
    if (!token) return false;
    history.replaceState(null, "", location.pathname);
    for (;;) {
      try {
        const answer = await fetch("/screen/enter", {
          method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }),
        });
        if (answer.ok) location.reload();
        if (answer.status < 500) return answer.ok;
        await pause(2000);
      } catch {
        await pause(2000);
      }
    }
  }

  function tokenIn(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a % that begins nothing
    }
  }

  function take(told) {
    ahead = told.now_ms - Date.now();
    version ??= told.version;
    if (told.version !== version && (told.kind === "ready" || told.kind === "starting") && !document.querySelector("dialog[open]")) {
      location.reload(); // the server has just answered: it is there
      return;
    }
    state = told;
    show(told);
  }

  // --- showing ---

  // What the page says by itself: the server is not there, or this device may not look.
  function nothing(name, picture) {
    show({
      kind: "starting", picture, title: say(name), text: say(`${name}_text`), units: [], way: [], phone: facts.phone,
      is_dark: "dark" in root.dataset, is_dim: "dim" in root.dataset && failures > 0,
    });
  }

  function show(told) {
    const isNew = root.dataset.kind !== told.kind || ["title", "text"].some((id) => byId(id).textContent !== told[id]);
    root.dataset.kind = told.kind;
    mark("relocked", told.is_locked ? "" : undefined); // welcome, and outside still: what else can be done is within reach
    mark("tone", told.is_locked ? undefined : told.kind === "refused" && NOT_YET.has(told.reason) ? "wait" : TONES[told.kind]);
    mark("dark", told.is_dark ? "" : undefined);
    mark("dim", told.is_dim && Date.now() - touched > AWAKE_MS ? "" : undefined);
    const length = told.title.length;
    mark("title", length > 44 ? "long" : length > 24 ? "medium" : undefined);
    for (const one of document.querySelectorAll(".picture")) one.hidden = one.dataset.picture !== told.picture;
    byId("title").textContent = told.title;
    byId("text").textContent = told.text;
    byId("text").hidden = !told.text;
    byId("offline").hidden = !(told.is_offline && told.kind === "ready");
    byId("phone").hidden = !(facts.phone && WITH_PHONE.has(told.kind));
    showUnits(told);
    showTimes(told);
    showCountdown();
    showClock();
    if (!facts.is_remote) {
      byId("pin-open").hidden = !told.pin; // one that takes no PIN just now says so, and until when
      byId("book-open").hidden = !told.can_book;
      byId("help-open").hidden = !(told.has_help || facts.phone);
      const staff = byId("staff-open");
      if (staff) staff.hidden = !told.has_staff;
    }
    fit();
    if (isNew) byId("told").textContent = `${told.title}. ${told.text ?? ""}`;
    sound(told);
    for (const listener of listeners) listener(told);
  }

  function mark(name, value) {
    if (value === undefined) delete root.dataset[name];
    else root.dataset[name] = value;
  }

  function showUnits(told) {
    const units = told.kind === "welcome" ? told.units : [];
    const ways = new Map((told.way ?? []).map((one) => [one.unit, one.words]));
    byId("units").hidden = units.length === 0;
    mark("units", units.length > 2 && ways.size > 0 ? "many" : undefined);
    byId("unit-list").classList.toggle("has-ways", ways.size > 0);
    byId("unit-list").replaceChildren(
      ...units.map((unit) => element("li", {}, element("strong", {}, unit), ...(ways.has(unit) ? [element("span", {}, ways.get(unit))] : []))),
    );
  }

  function showTimes(told) {
    const isOffered = told.kind === "ready" || (told.kind === "refused" && OFFERS.has(told.reason));
    const times = isOffered && told.can_book && told.book ? told.book.times : [];
    byId("times").hidden = times.length === 0;
    byId("time-list").replaceChildren(
      ...times.map((one) => element("li", {}, element("button", { type: "button", "data-path": one.path }, one.text))),
    );
  }

  function showCountdown() {
    const place = byId("countdown");
    const left = state?.countdown_to_ms ? Math.ceil((state.countdown_to_ms - now()) / 1000) : 0;
    place.hidden = left <= 0 || left > 86_400;
    if (place.hidden) return;
    byId("countdown-label").textContent = say(state.kind === "locked_out" ? "again_in" : "opens_in");
    byId("countdown-time").textContent = lasting(left);
  }

  // So many seconds, for people.
  function lasting(left) {
    const hours = Math.floor(left / 3600);
    const minutes = Math.floor((left % 3600) / 60);
    return hours > 0 ? say("hours", { h: hours, m: minutes }) : `${minutes}:${String(left % 60).padStart(2, "0")}`;
  }

  function showClock() {
    if (state === null) return;
    const options = { hour: "numeric", minute: "2-digit", timeZone: facts.zone };
    byId("clock").textContent = new Intl.DateTimeFormat(`${language}-${facts.country}`, options).format(now());
  }

  // Words that are too many for the room become smaller, all of them by the same share.
  function fit() {
    shrink(byId("words"), document.querySelector("main"));
    const sheet = document.querySelector("dialog[open] .sheet");
    if (sheet) shrink(sheet, sheet);
  }

  function shrink(words, room) {
    for (let share = 1; share >= 0.35; share -= 0.05) {
      words.style.setProperty("--fit", share.toFixed(2));
      const inner = words.getBoundingClientRect();
      const outer = room.getBoundingClientRect();
      const isIn = inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
      if (isIn && words.scrollHeight <= words.clientHeight + 1 && words.scrollWidth <= words.clientWidth + 1) return;
    }
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // --- sounds ---

  const TONES_HZ = { granted: [[660, 0, 0.12], [880, 0.13, 0.22]], denied: [[330, 0, 0.16], [262, 0.19, 0.3]] };

  function sound(told) {
    const which = told.sound ? `${told.sound} ${Math.round((told.shown_until_ms ?? 0) / 500)}` : "";
    const before = sounded;
    sounded = which;
    if (!which || nearly(which, before)) return;
    try {
      audio ??= new AudioContext();
      if (audio.state === "suspended") audio.resume().catch(() => {});
      for (const [hz, after, lasts] of TONES_HZ[told.sound] ?? []) tone(hz, audio.currentTime + 0.02 + after, lasts);
    } catch {
      audio = null; // no sound card: the picture says it
    }
  }

  // The same answer told twice (another language) ends at the same instant, as nearly as clocks are read.
  function nearly(one, other) {
    const [kind, at] = one.split(" ");
    const [kindBefore, atBefore] = other.split(" ");
    return kind === kindBefore && Math.abs(Number(at) - Number(atBefore)) <= 1;
  }

  function tone(hz, at, lasts) {
    const source = audio.createOscillator();
    const volume = audio.createGain();
    source.frequency.value = hz;
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(0.25, at + 0.015);
    volume.gain.linearRampToValueAtTime(0, at + lasts);
    source.connect(volume).connect(audio.destination);
    source.start(at);
    source.stop(at + lasts + 0.02);
  }

  // --- language ---

  function speak(code) {
    if (code === language || !facts.labels[code]) return;
    language = code;
    root.lang = code;
    for (const one of document.querySelectorAll("[data-say]")) one.textContent = say(one.dataset.say);
    for (const one of document.querySelectorAll("[data-label]")) one.setAttribute("aria-label", say(one.dataset.label));
    for (const one of document.querySelectorAll("[data-language]")) one.hidden = one.dataset.language === code;
    showClock();
    const wasThere = state !== null;
    state = null;
    isChanged = true;
    asking?.abort();
    if (!wasThere && failures > 1) nothing("starting", "starting");
  }

  // --- a page on a wall ---

  function awake() {
    touched = Date.now();
    mark("dim", undefined);
  }

  function refuse(event) {
    event.preventDefault();
  }

  function guard(page) {
    for (const name of ["contextmenu", "dragstart", "selectstart", "gesturestart", "auxclick"]) page.addEventListener(name, refuse);
    page.addEventListener("wheel", (event) => event.ctrlKey && refuse(event), { passive: false });
    page.addEventListener("touchmove", (event) => event.touches.length > 1 && refuse(event), { passive: false });
    page.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || /^F\d+$|^Browser|^Launch/.test(event.key)) refuse(event);
    });
    for (const name of ["pointerdown", "keydown"]) page.addEventListener(name, awake, true);
  }

  function begin() {
    guard(document);
    for (const one of document.querySelectorAll("[data-language]")) {
      one.addEventListener("click", () => {
        awake();
        speak(one.dataset.language);
        document.querySelector("[data-language]:not([hidden])")?.focus();
      });
    }
    window.addEventListener("resize", fit);
    setInterval(() => {
      if (state?.shown_until_ms && now() > state.shown_until_ms + OVER_MS) {
        isOver = true;
        state = null;
        nothing("starting", "starting");
        asking?.abort();
      }
      showCountdown();
      showClock();
      if (state?.is_dim && Date.now() - touched > AWAKE_MS) mark("dim", "");
      // the next visitor finds the usual language again
      if (!facts.is_remote && language !== usualLanguage && Date.now() - touched > FORGET_MS && !document.querySelector("dialog[open]")) {
        speak(usualLanguage);
      }
    }, 1000);
    fit();
    follow();
  }

  // After the other scripts, which listen from the first state on.
  document.addEventListener("DOMContentLoaded", begin);
  return {
    byId, say, now, element, awake, lasting, fit,
    get state() { return state; },
    get language() { return language; },
    get facts() { return facts; },
    listen: (listener) => listeners.push(listener),
  };
})();

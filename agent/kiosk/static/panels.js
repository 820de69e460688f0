// What is touched: the PIN pad and the call for help. The booking's frame is in booking.js, what staff see in staff.js.
"use strict";

const Panels = (() => {
  const { byId, say, now, element } = Kiosk;
  const ANSWERS = new Set(["checking", "welcome", "refused", "door_open", "held_unlocked", "fire"]);
  const WAIT_MS = 5000;
  const PIN_DIGITS = 8;
  const SVG = "http://www.w3.org/2000/svg";

  // --- asking the server ---

  class Refused extends Error {
    constructor(told) {
      super(told.error ?? "");
      this.reason = told.reason ?? "";
    }
  }

  async function post(path, body) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), 15_000);
    try {
      const answer = await fetch(path, {
        method: "POST", signal: limit.signal, cache: "no-store", body: JSON.stringify(body),
        headers: { "content-type": "application/json", "x-screen-token": Kiosk.state?.token ?? "" },
      });
      const told = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Refused(answer.status === 503 ? { reason: "absent" } : told);
      return told;
    } finally {
      clearTimeout(timer);
    }
  }

  const REASONS = {
    absent: "no_agent", wrong_pin: "staff_wrong", locked_out: "staff_locked_out", no_staff_pin: "staff_no_pin", busy: "staff_busy",
    no_pin: "staff_wrong",
  };

  const trouble = (error) => say(REASONS[error.reason] ?? "unreached");

  function quiet(id, text) {
    const place = byId(id);
    if (!place) return;
    place.textContent = text;
    if (place.closest(".sheet")) Kiosk.fit();
  }

  // --- dialogs ---

  function open(id) {
    const dialog = byId(id);
    if (!dialog.open) dialog.showModal();
    Kiosk.fit();
    return dialog;
  }

  for (const dialog of document.querySelectorAll("dialog")) {
    for (const button of dialog.querySelectorAll("[data-close]")) button.addEventListener("click", () => dialog.close());
  }

  // --- typing digits ---

  let pinTimer = 0; // of the PIN that was sent last

  const Pad = (() => {
    let typed = [];
    let job = null; // { digits: [least, most], title, text, count, done, isShuffled, clearMs }
    let timer = 0;
    let lockTimer = 0; // runs while no PIN is taken

    function begin(wanted) {
      job = wanted;
      typed = [];
      quiet("pad-title", say(job.title));
      quiet("pad-text", say(job.text));
      quiet("pad-said", "");
      quiet("pad-told", "");
      draw();
      dots();
      open("pad");
      // the first digit is nobody's by the focus alone
      byId("pad").querySelector("[data-close]").focus();
      wake();
    }

    function draw() {
      const digits = [..."1234567890"];
      if (job.isShuffled) shuffle(digits);
      const keys = digits.map((digit) => {
        const key = element("button", { type: "button" }, digit);
        key.addEventListener("click", () => add(digit));
        return key;
      });
      const hasEnter = job.digits[0] !== job.digits[1];
      const erase = sign("M9 6h11v12H9l-6-6zM12 9.5l5 5M17 9.5l-5 5", "erase", () => { typed.pop(); changed(); });
      const other = hasEnter ? element("button", { type: "button", class: "main" }, say("enter")) : sign("M6 6l12 12M18 6L6 18", "clear", clear);
      if (hasEnter) other.addEventListener("click", finish);
      byId("keys").replaceChildren(...keys.slice(0, 9), ...(hasEnter ? [erase, keys[9], other] : [other, keys[9], erase]));
    }

    function sign(path, label, does) {
      const picture = document.createElementNS(SVG, "svg");
      picture.setAttribute("viewBox", "0 0 24 24");
      picture.setAttribute("aria-hidden", "true");
      picture.append(document.createElementNS(SVG, "path"));
      picture.firstChild.setAttribute("d", path);
      const made = element("button", { type: "button", class: "sign", "aria-label": say(label) }, picture);
      made.addEventListener("click", does);
      return made;
    }

    function shuffle(digits) {
      for (let last = digits.length - 1; last > 0; last -= 1) {
        const other = below(last + 1);
        [digits[last], digits[other]] = [digits[other], digits[last]];
      }
    }

    // Every number below `count` equally often.
    function below(count) {
      const most = 256 - (256 % count);
      for (;;) {
        const [found] = crypto.getRandomValues(new Uint8Array(1));
        if (found < most) return found % count;
      }
    }

    function add(digit) {
      if (job.isWaiting || isLockedOut() || typed.length >= job.digits[1]) return;
      typed.push(digit);
      changed();
      if (typed.length === job.digits[1] && job.digits[0] === job.digits[1]) finish();
    }

    function changed() {
      wake();
      dots();
      quiet("pad-said", "");
      byId("dots").dataset.count = typed.length;
      quiet("pad-told", say(job.count, { n: typed.length }));
    }

    // Never a digit: only how many there are.
    function dots() {
      const least = job.digits[0];
      const count = Math.max(least, typed.length);
      byId("dots").replaceChildren(...Array.from({ length: count }, (_, at) => element("i", at < typed.length ? { class: "is-typed" } : {})));
    }

    function clear() {
      typed = [];
      dots();
      wake();
    }

    function finish() {
      if (typed.length < job.digits[0]) return;
      const all = typed.join("");
      const mine = job;
      clear();
      job.done(all, {
        // whoever waits for an answer is still there: neither gone back nor covered by fire
        get isOn() { return job === mine && byId("pad").open; },
        wait(isWaiting) { mine.isWaiting = isWaiting; },
        say(text) { if (this.isOn) quiet("pad-said", text); },
      });
    }

    function isLockedOut() {
      return job?.canLock && (Kiosk.state?.pin?.locked_to_ms ?? 0) > now();
    }

    function wake() {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (typed.length > 0) {
          clear();
          quiet("pad-said", say("pin_cleared"));
        } else byId("pad").close();
      }, job.clearMs);
    }

    function look() {
      if (!byId("pad").open) return;
      const isShut = isLockedOut();
      for (const key of byId("keys").children) key.disabled = isShut;
      if (isShut) {
        if (typed.length > 0) clear();
        quiet("pad-said", say("pin_wait"));
        const left = Math.ceil((Kiosk.state.pin.locked_to_ms - now()) / 1000);
        quiet("pad-text", `${say("again_in")} ${Kiosk.lasting(left)}`);
        if (!lockTimer) lockTimer = setInterval(look, 1000);
      } else if (lockTimer) {
        clearInterval(lockTimer);
        lockTimer = 0;
        quiet("pad-said", "");
        quiet("pad-text", say(job.text));
      }
    }

    function end() {
      clearTimeout(timer);
      clearInterval(lockTimer);
      lockTimer = 0;
      typed = [];
      job = null;
      clearTimeout(pinTimer);
      byId("keys").replaceChildren();
      byId("dots").replaceChildren();
      byId("dots").removeAttribute("data-count");
    }

    byId("pad").addEventListener("close", end);
    byId("pad").addEventListener("keydown", (event) => {
      if (/^[0-9]$/.test(event.key)) add(event.key);
      else if (event.key === "Backspace") { typed.pop(); changed(); }
      else if (event.key === "Enter" && event.target === event.currentTarget) finish();
    });
    return {
      begin, look,
      isFor: (title) => byId("pad").open && job?.title === title,
    };
  })();

  byId("pin-open").addEventListener("click", () => {
    const settings = Kiosk.state?.pin;
    if (!settings) return;
    Pad.begin({
      digits: [PIN_DIGITS, PIN_DIGITS], title: "pin_title", text: "pin_text", count: "pin_typed", done: sendPin,
      isShuffled: settings.is_shuffled, clearMs: settings.clear_s * 1000, canLock: true,
    });
    Pad.look();
  });

  async function sendPin(pin, attempt) {
    clearTimeout(pinTimer);
    attempt.wait(true);
    attempt.say(say("pin_checking"));
    try {
      const told = await post("/screen/pin", { pin });
      if (!told.taken) attempt.say(say("just_now"));
      // the answer comes as the screen's next state, and shuts this panel; if it does not come, the visitor must hear that
      else if (attempt.isOn) pinTimer = setTimeout(() => attempt.say(say("no_agent")), WAIT_MS);
    } catch (error) {
      attempt.say(say(error.reason === "absent" ? "no_agent" : "unreached"));
    } finally {
      attempt.wait(false);
    }
  }

  // --- help ---

  // Without a number to call, and with one.
  const HELP_SAID = {
    told: ["help_told", "help_told"], trying: ["help_trying", "help_trying_call"],
    failed: ["help_failed", "help_failed_call"], nobody: ["help_noted", "help_noted_call"],
  };

  let helpTimer = 0;
  byId("help-open").addEventListener("click", () => {
    quiet("help-said", Kiosk.state?.has_help ? "" : say("help_only_phone"));
    byId("help-staff").hidden = !Kiosk.state?.has_help;
    byId("help-call").disabled = false;
    open("help");
    shutHelpLater(60_000);
  });
  byId("help-call").addEventListener("click", async () => {
    byId("help-call").disabled = true;
    shutHelpLater(60_000);
    quiet("help-said", say("starting"));
    try {
      const told = await post("/screen/help", {});
      quiet("help-said", say(HELP_SAID[told.staff]?.[Kiosk.facts.phone ? 1 : 0] ?? "help_trying"));
    } catch (error) {
      byId("help-call").disabled = false;
      quiet("help-said", trouble(error));
    }
  });
  byId("help").addEventListener("close", () => clearTimeout(helpTimer));

  function shutHelpLater(ms) {
    clearTimeout(helpTimer);
    helpTimer = setTimeout(() => byId("help").close(), ms);
  }

  // --- what the door does meanwhile ---

  Kiosk.listen((told) => {
    if (told.kind === "fire") for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    if (Pad.isFor("pin_title")) {
      if (ANSWERS.has(told.kind)) byId("pad").close();
      else Pad.look();
    }
    if (byId("help").open && told.kind === "welcome") byId("help").close();
  });

  return { Pad, open, post, quiet, trouble };
})();

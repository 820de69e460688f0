// What staff see behind their PIN, and what they may order; all of it is gone when it is shut.
"use strict";

(() => {
  const { byId, say, now, element } = Kiosk;
  const { Pad, open, post, quiet, trouble } = Panels;
  const STAFF_DIGITS = [6, 12];
  const ORDERS = { unlock: ["staff_unlock_title", "staff_unlocked"], lock: ["staff_lock_title", "staff_locked"] };

  let staffPin = "";
  let staffTimer = 0;
  let order = "unlock"; // what a reason is asked for

  byId("staff-open")?.addEventListener("click", () => {
    Pad.begin({
      digits: STAFF_DIGITS, title: "staff_title", text: "staff_text", count: "staff_typed", clearMs: 20_000,
      isShuffled: Kiosk.state?.pin?.is_shuffled ?? false, canLock: false,
      done: async (pin, attempt) => {
        attempt.wait(true);
        try {
          const told = await post("/screen/staff", { pin, what: "show" });
          if (!attempt.isOn) return; // whoever typed it went back, or has left: nobody is shown anything
          staffPin = pin;
          byId("pad").close();
          showStaff(told);
          quiet("staff-said", "");
          askReason(null);
          open("staff");
          touchStaff();
        } catch (error) {
          attempt.say(trouble(error));
        } finally {
          attempt.wait(false);
        }
      },
    });
  });

  function touchStaff() {
    clearTimeout(staffTimer);
    staffTimer = setTimeout(() => byId("staff").close(), (Kiosk.state?.staff_idle_s ?? 60) * 1000);
  }

  function timeOf(ms) {
    const options = { hour: "numeric", minute: "2-digit", timeZone: Kiosk.facts.zone };
    return new Intl.DateTimeFormat(`${Kiosk.language}-${Kiosk.facts.country}`, options).format(ms);
  }

  function showStaff(told) {
    const tours = (told.tours ?? []).map((tour) => {
      const came = typeof tour.admitted_ms === "number";
      const isOver = !came && typeof tour.end_ms === "number" && tour.end_ms < now();
      const state = came ? say("staff_came", { time: timeOf(tour.admitted_ms) }) : say(isOver ? "staff_over" : "staff_expected");
      const when = typeof tour.start_ms === "number" ? `${timeOf(tour.start_ms)} – ${timeOf(tour.end_ms)}` : "";
      return element("li", {},
        ...(when ? [element("span", { class: "when" }, when)] : []), element("strong", {}, (tour.units ?? []).join(", ").replaceAll("-", "\u2011")),
        element("span", { class: came ? "state is-good" : "state" }, state));
    });
    const events = (told.entries ?? []).map((entry) => {
      const what = say(`event_${entry.kind}`) || entry.kind;
      const why = entry.reason ? say(`why_${entry.reason}`) || entry.reason : "";
      return element("li", {}, element("time", {}, timeOf(entry.at_ms)), why ? `${what}: ${why}` : what);
    });
    byId("staff-tours").replaceChildren(...(tours.length ? tours : [element("li", {}, say("staff_no_tours"))]));
    byId("staff-events").replaceChildren(...(events.length ? events : [element("li", {}, say("staff_no_events"))]));
    const outbox = told.outbox ?? {};
    const waiting = (outbox.due ?? 0) + (outbox.sending ?? 0) + (outbox.in_doubt ?? 0);
    const link = told.knock?.is_up;
    const rows = [
      ["staff_clock", say(`clock_${told.clock?.state}`) || "?"],
      ["staff_knock", say(link === true ? "staff_up" : link === false ? "staff_down" : "staff_unknown")],
      ["staff_outbox", outbox.dead ? `${waiting}; ${say("staff_dead", { n: outbox.dead })}` : String(waiting)],
    ];
    byId("staff-facts").replaceChildren(...rows.map(([name, value]) => element("div", {}, element("dt", {}, say(name)), element("dd", {}, value))));
  }

  // One after the other: the agent looks at one PIN at a time, and an order must not meet the look before it.
  let staffTurn = Promise.resolve();
  function askStaff(what, reason, done) {
    touchStaff();
    const pin = staffPin; // what was touched is done, though the panel is shut meanwhile
    staffTurn = staffTurn.then(() => askStaffNow(pin, what, reason, done));
  }

  async function askStaffNow(pin, what, reason, done) {
    try {
      const told = await post("/screen/staff", { pin, what, reason });
      if (byId("staff").open) done(told);
      if (what === "show" || !byId("staff").open) return;
      const look = await post("/screen/staff", { pin, what: "show", reason: "" });
      if (byId("staff").open) showStaff(look);
    } catch (error) {
      quiet("staff-said", error.reason === "too_many" ? say("staff_too_many") : trouble(error));
    }
  }

  if (byId("staff")) {
    byId("staff").addEventListener("pointerdown", touchStaff, true);
    byId("staff").addEventListener("close", () => {
      clearTimeout(staffTimer);
      staffPin = "";
      for (const id of ["staff-tours", "staff-events", "staff-facts"]) byId(id).replaceChildren();
    });
    byId("staff-again").addEventListener("click", () => askStaff("show", "", showStaff));
    for (const name of Object.keys(ORDERS)) {
      byId(`staff-${name}`).addEventListener("click", () => {
        askReason(name);
        byId("staff-reasons").querySelector("button:not([hidden])").focus();
      });
    }
    byId("staff-not").addEventListener("click", () => hideReasons());
    for (const button of byId("staff-reasons").querySelectorAll("[data-reason]")) {
      button.addEventListener("click", () => {
        const done = order;
        hideReasons();
        askStaff(done, button.dataset.reason, (told) => quiet("staff-said", say(told.is_fire ? "staff_in_fire" : ORDERS[done][1])));
      });
    }
  }

  // What lies under the reasons is out of reach, for readers of the screen, too. Without an order there is nothing to ask.
  function askReason(name) {
    byId("staff-reasons").hidden = name === null;
    for (const part of document.querySelectorAll(".staff-bar, .staff-parts")) part.inert = name !== null;
    if (name === null) return;
    order = name;
    byId("staff-reasons-title").dataset.say = ORDERS[name][0];
    quiet("staff-reasons-title", say(ORDERS[name][0]));
    for (const button of byId("staff-reasons").querySelectorAll("[data-order]")) button.hidden = button.dataset.order !== name;
  }

  function hideReasons() {
    askReason(null);
    byId(`staff-${order}`).focus();
  }
})();

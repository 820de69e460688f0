// The one script that runs in the booking's frame, put there by the kiosk: its origin is nobody's, so it speaks with the screen's page by
// messages alone. It tells one of a few fixed words, and never anything that stands on the desk's page.
"use strict";

(() => {
  const TYPED = new Set(["text", "email", "tel", "search", "url", "password", "number"]);
  const TOLD_MS = 500;
  const page = document;
  let field = null;
  let toldAt = 0;

  const tell = (word) => parent.postMessage(word, location.origin);
  const refuse = (event) => event.preventDefault();
  const takes = (one) => one?.tagName === "TEXTAREA" || (one?.tagName === "INPUT" && TYPED.has(one.type));

  // --- a page on a wall: touches count, and nothing leads out of it ---

  function touched(event) {
    if (!event.isTrusted || Date.now() - toldAt < TOLD_MS) return;
    toldAt = Date.now();
    tell("touched");
  }

  for (const name of ["pointerdown", "touchmove", "keydown"]) page.addEventListener(name, touched, { capture: true, passive: true });
  for (const name of ["contextmenu", "dragstart", "selectstart", "gesturestart", "auxclick"]) page.addEventListener(name, refuse);
  page.addEventListener("wheel", (event) => event.ctrlKey && refuse(event), { passive: false });
  page.addEventListener("touchmove", (event) => event.touches.length > 1 && refuse(event), { passive: false });
  page.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^F\d+$|^Browser|^Launch/.test(event.key)) refuse(event);
  });
  page.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && (new URL(link.href).origin !== location.origin || link.hasAttribute("download") || link.target)) refuse(event);
  }, true);

  // --- what the desk's own script does, which does not come here ---

  page.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) return refuse(event);
    form.dataset.sent = "yes";
    if (form.method === "post") tell("sent");
    const button = event.submitter ?? form.querySelector("button");
    if (button?.dataset.busy) button.textContent = button.dataset.busy;
  });

  page.addEventListener("DOMContentLoaded", () => {
    const again = page.querySelector("[data-look-again]");
    if (again) setTimeout(() => location.reload(), 1000 * Math.max(1, Number(again.dataset.lookAgain) || 5));
  });

  window.addEventListener("pagehide", () => tell("leaves"));

  // --- fields, and the keys of the screen's page ---

  function kindOf(one) {
    if (!takes(one)) return "none";
    if (one.type === "tel" || one.type === "number") return "digits";
    if (!/name/.test(one.name ?? "")) return "letters";
    return one.value ? "begun-name" : "name";
  }

  page.addEventListener("focusin", (event) => {
    field = takes(event.target) ? event.target : null;
    tell(`field ${kindOf(event.target)}`);
  });
  // the keys came or went: the field must be seen
  window.addEventListener("resize", () => field?.scrollIntoView({ block: "center" }));

  function edit(command, text) {
    if (!field?.isConnected) return leave();
    if (page.activeElement !== field) field.focus();
    // typed as by keys: it goes where the caret is, in fields of every type, and can be undone
    page.execCommand(command, false, text);
  }

  function leave() {
    field?.blur();
    field = null;
    tell("field none");
  }

  function forward() {
    const fields = [...(field?.form?.elements ?? [])].filter((one) => takes(one) && one.offsetParent !== null);
    const next = fields[fields.indexOf(field) + 1];
    if (next) next.focus();
    else leave();
  }

  // Our own pages follow the one mark, the desk's the other.
  function shade(isDark) {
    const root = page.documentElement;
    root.style.colorScheme = isDark ? "dark" : "light";
    root.dataset.scheme = isDark ? "dark" : "light";
    root.toggleAttribute("data-dark", isDark);
  }

  function look({ size_px, is_dark }) {
    shade(Boolean(is_dark));
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(
        `html { font-size: ${Number(size_px)}px; user-select: none; -webkit-user-select: none; scrollbar-width: thin; } * { cursor: none !important; }` +
        ".times { grid-template-columns: repeat(auto-fill, minmax(7.4rem, 1fr)) !important; } .times a { white-space: nowrap; padding-inline: .2rem !important; }" +
        ".skip, [data-print], a[download], a[href*='/print'] { display: none !important; } input, textarea { user-select: text; -webkit-user-select: text; }",
      );
      page.adoptedStyleSheets = [sheet];
    } catch {
      // an older browser: the page is as at the desk
    }
  }

  const ORDERS = {
    look,
    type: ({ text }) => edit("insertText", String(text)),
    erase: () => edit("delete"),
    next: forward,
    leave,
    hello: () => tell("ready"),
  };
  window.addEventListener("message", (event) => {
    if (event.source !== parent || !Object.hasOwn(ORDERS, event.data?.order)) return;
    ORDERS[event.data.order](event.data);
  });

  shade(window.name === "dark");
  tell("ready");
})();

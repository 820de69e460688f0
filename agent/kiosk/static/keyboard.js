// A keyboard for the booking's form: a wall has none. It types into whichever field of the frame has the focus, and never takes it.
"use strict";

const Keyboard = (() => {
  const { byId, say, element } = Kiosk;
  const LETTERS = { en: ["qwertyuiop", "asdfghjkl", "zxcvbnm"], es: ["qwertyuiop", "asdfghjklñ", "zxcvbnm"] };
  const SIGNS = ["1234567890", "@.-_+'#/&", ",:()!?%="];
  const ACUTE = { a: "á", e: "é", i: "í", o: "ó", u: "ú", A: "Á", E: "É", I: "Í", O: "Ó", U: "Ú" };
  const PICTURES = {
    shift: "M12 5l7 8h-4v6H9v-6H5z",
    backspace: "M9 6h11v12H9l-6-6zM12 9.5l5 5M17 9.5l-5 5",
    hide: "M6 9l6 6 6-6",
  };
  const TYPED = new Set(["text", "email", "tel", "search", "url", "password", "number"]);
  let field = null;
  let isShifted = false;
  let isSigns = false;
  let isAcute = false;

  const place = () => byId("keyboard");
  const takes = (one) => one?.tagName === "TEXTAREA" || (one?.tagName === "INPUT" && TYPED.has(one.type));

  // `page` is the frame's document: whenever one of its fields has the focus, the keys are there.
  function attend(page) {
    page.addEventListener("focusin", (event) => (takes(event.target) ? open(event.target) : close()));
  }

  function open(target) {
    field = target;
    isSigns = target.type === "tel" || target.type === "number";
    isShifted = !target.value && /name/.test(target.name ?? "");
    isAcute = false;
    draw();
    place().hidden = false;
    // the frame is lower now: the field must be seen
    requestAnimationFrame(() => field?.scrollIntoView({ block: "center" }));
  }

  function close() {
    field = null;
    const keys = place();
    if (!keys) return;
    keys.hidden = true;
    keys.replaceChildren();
  }

  function draw() {
    const letters = LETTERS[Kiosk.language] ?? LETTERS.en;
    const rows = (isSigns ? SIGNS : letters).map((row) => [...row].map((one) => key(isShifted && !isSigns ? one.toUpperCase() : one)));
    const last = rows[rows.length - 1];
    if (!isSigns) last.unshift(sign("shift", () => { isShifted = !isShifted; draw(); }, isShifted));
    last.push(sign("backspace", () => edit("delete")));
    const swap = element("button", { type: "button", class: "wide", "aria-label": say(isSigns ? "letters" : "digits") }, isSigns ? "ABC" : "123");
    press(swap, () => { isSigns = !isSigns; draw(); });
    const space = element("button", { type: "button", class: "space" }, say("space"));
    press(space, () => type(" "));
    const next = element("button", { type: "button", class: "wide" }, say("next"));
    press(next, forward);
    const acute = Kiosk.language === "es" && !isSigns ? [key("´", () => { isAcute = !isAcute; draw(); }, isAcute)] : [];
    rows.push([swap, key("@"), ...acute, space, key("."), next, sign("hide", () => { field?.blur(); close(); })]);
    place().replaceChildren(...rows.map((row) => element("div", {}, ...row)));
  }

  function key(letter, does = () => type(letter), isPressed = undefined) {
    const made = element("button", { type: "button" }, letter);
    if (isPressed !== undefined) made.setAttribute("aria-pressed", String(isPressed));
    press(made, does);
    return made;
  }

  function sign(name, does, isPressed = undefined) {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("viewBox", "0 0 24 24");
    picture.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", PICTURES[name]);
    picture.append(path);
    const made = element("button", { type: "button", class: "wide", "aria-label": say(name) }, picture);
    if (isPressed !== undefined) made.setAttribute("aria-pressed", String(isPressed));
    press(made, does);
    return made;
  }

  function press(button, does) {
    // the focus stays in the field
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () => { Kiosk.awake(); does(); });
  }

  function type(letter) {
    edit("insertText", isAcute ? (ACUTE[letter] ?? letter) : letter);
    const isOver = isShifted || isAcute;
    isAcute = false;
    isShifted = false;
    if (letter === " " && /name/.test(field?.name ?? "")) isShifted = true;
    if (isOver || isShifted) draw();
  }

  function edit(command, text) {
    if (!field?.isConnected) return close();
    if (field.ownerDocument.activeElement !== field) field.focus();
    // typed as by keys: it goes where the caret is, in fields of every type, and can be undone
    field.ownerDocument.execCommand(command, false, text);
  }

  function forward() {
    const fields = [...(field?.form?.elements ?? [])].filter((one) => takes(one) && one.offsetParent !== null);
    const next = fields[fields.indexOf(field) + 1];
    if (next) next.focus();
    else { field?.blur(); close(); }
  }

  return { attend, close };
})();

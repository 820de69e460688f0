// A keyboard for the booking's form: a wall has none. It tells the frame what is typed, and never takes the focus from its field.
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
  let kind = "none"; // of the field that has the focus
  let order = () => {}; // tells the frame
  let isShifted = false;
  let isSigns = false;
  let isAcute = false;

  const place = () => byId("keyboard");

  function open(fieldKind, tell) {
    kind = fieldKind;
    order = tell;
    isSigns = kind === "digits";
    isShifted = kind === "name";
    isAcute = false;
    draw();
    place().hidden = false;
  }

  function close() {
    kind = "none";
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
    last.push(sign("backspace", () => order("erase")));
    const swap = element("button", { type: "button", class: "wide", "aria-label": say(isSigns ? "letters" : "digits") }, isSigns ? "ABC" : "123");
    press(swap, () => { isSigns = !isSigns; draw(); });
    const space = element("button", { type: "button", class: "space" }, say("space"));
    press(space, () => type(" "));
    const next = element("button", { type: "button", class: "wide" }, say("next"));
    press(next, () => order("next"));
    const acute = Kiosk.language === "es" && !isSigns ? [key("´", () => { isAcute = !isAcute; draw(); }, isAcute)] : [];
    rows.push([swap, key("@"), ...acute, space, key("."), next, sign("hide", () => { order("leave"); close(); })]);
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
    order("type", { text: isAcute ? (ACUTE[letter] ?? letter) : letter });
    const isOver = isShifted || isAcute;
    isAcute = false;
    isShifted = false;
    if (letter === " " && kind.endsWith("name")) isShifted = true;
    if (isOver || isShifted) draw();
  }

  return { open, close };
})();

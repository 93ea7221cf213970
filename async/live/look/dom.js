// Small helpers for elements, and how numbers are written.

export const $ = (id) => document.getElementById(id);

// h makes an element: h("p", {class: "x", onclick: f}, "text", child).
export function h(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes ?? {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v === true) e.setAttribute(k, "");
    else if (v !== false && v !== null && v !== undefined) e.setAttribute(k, v);
  }
  e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

// replace gives an element new children, and leaves the focus where it was: on the child
// with the same data-key.
export function replace(parent, ...children) {
  const key = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...children.flat().filter(Boolean));
  if (key !== undefined) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

// seconds writes a time in nanoseconds with microseconds: 12.345678 s.
export function seconds(ns) {
  return `${(ns / 1e9).toFixed(6)} s`;
}

// span writes a time as short as it says the same: 40 ms, 2 s.
export function span(ns) {
  if (ns === 0) return "0 s";
  const abs = Math.abs(ns);
  if (abs >= 1e9) return `${trim(ns / 1e9)} s`;
  if (abs >= 1e6) return `${trim(ns / 1e6)} ms`;
  return `${trim(ns / 1e3)} µs`;
}

// skewed says how far a clock is from the time, or "" when it is right within a millisecond.
export function skewed(node) {
  return Math.abs(node.skew) >= 1e6 ? (node.skew > 0 ? "+" : "−") + clock(Math.abs(node.skew)) : "";
}

function clock(ns) {
  return ns >= 3600e9 ? `${trim(ns / 3600e9)} h` : span(ns);
}

const trim = (x) => String(Number(x.toFixed(3)));

const numbers = new Intl.NumberFormat("en-GB");

// many writes a number with its noun: 1 frame, 1,200 frames.
export function many(n, noun) {
  return `${numbers.format(n)} ${noun}${n === 1 ? "" : "s"}`;
}

// total adds what a session or node says for both ends or each priority.
export function total(x) {
  if (typeof x === "number") return x;
  return Object.values(x ?? {}).reduce((sum, n) => sum + n, 0);
}

let said = 0;

// say has a screen reader speak a sentence.
export function say(sentence) {
  // The same sentence twice is spoken twice.
  $("live").textContent = sentence + (said++ % 2 ? "\u00a0" : "");
}

// copy puts text on the clipboard, and says so or why not.
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied.`);
    return true;
  } catch {
    say(`${what} could not be copied.`);
    return false;
  }
}

// Tabs: arrow keys move between them, as the pattern of WAI-ARIA says.

import { $ } from "./dom.js";

let NAMES = [];
let changed = () => {};

export function showTab(name) {
  for (const n of NAMES) {
    const on = n === name;
    $(`tab-${n}`).setAttribute("aria-selected", String(on));
    $(`tab-${n}`).tabIndex = on ? 0 : -1;
    $(`${n}-panel`).hidden = !on;
  }
  changed(name);
}

// tabs makes the tabs of those names work, the first of which is shown; onChange is called with the
// name of each that is shown.
export function tabs(names, onChange) {
  NAMES = names;
  changed = onChange;
  for (const n of NAMES) $(`tab-${n}`).onclick = () => showTab(n);
  $("tabs").addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!by) return;
    e.preventDefault();
    const i = NAMES.findIndex((n) => $(`tab-${n}`).getAttribute("aria-selected") === "true");
    const next = NAMES[(i + by + NAMES.length) % NAMES.length];
    showTab(next);
    $(`tab-${next}`).focus();
  });
  showTab(NAMES[0]);
}

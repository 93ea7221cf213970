// The help: what the keys do, and the steps of a scenario.

import { $, h, replace } from "./dom.js";
import { TOOLS } from "./tools.js";

export const KEYS = [
  ["space", "play or pause"], [".", "one event further"], [",", "a little back in time"], ["Home", "back to the start"],
  ["[ and ]", "slower, faster"], ["1 to 7", "the tools"], ["← →", "nodes, on the picture"], ["↑ ↓", "sessions of the chosen node"],
  ["Enter", "apply the tool, or go to the actions"], ["g", "the chosen node into the group, or out"], ["h", "heal all faults"],
  ["Esc", "choose nothing"], ["?", "this help"],
];

// openHelp shows the help. keysOn and setKeys are the switch for keys of a single letter.
export function openHelp(ready, keysOn, setKeys) {
  const box = $("help-box");
  const close = h("button", { type: "button", onclick: () => box.close() }, "Close");
  replace(box, h("header", {}, h("h2", { id: "help-title" }, "Help"), close),
    h("p", {}, "Choose a scenario, press play, and break something. Whatever you do becomes a line of a text; with the seed it gives the same run to the last byte, here and with msgr sim in a terminal. Nothing is sent anywhere: it all runs in this page."),
    h("h3", {}, "Keys"),
    h("div", { class: "keys" }, KEYS.map(([key, words]) => h("div", {}, h("span", {}, h("kbd", {}, key)), h("span", {}, words)))),
    h("p", {}, h("label", {}, h("input", { type: "checkbox", checked: keysOn, onchange: (e) => setKeys(e.target.checked) }), " Keys of a single letter are on")),
    h("h3", {}, "Tools"),
    h("dl", { class: "steps" }, TOOLS.flatMap((t) => [h("dt", {}, `${t.key} ${t.name}`), h("dd", {}, t.about)])),
    h("h3", {}, "Steps of a scenario"),
    h("dl", { class: "steps" }, (ready?.steps ?? []).flatMap((s) => [h("dt", {}, s.usage ?? s.verb), h("dd", {}, s.about ?? "")])),
    ready?.version ? h("p", { class: "hint" }, `asyncmsgr ${ready.version}`) : null);
  box.showModal();
  close.focus();
}

// The list says in words what the picture shows, and does all that it does.

import { h, replace, skewed } from "./dom.js";
import { queueBar, STATES } from "./selection.js";

const ROWS_MAX = 300; // sessions beyond are counted only

const two = (x) => (Array.isArray(x) ? x[0] + x[1] : x ?? 0);

export class Lists {
  #box;
  #on;
  #last = "";

  // on: {node(name), session(s), group(name, bool), partition()}
  constructor(box, on) {
    this.#box = box;
    this.#on = on;
  }

  show(state, choice) {
    if (this.#box.hidden) return;
    const look = JSON.stringify([state.nodes, state.sessions, choice.node, choice.session, [...choice.group]]);
    if (look === this.#last) return;
    this.#last = look;
    const sessions = state.sessions.slice(0, ROWS_MAX);
    replace(this.#box, h("div", { class: "list" },
      h("table", {}, h("caption", {}, "Nodes"),
        h("thead", {}, h("tr", {}, ["Group", "Node", "State", "To dispatch", "To send"].map((w) => h("th", { scope: "col" }, w)))),
        h("tbody", {}, state.nodes.map((n) => this.#node(n, choice)))),
      choice.group.size ? h("p", { class: "row" }, h("button", { type: "button", "data-key": "part", onclick: () => this.#on.partition() }, "Part the group from the others")) : null,
      h("table", {}, h("caption", {}, "Sessions"),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Between"), h("th", { scope: "col" }, "State"),
          h("th", { scope: "col", class: "n" }, "Unacknowledged"), h("th", { scope: "col", class: "n" }, "Queued"))),
        h("tbody", {}, sessions.map((s) => this.#session(s, choice)))),
      state.sessions.length > ROWS_MAX ? h("p", { class: "hint" }, `and ${state.sessions.length - ROWS_MAX} more`) : null));
  }

  #node(n, choice) {
    const chosen = choice.node === n.name;
    return h("tr", { class: chosen ? "chosen" : null },
      h("td", {}, h("input", {
        type: "checkbox", "aria-label": `${n.name} in the group`, "data-key": `g ${n.name}`, checked: choice.group.has(n.name),
        onchange: (e) => this.#on.group(n.name, e.target.checked),
      })),
      h("td", {}, h("button", { type: "button", "aria-pressed": String(chosen), "data-key": `n ${n.name}`, onclick: () => this.#on.node(n.name) }, n.name)),
      h("td", {}, (STATES[n.state] ?? n.state) + (skewed(n) ? `, clock ${skewed(n)}` : "")),
      h("td", {}, queueBar(n.queue)), h("td", {}, queueBar(n.out)));
  }

  #session(s, choice) {
    const chosen = choice.session && choice.session.a === s.a && choice.session.b === s.b;
    return h("tr", { class: chosen ? "chosen" : null },
      h("td", {}, h("button", { type: "button", "aria-pressed": String(Boolean(chosen)), "data-key": `s ${s.a} ${s.b}`, onclick: () => this.#on.session(s) }, `${s.a} — ${s.b}`)),
      h("td", {}, s.state + (s.cut ? ", nothing passes" : "")),
      h("td", { class: "n" }, String(two(s.kept))), h("td", { class: "n" }, String(two(s.queued))));
  }
}

// Events are the lines of what happened, the last ones first.
export class Events {
  #list;
  #kept = [];
  #stale = false;

  constructor(list) {
    this.#list = list;
  }

  take(state) {
    if (state.fresh) this.#kept = [];
    if (!state.fresh && !state.events?.length) return;
    this.#kept.push(...(state.events ?? []));
    this.#kept = this.#kept.slice(-200);
    this.#stale = true;
  }

  show() {
    if (!this.#stale || this.#list.parentElement.hidden) return;
    this.#stale = false;
    this.#list.replaceChildren(...this.#kept.toReversed().map((e) => h("li", { class: e.kind ?? "" },
      h("time", {}, (e.at / 1e9).toFixed(4)), h("span", {}, e.text))));
  }
}

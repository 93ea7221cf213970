// The card of what is chosen: a node, a session, a group, or nothing; what is known of it and
// what can be done with it.

import { h, replace, many, total, skewed } from "./dom.js";
import { BANDS, byBand } from "./palette.js";
import { nodeActions, sessionActions, partition } from "./tools.js";

const BAR_MAX = 90; // pixels

// queueBar is a queue as a number and a bar of its priorities.
export function queueBar(queue) {
  const q = byBand(queue);
  if (!q.total) return h("span", { class: "num" }, "0");
  const scale = Math.min(BAR_MAX, 10 * Math.log2(q.total + 1)) / q.total;
  const bar = h("span", { class: "bars", "aria-hidden": "true" });
  for (const b of BANDS) {
    if (!q[b]) continue;
    const i = h("i", { class: `p-${b}` });
    i.style.width = `${Math.max(2, q[b] * scale)}px`;
    bar.append(i);
  }
  return h("span", { class: "num" }, `${q.total} `, bar);
}

const facts = (...pairs) => h("dl", { class: "facts" },
  pairs.filter(Boolean).flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));

export class Selection {
  #box;
  #do;
  #last = "";

  // act(line) does a step of a scenario; clear() chooses nothing.
  constructor(box, { act, clear }) {
    this.#box = box;
    this.#do = { act, clear };
  }

  // show draws the card; it does nothing when it would look the same.
  show(state, choice) {
    const node = state.nodes.find((n) => n.name === choice.node);
    const session = choice.session && state.sessions.find((s) => s.a === choice.session.a && s.b === choice.session.b);
    const look = JSON.stringify([node, session, choice.node, choice.session, [...choice.group], state.faults, state.nodes.length]);
    if (look === this.#last) return;
    this.#last = look;
    if (node) return this.#node(node, state);
    if (choice.session) return this.#session(session ?? { ...choice.session, state: "none" });
    if (choice.group.size) return this.#group(state, choice.group);
    this.#nothing(state);
  }

  focus() {
    this.#box.querySelector("button.act")?.focus();
  }

  #buttons(actions) {
    return h("div", { class: "row" }, actions.map(([words, line, danger]) => h("button", {
      type: "button", class: danger ? "act danger" : "act", title: line, "data-key": line.split(" ")[0] + words,
      onclick: () => this.#do.act(line),
    }, words)));
  }

  #head(title, small) {
    return h("h2", {}, title, small ? h("small", {}, small) : null);
  }

  #node(n, state) {
    const sessions = state.sessions.filter((s) => s.a === n.name || s.b === n.name);
    const ready = sessions.filter((s) => s.state === "ready").length;
    replace(this.#box, this.#head(n.name, STATES[n.state] ?? n.state),
      facts(["To dispatch", queueBar(n.queue)], ["To send", queueBar(n.out)],
        ["Sessions", `${ready} of ${sessions.length} ready`], skewed(n) ? ["Clock", skewed(n)] : null),
      this.#buttons(nodeActions(n)));
  }

  #session(s) {
    const two = (x) => (Array.isArray(x) ? `${x[0]} at ${s.a}, ${x[1]} at ${s.b}` : String(total(x)));
    replace(this.#box, this.#head(`${s.a} — ${s.b}`, (s.state === "none" ? "no session" : s.state) + (s.cut ? ", nothing passes" : "")),
      facts(["Unacknowledged", two(s.kept ?? [0, 0])], ["Queued", two(s.queued ?? [0, 0])], s.policy ? ["Policy", s.policy] : null),
      this.#buttons(sessionActions(s)));
  }

  #group(state, group) {
    const line = partition(group, state);
    const names = state.nodes.map((n) => n.name).filter((n) => group.has(n));
    replace(this.#box, this.#head(many(names.length, "node"), "a group"),
      h("p", { class: "hint" }, names.join(", ")),
      h("div", { class: "row" }, line ? h("button", {
        type: "button", class: "act", title: line, "data-key": "part", onclick: () => this.#do.act(line),
      }, "Part from the others") : null,
      h("button", { type: "button", class: "quiet", "data-key": "clear", onclick: () => this.#do.clear() }, "No group")));
  }

  #nothing(state) {
    const rules = (state.faults ?? []).map((f) => (typeof f === "string" ? f : f.name));
    replace(this.#box, this.#head("The network", rules.length ? many(rules.length, "fault") + " in force" : "no fault in force"),
      rules.length ? h("p", { class: "hint" }, rules.slice(0, 6).join(", ") + (rules.length > 6 ? "…" : ""))
        : h("p", { class: "hint" }, "Choose a node or a line, or take a tool and click."),
      this.#buttons([["Heal all faults", "heal"], ["Check order now", "check prefix"], ["Stop the traffic", "traffic stop"]]));
  }
}

export const STATES = { up: "runs", paused: "paused", dead: "dead", stuck: "its dispatcher is stuck" };

// Choice is what is chosen: a node, or a session, and a group of nodes; and the tool.

import { say } from "./dom.js";
import { STATES } from "./selection.js";

export class Choice {
  node = null;
  session = null;
  group = new Set();
  hover = null;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  setNode(name, state) {
    this.node = name;
    this.session = null;
    const n = state?.nodes.find((x) => x.name === name);
    if (n) say(`${name}, ${STATES[n.state] ?? n.state}${this.group.has(name) ? ", in the group" : ""}`);
    this.#changed();
  }

  setSession(s) {
    this.node = null;
    this.session = s && { a: s.a, b: s.b };
    if (s) say(`Session ${s.a} to ${s.b}, ${s.state}`);
    this.#changed();
  }

  setHover(target) {
    const hover = target.node ?? target.session ?? null;
    if (hover === this.hover) return;
    this.hover = hover;
    this.#changed();
  }

  setGroup(names) {
    this.group = new Set(names);
    if (names.length) {
      this.node = this.session = null;
      say(`A group of ${names.length}: ${names.join(", ")}`);
    }
    this.#changed();
  }

  toggle(name, on = !this.group.has(name)) {
    if (on) this.group.add(name);
    else this.group.delete(name);
    say(`${name} ${on ? "is in the group" : "is out of the group"}`);
    this.#changed();
  }

  clear() {
    this.node = this.session = null;
    this.group = new Set();
    this.#changed();
  }

  // forget drops what a new run does not have.
  forget(state) {
    const names = new Set(state.nodes.map((n) => n.name));
    if (this.node && !names.has(this.node)) this.node = null;
    if (this.session && !(names.has(this.session.a) && names.has(this.session.b))) this.session = null;
    this.group = new Set([...this.group].filter((n) => names.has(n)));
    this.#changed();
  }

  // next chooses the next node of the ring, or the next session of the chosen node.
  nextNode(state, by) {
    const names = state.nodes.map((n) => n.name);
    const from = this.node ?? this.session?.a;
    const i = from ? names.indexOf(from) : by > 0 ? -1 : 0;
    this.setNode(names[(i + by + names.length) % names.length], state);
  }

  nextSession(state, by) {
    const of = this.node ?? this.of ?? state.nodes[0]?.name;
    const all = state.sessions.filter((s) => s.a === of || s.b === of);
    if (!all.length) return say(`${of} has no session`);
    const i = this.session ? all.findIndex((s) => s.a === this.session.a && s.b === this.session.b) : by > 0 ? -1 : 0;
    this.setSession(all[(i + by + all.length) % all.length]);
    this.of = of;
  }
}

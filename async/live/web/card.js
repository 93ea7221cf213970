// The card of what is chosen: a node or what two nodes have with each other, with what can be done.

import { $, h, many, replace } from "./dom.js";
import { BANDS, bytes, short, sum } from "./numbers.js";
import { linkKey } from "./ring.js";

const facts = (rows) => h("dl", { class: "facts" }, rows.filter(Boolean).flatMap(([k, v]) => [h("dt", {}, k), h("dd", { class: "num" }, v)]));

export class Card {
  #box = $("card");
  #on;
  #last = "";
  may = { cut: false, actions: [] };

  // on: {act(action, node, peer), link(a, b), none()}
  constructor(on) {
    this.#on = on;
  }

  draw(state, choice) {
    const node = state.nodes.find((n) => n.name === choice.node);
    const link = state.links.find((l) => linkKey(l) === choice.link);
    const look = JSON.stringify([node, link, node ? this.#of(state, node.name) : 0, this.may]);
    if (look === this.#last) return;
    this.#last = look;
    if (node) this.#node(state, node);
    else if (link) this.#link(state, link);
    else {
      replace(this.#box, h("h2", {}, "Nothing chosen"), h("p", { class: "hint" },
        "Choose a node or a line of the ring, or a row of the tables."
        + (this.may.cut || this.may.actions.length ? " Sessions can be cut here, and you can watch them heal." : " Nothing can be changed here: no action is enabled.")));
    }
  }

  #of(state, name) {
    return state.links.filter((l) => l.a === name || l.b === name);
  }

  #button(label, key, f) {
    return h("button", { type: "button", class: "danger", "data-key": key, onclick: f }, label);
  }

  #head(title, small) {
    return h("h2", { tabindex: "-1", "data-key": "head" }, title, h("small", {}, small),
      h("button", { type: "button", class: "small quiet", "aria-label": "Choose nothing", "data-key": "none", onclick: () => this.#on.none() }, "×"));
  }

  #node(state, n) {
    const links = this.#of(state, n.name).sort((a, b) => b.ab + b.ba - a.ab - a.ba);
    const can = this.may.actions.filter((a) => n.can?.includes(a.name));
    const cut = this.may.cut && n.here && !n.folded && n.ready > 0;
    const queue = BANDS.map((b, i) => (n.queue[i] ? `${short(n.queue[i])} ${b.name}` : "")).filter(Boolean).join(", ");
    replace(this.#box, this.#head(n.folded ? `${n.type} ×${short(n.folded)}` : n.name, n.condition || (n.here ? "in this process" : "a peer")),
      facts([
        ["Connections", `${short(n.ready)} of ${short(n.conns)} up`],
        ["Messages", `${short(n.sent)}/s sent, ${short(n.received)}/s received`],
        n.here && ["For dispatch", sum(n.queue) ? queue : "nothing waits"],
        n.here && ["To send", n.out ? `${short(n.out)} messages, ${bytes(n.outBytes)}` : "nothing waits"],
        ["Lost transports", short(n.faults)],
      ]),
      can.length || cut ? h("p", { class: "row" },
        can.map((a) => this.#button(a.label, `act ${a.name}`, () => this.#on.act(a.name, n.name, ""))),
        cut ? this.#button("Cut all", "cut all", () => this.#on.act("cut", n.name, "")) : null) : null,
      h("ul", { class: "with" }, links.slice(0, 16).map((l) => {
        const other = l.a === n.name ? l.b : l.a;
        return h("li", {}, h("button", { type: "button", class: "small quiet", "data-key": `l ${linkKey(l)}`, onclick: () => this.#on.link(l.a, l.b) }, other),
          h("span", { class: l.up < l.conns ? "num bad" : "num" }, l.up < l.conns ? `${l.up} of ${short(l.conns)} up` : `${short(l.ab + l.ba)}/s`));
      })));
  }

  #link(state, l) {
    const folded = [l.a, l.b].some((name) => state.nodes.find((n) => n.name === name)?.folded);
    replace(this.#box, this.#head(`${l.a} – ${l.b}`, many(l.conns, "session")),
      facts([
        ["Up", `${l.up} of ${l.conns}`], [`${l.a} to ${l.b}`, `${short(l.ab)} messages/s`], [`${l.b} to ${l.a}`, `${short(l.ba)} messages/s`],
        ["To send", l.held ? short(l.held) : "nothing waits"],
        ["Lost transports", short(l.faults)], ["Reconnected", many(l.resumed, "time")], ["Sent again", many(l.replayed, "message")],
      ]),
      this.may.cut && !folded ? h("p", { class: "row" }, this.#button("Cut", "cut", () => this.#on.act("cut", l.a, l.b))) : null);
  }

  // focus has what is chosen read out; what can be done comes next by tab.
  focus() {
    this.#box.querySelector("h2")?.focus();
  }
}

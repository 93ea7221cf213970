// The tour: six stops, each a scenario with a few things to try, which are ticked when done.

import { h, replace, say } from "./dom.js";
import { STOPS } from "./tour_stops.js";

export class Tour {
  #box;
  #presets = [];
  #start;
  #stop = -1;
  #ticks = [];
  #acts = [];
  #lastActAt = 0;

  // start(preset) runs a preset of a stop.
  constructor(box, start) {
    this.#box = box;
    this.#start = start;
  }

  // ready takes the presets of the engine: those with tour: 1 to 6 are its stops.
  ready(presets) {
    this.#presets = STOPS.map((_, i) => presets.find((p) => p.tour === i + 1));
    this.leave();
  }

  // leave shows the beginning: the run is no stop's.
  leave() {
    this.#stop = -1;
    replace(this.#box, h("div", { class: "tour" },
      h("h2", {}, "What you see"),
      h("p", {}, "Each circle is a node: a program with a messenger. Lines are sessions between them, and the marks that move are packets: messages, acknowledgements, handshakes."),
      h("p", {}, "It is no film. The real messenger of the library runs here on a simulated network, with all its time and chance drawn from one seed. Break it: cut lines, kill nodes, part the network; and check that messages still arrive in order, once, without holes."),
      h("p", {}, "Six stops show what it promises, in about five minutes."),
      h("div", { class: "row" }, h("button", { type: "button", class: "primary", onclick: () => this.go(0) }, "Begin the tour")),
      this.#dots()));
  }

  go(i) {
    const preset = this.#presets[i];
    if (!preset) return;
    this.#stop = i;
    this.#acts = [];
    this.#lastActAt = 0;
    this.#ticks = STOPS[i].tries.map(() => false);
    this.#draw();
    this.#start(preset);
    say(`Stop ${i + 1} of ${STOPS.length}: ${STOPS[i].title}.`);
  }

  get on() {
    return this.#stop >= 0;
  }

  acted(line, at) {
    this.#acts.push(line);
    this.#lastActAt = at;
  }

  // look ticks what has been done.
  look(state, player) {
    if (!this.on) return;
    const x = { state, acts: this.#acts, player, stop: { lastActAt: this.#lastActAt } };
    STOPS[this.#stop].tries.forEach(([words, done], i) => {
      if (this.#ticks[i] || !done(x)) return;
      this.#ticks[i] = true;
      this.#draw();
      say(`Done: ${words}`);
    });
  }

  #draw() {
    const stop = STOPS[this.#stop];
    const last = this.#stop === STOPS.length - 1;
    const all = this.#ticks.every(Boolean);
    replace(this.#box, h("div", { class: "tour" },
      h("p", { class: "count" }, `Stop ${this.#stop + 1} of ${STOPS.length}`),
      h("h2", {}, stop.title),
      stop.text.map((t) => h("p", {}, t)),
      h("ul", {}, stop.tries.map(([words], i) => h("li", { class: this.#ticks[i] ? "done" : null },
        h("span", {}, words, this.#ticks[i] ? h("span", { class: "unseen" }, " (done)") : null)))),
      all ? h("p", { class: "learned" }, stop.learned) : null,
      h("div", { class: "row" },
        last ? h("button", { type: "button", class: "primary", "data-key": "next", onclick: () => this.leave() }, "End of the tour")
          : h("button", { type: "button", class: "primary", "data-key": "next", onclick: () => this.go(this.#stop + 1) }, "Next stop"),
        h("button", { type: "button", "data-key": "again", onclick: () => this.go(this.#stop) }, "Again")),
      this.#dots()));
  }

  #dots() {
    return h("div", { class: "dots", role: "group", "aria-label": "Stops of the tour" }, STOPS.map((s, i) => h("button", {
      type: "button", "aria-current": i === this.#stop ? "step" : null, "aria-label": `Stop ${i + 1}: ${s.title}`, title: s.title,
      "data-key": `dot ${i}`, disabled: !this.#presets[i], onclick: () => this.go(i),
    }, String(i + 1))));
  }
}

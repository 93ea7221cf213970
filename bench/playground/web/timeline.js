// The timeline: where the run is, how far it is known, when something was clicked; dragging
// its thumb goes to any time.

import { $, h, seconds } from "./dom.js";

const LEAST = 2e9; // the least length, in nanoseconds
const STEPS = 10000;
const MARKS_MAX = 200;

export class Timeline {
  #player;
  #seek;
  #acts = [];
  #length = LEAST;
  #marksFor = 0;
  #dragging = false;
  #said = 0;
  #was = {};

  constructor(player, seek) {
    this.#player = player;
    this.#seek = seek;
    const scrub = $("scrub");
    scrub.max = STEPS;
    scrub.addEventListener("input", () => {
      this.#dragging = true;
      this.#was.scrub = "";
      player.setPlaying(false);
      this.#seek((scrub.value / STEPS) * this.#length);
    });
    scrub.addEventListener("change", () => { this.#dragging = false; });
    scrub.addEventListener("keydown", (e) => this.#key(e));
  }

  // key moves by what can be seen at the speed that is set, not by parts of the length.
  #key(e) {
    const step = 100e6 * Math.min(this.#player.speed, 10);
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -10 * step, PageUp: 10 * step }[e.key];
    if (!by) return;
    e.preventDefault();
    this.#player.setPlaying(false);
    this.#seek(this.#player.at + by);
  }

  // set changes a property only when it is another one, as the browser lays out anew for each.
  #set(id, property, value) {
    if (this.#was[id] === value) return;
    this.#was[id] = value;
    $(id)[property] = value;
  }

  acts(acts) {
    this.#acts = acts.slice(-MARKS_MAX);
    this.#marksFor = 0;
  }

  show() {
    const { shown, known, end, at } = this.#player;
    // The line grows in leaps, so that it does not move all the time.
    const need = Math.max(LEAST, end || 0, known, ...this.#acts.map((a) => a.at));
    let length = LEAST;
    if (end && end >= known && end < 3600e9) length = Math.max(LEAST, end);
    else while (length < need * 1.001) length *= 1.5;
    this.#length = length;
    this.#set("clock", "textContent", seconds(shown));
    if (!this.#dragging) this.#set("scrub", "value", String(Math.round((shown / length) * STEPS)));
    const now = performance.now();
    if (now - this.#said > 250) {
      this.#said = now;
      $("scrub").setAttribute("aria-valuetext", `${(at / 1e9).toFixed(3)} seconds`);
    }
    if (this.#marksFor === length) return;
    this.#marksFor = length;
    $("marks").replaceChildren(...this.#acts.map((a) => {
      const i = h("i", { title: a.line });
      i.style.left = `${(100 * a.at) / length}%`;
      return i;
    }));
  }
}

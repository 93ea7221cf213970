// Scene draws the network on two canvases: what seldom changes (sessions, nodes, queues) once
// for each state, and above it, sixty times a second, the packets under way.

import { drawMark, colours, kindOf, band } from "./palette.js";
import { places, lane } from "./places.js";
import { Flights } from "./flights.js";
import { drawNode, drawSession, drawLoss } from "./shapes.js";

// Sessions, nodes and queues are drawn anew after so many milliseconds, or when one is chosen.
const STILL = 60;

export class Scene {
  layout = null;
  flights = new Flights();
  lasso = null; // points, while one is drawn
  #canvas;
  #g;
  #still;
  #sprites = new Map();
  #stale = true;
  #state = null;
  #choice = { node: null, session: null, group: new Set(), hover: null };
  #lanes = new Map();
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #stillAt = 0;
  #calmAt = 0; // when the last picture was drawn, for those who want few
  #asked = false; // something was chosen or sought since

  constructor(still, canvas) {
    this.#still = still;
    this.#canvas = canvas;
    this.#g = canvas.getContext("2d");
    this.colours = colours();
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#dark.addEventListener("change", () => {
      this.colours = colours();
      this.#sprites.clear();
      this.#stale = true;
    });
    this.#resize();
  }

  #resize() {
    const box = this.#canvas.getBoundingClientRect();
    this.scale = Math.min(2, window.devicePixelRatio || 1);
    this.width = Math.max(50, box.width);
    this.height = Math.max(50, box.height);
    for (const c of [this.#canvas, this.#still]) {
      c.width = Math.round(this.width * this.scale);
      c.height = Math.round(this.height * this.scale);
    }
    this.#sprites.clear();
    this.#place();
  }

  #place() {
    if (this.#state) this.layout = places(this.#state.nodes.map((n) => n.name), this.width, this.height);
    this.#lanes.clear();
    this.#stale = this.#asked = true;
  }

  take(state) {
    const before = this.#state;
    this.#state = state;
    this.flights.take(state);
    const same = before && before.nodes.length === state.nodes.length &&
      state.nodes.every((n, i) => n.name === before.nodes[i].name);
    if (!same) this.#place();
    if (state.fresh) this.#asked = true;
    this.#stale = true;
  }

  choose(choice) {
    this.#choice = choice;
    this.#stale = this.#asked = true;
  }

  // draw shows a virtual time; now is the real one.
  draw(shown, now) {
    if (!this.layout) return;
    if (this.#calm.matches) {
      // Who wants less motion sees two pictures a second.
      if (now - this.#calmAt < 500 && !this.#asked) return;
      this.#calmAt = now;
    }
    if (this.#stale && (this.#asked || now - this.#stillAt > STILL)) {
      this.#stillAt = now;
      this.#drawStill();
    }
    this.#asked = false;
    const g = this.#g;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const held = new Map();
    const above = [];
    this.flights.visible(shown, now, (f, progress) => {
      const l = this.#lane(f.a, f.b);
      if (!l) return;
      if (progress === undefined) {
        // What is held waits in front of the obstacle, in line.
        const k = held.get(l) ?? 0;
        held.set(l, k + 1);
        progress = Math.max(0.02, 0.46 - (k * 7) / l.length);
      }
      const [x, y] = [l.x + l.dx * progress, l.y + l.dy * progress];
      // The rest of a frame is drawn below its beginning.
      if (kindOf(f.tag) === "bytes") this.#stamp(f, x, y);
      else above.push(f, x, y);
    });
    for (let i = 0; i < above.length; i += 3) this.#stamp(above[i], above[i + 1], above[i + 2]);
    this.flights.fading(now, (f, progress, strength) => {
      const l = this.#lane(f.a, f.b);
      if (l) drawLoss(g, this.colours, this.scale, l.x + l.dx * progress, l.y + l.dy * progress, strength);
    });
    if (this.lasso) this.#drawLasso();
  }

  #lane(a, b) {
    const key = `${a} ${b}`;
    let l = this.#lanes.get(key);
    if (l === undefined) {
      const from = this.layout.at.get(a);
      const to = this.layout.at.get(b);
      l = from && to ? lane(from, to, this.layout.dense ? 1.5 : 5) : null;
      this.#lanes.set(key, l);
    }
    return l;
  }

  // stamp draws the picture of a frame, which is made once for each kind and size.
  #stamp(f, x, y) {
    const kind = kindOf(f.tag);
    const b = kind === "message" ? band(f.prio) : "";
    const large = kind === "message" ? Math.min(3, Math.floor(Math.log10(Math.max(10, f.size)) - 1)) : 0;
    const key = `${kind} ${b} ${large}`;
    let sprite = this.#sprites.get(key);
    if (!sprite) {
      const r = ((this.layout.dense ? 2.8 : this.layout.at.size <= 4 ? 6.5 : 5) + large * 0.9) * this.scale;
      const side = Math.ceil(r * 4);
      const paper = new OffscreenCanvas(side, side);
      const g = paper.getContext("2d");
      g.translate(side / 2, side / 2);
      drawMark(g, this.colours, kind, b, r);
      sprite = paper.transferToImageBitmap();
      this.#sprites.set(key, sprite);
    }
    this.#g.drawImage(sprite, Math.round(x * this.scale - sprite.width / 2), Math.round(y * this.scale - sprite.height / 2));
  }

  #drawStill() {
    this.#stale = false;
    const g = this.#still.getContext("2d");
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    const { node, session, group, hover } = this.#choice;
    for (const s of this.#state.sessions) {
      const a = this.layout.at.get(s.a);
      const b = this.layout.at.get(s.b);
      if (!a || !b) continue;
      const chosen = session !== null && s.a === session.a && s.b === session.b;
      const near = node !== null && (s.a === node || s.b === node);
      drawSession(g, this.colours, this.layout, s, a, b, { chosen, near, hover: hover === s });
    }
    for (const n of this.#state.nodes) {
      const p = this.layout.at.get(n.name);
      drawNode(g, this.colours, this.layout, n, p, { chosen: n.name === node, grouped: group.has(n.name), hover: hover === n.name });
    }
  }

  #drawLasso() {
    const g = this.#g;
    g.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    g.beginPath();
    this.lasso.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
    g.closePath();
    g.globalAlpha = 0.12;
    g.fillStyle = this.colours.accent;
    g.fill();
    g.globalAlpha = 1;
    g.lineWidth = 1.5;
    g.strokeStyle = this.colours.accent;
    g.setLineDash([5, 4]);
    g.stroke();
    g.setLineDash([]);
  }
}

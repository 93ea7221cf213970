// The ring: nodes with the mix of priorities that they receive, queues that point outwards, and
// lines as wide as what flows between them. It is SVG, so that nodes have a focus of their own and
// colours follow the page.

import { $, many } from "./dom.js";
import { places } from "./places.js";
import { BANDS, FAST, short, sum } from "./numbers.js";

const NS = "http://www.w3.org/2000/svg";

function s(tag, attributes, ...children) {
  const e = document.createElementNS(NS, tag);
  set(e, attributes);
  e.append(...children);
  return e;
}

function set(e, attributes) {
  for (const [k, v] of Object.entries(attributes)) {
    if (v === null || v === undefined || v === false) e.removeAttribute(k);
    else if (e.getAttribute(k) !== String(v)) e.setAttribute(k, v);
  }
}

export const linkKey = (l) => `${l.a} ${l.b}`;

// width is that of a line with so many messages a second.
export const width = (rate) => Math.min(10, 1.2 + 0.95 * Math.log2(1 + rate / 4));

export class Ring {
  #svg = $("ring");
  #links = new Map(); // by key: {hit, line}
  #nodes = new Map(); // by name: {g, ...}
  #linkLayer = s("g", { "aria-hidden": "true" });
  #nodeLayer = s("g", {});
  #wordLayer = s("g", { "aria-hidden": "true" });
  #state = null;
  #choice = null;
  #layout = null;
  #names = "";
  #on;

  // on: {node(name, focus), link(a, b), none()}
  constructor(on) {
    this.#on = on;
    this.#svg.append(this.#linkLayer, this.#nodeLayer, this.#wordLayer);
    new ResizeObserver(() => { this.#names = ""; this.draw(this.#state, this.#choice); }).observe(this.#svg);
    this.#svg.addEventListener("keydown", (e) => this.#key(e));
    this.#svg.addEventListener("click", (e) => { if (e.target === this.#svg) this.#on.none(); });
  }

  // at is where a node is drawn, in pixels of the picture; for tests.
  at(name) {
    return this.#layout?.at.get(name);
  }

  draw(state, choice) {
    this.#state = state;
    this.#choice = choice;
    if (!state) return;
    const box = this.#svg.getBoundingClientRect();
    const names = state.nodes.map((n) => n.name);
    const key = `${box.width} ${box.height} ${names.join()}`;
    if (key !== this.#names) {
      this.#names = key;
      this.#layout = places(names, Math.max(60, box.width), Math.max(60, box.height));
      set(this.#svg, { viewBox: `0 0 ${Math.max(60, box.width)} ${Math.max(60, box.height)}` });
    }
    this.#drawLinks(state, choice);
    this.#drawNodes(state, choice);
  }

  #drawLinks(state, choice) {
    const seen = new Set();
    for (const l of state.links) {
      const key = linkKey(l);
      const [a, b] = [this.at(l.a), this.at(l.b)];
      if (!a || !b) continue;
      seen.add(key);
      let e = this.#links.get(key);
      if (!e) {
        const on = { "data-link": key };
        e = { line: s("line", {}), hit: s("line", { class: "hit", ...on }, s("title", {})) };
        e.hit.addEventListener("click", () => this.#on.link(l.a, l.b));
        this.#links.set(key, e);
        this.#linkLayer.append(e.line, e.hit);
      }
      const chosen = choice.link === key;
      const near = choice.node && (choice.node === l.a || choice.node === l.b);
      const down = l.up === 0 ? " down" : l.up < l.conns ? " part" : "";
      const ends = { x1: a.x, y1: a.y, x2: b.x, y2: b.y };
      set(e.line, {
        ...ends, "stroke-width": l.up === 0 ? 2 : width(l.ab + l.ba).toFixed(1),
        class: `link${down}${l.cut ? " cut" : ""}${chosen ? " chosen" : ""}${near ? " near" : ""}`,
      });
      set(e.hit, ends);
      const words = `${l.a} – ${l.b}: ${l.up} of ${many(l.conns, "session")} up, ${short(l.ab + l.ba)} messages/s`;
      if (e.hit.firstChild.textContent !== words) e.hit.firstChild.textContent = words;
    }
    this.#sweep(this.#links, seen, (e) => { e.line.remove(); e.hit.remove(); });
  }

  #sweep(map, seen, remove) {
    for (const [key, e] of map) {
      if (seen.has(key)) continue;
      remove(e);
      map.delete(key);
    }
  }

  #drawNodes(state, choice) {
    const seen = new Set();
    const first = choice.node && this.at(choice.node) ? choice.node : state.nodes[0]?.name;
    for (const n of state.nodes) {
      seen.add(n.name);
      let e = this.#nodes.get(n.name);
      if (!e) {
        e = {
          g: s("g", { role: "button", "data-node": n.name }), halo: s("circle", { class: "halo" }),
          disc: s("circle", { class: "disc" }), bands: [...BANDS, FAST].map((b) => s("circle", { class: `mix ${b.css}` })),
          bars: s("g", { "aria-hidden": "true" }), name: s("text", { class: "name", "aria-hidden": "true" }),
          type: s("text", { class: "type", "aria-hidden": "true" }), more: s("text", { class: "more" }), sign: s("path", { class: "sign" }),
        };
        e.g.append(e.bars, e.halo, e.disc, ...e.bands, e.sign, e.type, e.name);
        e.g.addEventListener("click", () => this.#on.node(n.name));
        this.#nodes.set(n.name, e);
        this.#nodeLayer.append(e.g);
        this.#wordLayer.append(e.more);
      }
      this.#node(e, n, choice, n.name === first);
    }
    this.#sweep(this.#nodes, seen, (e) => { e.g.remove(); e.more.remove(); });
  }

  #node(e, n, choice, first) {
    const p = this.at(n.name);
    const r = Math.max(p.radius, 13);
    const chosen = choice.node === n.name;
    const down = n.conns > 0 && n.ready === 0;
    set(e.g, {
      transform: `translate(${p.x.toFixed(1)} ${p.y.toFixed(1)})`, tabindex: first ? 0 : -1, "aria-pressed": chosen,
      "aria-label": inWords(n),
      class: `node${n.here ? "" : " away"}${down ? " down" : ""}${chosen ? " chosen" : ""}${n.condition ? " hurt" : ""}`,
    });
    set(e.halo, { r: r + 9 });
    set(e.disc, { r });
    this.#mix(e, n, r);
    // Stalled: two bars; unplugged or killed: a cross.
    const k = r * 0.5;
    let sign = "";
    if (n.condition?.includes("stall")) sign += `M${-k * 0.5} ${-k}V${k}M${k * 0.5} ${-k}V${k}`;
    if (/unplug|kill/.test(n.condition ?? "")) sign += `M${-k} ${-k}L${k} ${k}M${k} ${-k}L${-k} ${k}`;
    set(e.sign, { d: sign || null });
    const number = n.folded ? `×${short(n.folded)}` : n.name.slice(n.type.length + 1);
    e.type.textContent = n.type.slice(0, 7);
    set(e.type, { y: -r * 0.3, "font-size": Math.min(10, r * 0.42).toFixed(1) });
    e.name.textContent = number;
    set(e.name, { y: r * 0.28, "font-size": Math.min(14, (r * 2.1) / Math.max(3, number.length)).toFixed(1) });
    // What was done to it stands outside, above everything.
    e.more.textContent = n.condition ?? "";
    const above = p.y > this.#layout.height / 2;
    const half = 4 * (n.condition?.length ?? 0);
    set(e.more, { x: Math.max(half, Math.min(this.#layout.width - half, p.x)).toFixed(1), y: (p.y + (above ? r + 11 : -r - 11)).toFixed(1) });
    this.#bars(e, n, p, r);
  }

  // mix is the rim of a node: what it receives, by priority.
  #mix(e, n, r) {
    const flow = [...n.in, n.fast];
    const all = sum(flow);
    const round = 2 * Math.PI * (r - 2);
    let from = 0;
    e.bands.forEach((c, i) => {
      const part = all > 0 ? (flow[i] / all) * round : 0;
      const drawn = part > round - 1 ? part : part - 1.5; // a gap between two
      set(c, {
        r: r - 2, "stroke-dasharray": drawn > 0 ? `${drawn.toFixed(1)} ${(round - drawn).toFixed(1)}` : `0 ${round.toFixed(1)}`,
        "stroke-dashoffset": (-from).toFixed(1),
      });
      from += part;
    });
  }

  // bars are the queues, pointing inwards, where there is room: what waits for dispatch, by priority,
  // and what waits to be sent. Their length is a logarithm.
  #bars(e, n, p, r) {
    const length = (q) => (q > 0 ? Math.min(44, 5 + 5 * Math.log2(q)) : 0);
    const wait = sum(n.queue);
    const bars = [];
    let at = r + 4;
    n.queue.forEach((q, i) => {
      if (!q) return;
      const part = (length(wait) * q) / wait;
      bars.push([at, part, -4, `bar ${BANDS[i].css}`]);
      at += part;
    });
    if (n.out) bars.push([r + 4, length(n.out), 4, "bar out"]);
    const angle = ((p.angle + Math.PI) * 180) / Math.PI;
    set(e.bars, { transform: `rotate(${angle.toFixed(1)})` });
    while (e.bars.childElementCount > bars.length) e.bars.lastChild.remove();
    while (e.bars.childElementCount < bars.length) e.bars.append(s("rect", {}));
    bars.forEach(([x, w, y, css], i) => set(e.bars.children[i], { x: x.toFixed(1), y: y - 3, width: w.toFixed(1), height: 6, class: css }));
  }

  #key(e) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    const name = e.target.closest?.("[data-node]")?.dataset.node;
    if (name === undefined) return;
    if (e.key === "Enter" || e.key === " ") {
      e.preventDefault();
      this.#on.node(name, true);
    } else if (by) {
      e.preventDefault();
      const all = [...this.#nodes.keys()];
      const next = this.#nodes.get(all[(all.indexOf(name) + by + all.length) % all.length]).g;
      for (const n of this.#nodes.values()) set(n.g, { tabindex: n.g === next ? 0 : -1 });
      next.focus();
    }
  }
}

// inWords is what a screen reader says of a node.
function inWords(n) {
  const what = n.folded ? `${many(n.folded, n.type)}` : n.name;
  const wait = sum(n.queue);
  return [
    what, n.condition, n.here ? `${n.ready} of ${many(n.conns, "connection")} up` : "peer",
    `${short(n.sent)} messages per second sent, ${short(n.received)} received`,
    wait ? `${wait} wait for dispatch` : "", n.out ? `${n.out} wait to be sent or acknowledged` : "",
  ].filter(Boolean).join(", ");
}

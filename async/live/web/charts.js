// The curves of the last two minutes. The numbers beside them say the same as the curves do now.

import { $, h } from "./dom.js";
import { BANDS, FAST, bytes, percent, short, sum, time } from "./numbers.js";

export const WINDOW = 120e3; // ms
const NS = "http://www.w3.org/2000/svg";
const [W, H] = [240, 64];

// CHARTS: what they show. log: on a logarithmic scale; stacked: on each other.
const CHARTS = [
  {
    id: "flow", title: "What is dispatched, by priority", stacked: true,
    series: [...BANDS, FAST].map((b, i) => ({ name: b.name, css: b.css, of: (s) => (b === FAST ? s.rates.fast : s.rates.bands[i]), say: (x) => `${short(x)}/s` })),
  },
  {
    id: "queues", title: "What waits",
    series: [
      { name: "for dispatch", css: "normal", of: (s) => sum(s.total.bands), say: short },
      { name: "to be sent or acknowledged", css: "out", of: (s) => s.total.held, say: (x, s) => `${short(x)}, ${bytes(s.total.heldBytes)}` },
    ],
  },
  {
    id: "latency", title: "Latency, 99 of 100 within", log: true,
    series: [
      { name: "from send to its end", css: "out", of: (s) => s.latency.sendToAck.p99, say: time },
      { name: "wait for dispatch", css: "normal", of: (s) => s.latency.queueWait.p99, say: time },
      { name: "callbacks", css: "high", of: (s) => s.latency.dispatch.p99, say: time },
    ],
  },
  {
    id: "cpu", title: "Processor, of one core",
    series: [
      { name: "this process", css: "normal", of: (s) => Math.max(0, s.process.cpu), say: percent },
      { name: "of it for this page", css: "high", of: (s) => s.process.look, say: percent },
    ],
  },
];

export class Charts {
  #past = []; // states, reduced to {at, v: {id: [numbers]}}
  #parts = new Map();

  constructor() {
    for (const c of CHARTS) {
      const svg = document.createElementNS(NS, "svg");
      svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      const paths = c.series.map((x) => {
        const p = document.createElementNS(NS, "path");
        p.setAttribute("class", `${c.stacked ? "area" : "curve"} ${x.css}`);
        svg.append(p);
        return p;
      });
      const top = h("span", { class: "top-value num", "aria-hidden": "true" });
      const values = c.series.map(() => h("dd", { class: "num" }));
      $("charts").append(h("figure", { class: "chart-card", id: `chart-${c.id}` }, h("figcaption", {}, c.title),
        h("div", { class: "plot" }, svg, top),
        h("dl", {}, c.series.map((x, i) => h("div", {}, h("dt", {}, h("i", { class: `swatch ${x.css}` }), x.name), values[i])))));
      this.#parts.set(c.id, { paths, top, values });
    }
  }

  clear() {
    this.#past = [];
  }

  take(s) {
    if (s.every === 0) return;
    this.#past.push({ at: s.at, v: CHARTS.map((c) => c.series.map((x) => x.of(s))) });
    while (this.#past.length > 600 || this.#past[0].at < s.at - WINDOW) this.#past.shift();
  }

  draw(s) {
    // At the beginning the curves have a shorter time for themselves.
    const span = Math.min(WINDOW, Math.max(20e3, s.at - (this.#past[0]?.at ?? s.at)));
    CHARTS.forEach((c, k) => {
      const { paths, top, values } = this.#parts.get(c.id);
      c.series.forEach((x, i) => { values[i].textContent = x.say(x.of(s), s); });
      const rows = this.#past.map((p) => p.v[k]);
      const most = Math.max(0, ...rows.map((v) => (c.stacked ? sum(v) : Math.max(...v))));
      top.textContent = most > 0 ? c.series[0].say(most, s).split(", ")[0] : "";
      const least = Math.min(...rows.flatMap((v) => v.filter((n) => n > 0)), most);
      const y = (v) => {
        if (most <= 0) return H - 1;
        if (!c.log) return H - 1 - (H - 4) * (v / most);
        return v <= 0 ? H - 1 : H - 6 - (H - 9) * (most > least ? Math.log(v / least) / Math.log(most / least) : 0.5);
      };
      const x = (p) => W * (1 - (s.at - p.at) / span);
      paths.forEach((path, i) => path.setAttribute("d", c.stacked ? this.#area(k, i, x, y) : this.#curve(k, i, x, y)));
    });
  }

  #curve(k, i, x, y) {
    return this.#past.map((p, n) => `${n ? "L" : "M"}${x(p).toFixed(1)} ${y(p.v[k][i]).toFixed(1)}`).join("");
  }

  #area(k, i, x, y) {
    const upto = (p, n) => sum(p.v[k].slice(0, n));
    if (this.#past.length === 0) return "";
    const above = this.#past.map((p) => `${x(p).toFixed(1)} ${y(upto(p, i + 1)).toFixed(1)}`);
    const below = this.#past.map((p) => `${x(p).toFixed(1)} ${y(upto(p, i)).toFixed(1)}`).reverse();
    return `M${above.join("L")}L${below.join("L")}Z`;
  }
}

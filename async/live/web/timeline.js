// The timeline: cuts, reconnects and replays of the last two minutes as marks, and all that is
// known of in words.

import { $, h, many, say } from "./dom.js";
import { clock, short } from "./numbers.js";
import { WINDOW } from "./charts.js";

const NS = "http://www.w3.org/2000/svg";
const KEPT = 300;
const SHOWN = 80;
const LANES = [
  { name: "cuts", css: "cut", n: (e) => (e.kind === "cut" ? e.n ?? 0 : 0) },
  { name: "attempts", css: "try", n: (e) => (e.kind === "attempt" ? e.n ?? 0 : 0) },
  { name: "reconnects", css: "back", n: (e) => (e.kind === "reconnect" || e.kind === "open" ? e.n ?? 0 : 0) },
  { name: "replays", css: "replay", n: (e) => e.replayed ?? 0 },
  { name: "by hand", css: "act", n: (e) => (e.kind === "act" ? 1 : 0) },
];
const CLASS = { cut: "fault", act: "act", attempt: "soft", close: "soft", open: "soft" };

// words says what an event is.
export function words(e) {
  const pair = [e.node, e.peer].filter(Boolean).join(" – ");
  const times = e.n > 1 ? `, ${short(e.n)} times` : "";
  if (!e.node && e.text) return { cut: "cut", attempt: "attempts failed", reconnect: "reconnected", open: "opened", close: "closed" }[e.kind] + `: ${short(e.n ?? 0)} more, ${e.text}`;
  switch (e.kind) {
    case "cut": return `${pair} cut${times}`;
    case "reconnect": {
      const again = e.replayed ? `${many(e.replayed, "message")} sent again` : "";
      return e.n ? `${pair} reconnected${times}${again ? `, ${again}` : ""}` : `${pair}: ${again}`;
    }
    case "attempt": return `${pair}: ${many(e.n, "attempt")} to connect failed`;
    case "open": return `${e.node}: ${many(e.n, "new connection")}`;
    case "close": return `${e.node}: ${many(e.n, "connection")} gone`;
    case "act": return `${e.text}: ${pair}, from a page`;
  }
  return `${e.kind} ${pair}`;
}

export class Timeline {
  #events = [];
  #seq = 0;
  #marks;
  #counts;
  #drawn = -1;
  #saidAt = 0;

  constructor() {
    this.#marks = LANES.map((l) => {
      const svg = document.createElementNS(NS, "svg");
      svg.setAttribute("viewBox", "0 0 240 10");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("class", l.css);
      const path = document.createElementNS(NS, "path");
      svg.append(path);
      return { svg, path };
    });
    this.#counts = LANES.map(() => h("span", { class: "num" }));
    $("strip").append(...LANES.map((l, i) => h("div", { class: "lane" }, h("span", {}, l.name),
      h("div", { class: "marks", "aria-hidden": "true" }, this.#marks[i].svg), this.#counts[i])));
  }

  // begin takes the whole timeline, take what is new; what is known already is passed over.
  begin(events) {
    if (events.length && events.at(-1).seq < this.#seq) this.#seq = 0; // another process
    this.take(events, true);
  }

  take(events, quiet) {
    const fresh = events.filter((e) => e.seq > this.#seq);
    if (!fresh.length) return;
    this.#seq = fresh.at(-1).seq;
    this.#events = [...this.#events, ...fresh].slice(-KEPT);
    if (!quiet) this.#say(fresh);
  }

  // say tells a screen reader of cuts and reconnections, not more often than it can speak.
  #say(fresh) {
    const told = fresh.filter((e) => e.kind === "cut" || e.kind === "reconnect");
    if (!told.length || performance.now() - this.#saidAt < 3000) return;
    this.#saidAt = performance.now();
    say(told.slice(0, 2).map(words).join(". ") + (told.length > 2 ? `, and ${told.length - 2} more events` : ""));
  }

  draw(now) {
    const late = this.#events.filter((e) => e.at >= now - WINDOW);
    LANES.forEach((l, i) => {
      let d = "";
      let total = 0;
      for (const e of late) {
        const n = l.n(e);
        if (!n) continue;
        total += n;
        const x = Math.max(0.7, Math.min(239.3, (240 * (e.at - now + WINDOW)) / WINDOW)).toFixed(1);
        d += `M${x} 10V${(7 - Math.min(6, Math.log2(n))).toFixed(1)}`;
      }
      this.#marks[i].path.setAttribute("d", d);
      this.#counts[i].textContent = short(total);
    });
    if (this.#drawn === this.#seq) return;
    this.#drawn = this.#seq;
    const list = this.#events.slice(-SHOWN).reverse();
    $("events").replaceChildren(...(list.length ? list.map((e) => h("li", { "data-kind": e.kind },
      h("time", {}, clock(e.at)), h("span", { class: CLASS[e.kind], title: e.text ?? false }, words(e)))) : [h("li", { class: "none" }, h("span", { class: "hint" }, "Nothing was cut so far."))]));
  }
}

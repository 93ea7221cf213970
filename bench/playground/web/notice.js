// What is said over the picture: a violation, an end; and above the page: what went wrong.

import { $, h, replace, say, seconds } from "./dom.js";
import { chart } from "./chart.js";

export function alertBox(words) {
  const box = $("alert");
  box.hidden = !words;
  box.firstElementChild.textContent = words ?? "";
}

export function dead(why) {
  document.querySelector("main").hidden = true;
  document.querySelector(".setup").hidden = true;
  document.querySelector(".links").hidden = true;
  const box = $("dead");
  box.hidden = false;
  replace(box.querySelector("p"), why);
}

// Notice is the box over the picture.
export class Notice {
  #box = $("notice");
  #scene;
  #player;
  #last = null;

  constructor(scene, player) {
    this.#scene = scene;
    this.#player = player;
  }

  take(state) {
    const key = state.violation ? `v ${state.violation.message}` : state.ended ? `e ${state.ended} ${state.limit ?? ""}` : "";
    if (key === this.#last) return;
    this.#last = key;
    if (state.violation) return this.#violation(state.violation);
    if (state.ended) return this.#show("", `The run is over${state.limit ? `: ${state.limit}` : ""}.`);
    this.#box.hidden = true;
  }

  // tell shows a short message for a while; a screen reader speaks it, or what it is given.
  tell(words, spoken = words) {
    this.#show("", words);
    say(spoken);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { if (!this.#box.classList.contains("bad")) this.#box.hidden = true; }, 3500);
  }

  #show(kind, words, ...buttons) {
    this.#box.className = `notice ${kind}`;
    this.#box.hidden = false;
    replace(this.#box, h("p", {}, words), ...buttons);
  }

  #violation(v) {
    const what = /^(expect|until)\b/.test(v.message) ? "It is not as expected" : "A promise is broken";
    this.#show("bad", `${what}: ${v.message}`,
      h("button", { type: "button", class: "primary", onclick: () => this.openChart(v) }, "Show what led to it"),
      h("button", { type: "button", onclick: () => this.#player.seek(Math.max(0, v.at - 500e6)) }, "Half a second before"));
    say(`${what}: ${v.message}. The run has stopped.`);
    this.openChart(v);
  }

  openChart(v) {
    const box = $("chart-box");
    const close = h("button", { type: "button", onclick: () => box.close() }, "Close");
    const rows = v.rows ?? [];
    replace(box, h("header", {}, h("h2", { id: "chart-title" }, `What led to it, until ${seconds(v.at)}`), close),
      h("p", {}, v.message),
      h("div", { class: "chart", tabindex: "0", role: "region", "aria-label": "Sequence chart" }, chart(rows, v.at, this.#scene.colours)),
      v.chart ? h("details", {}, h("summary", {}, "As text, for Mermaid"), h("pre", {}, v.chart)) : null);
    if (!box.open) box.showModal();
    const view = box.querySelector(".chart");
    view.scrollTop = view.scrollHeight;
    close.focus();
  }
}

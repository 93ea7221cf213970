// The form above: which scenario, how many nodes, which seed, faults, policy.

import { $, h } from "./dom.js";

// Faults in a second of virtual time.
const FAULTS = [["0", "none"], ["0.2", "1 in 5 s"], ["1", "1 a second"], ["4", "4 a second"], ["20", "20 a second"]];

export class Setup {
  #presets = [];
  #start;

  // start(request) begins a run of a preset.
  constructor(start) {
    this.#start = start;
    $("faults").append(...FAULTS.map(([value, words]) => h("option", { value }, words)));
    $("setup").addEventListener("submit", (e) => {
      e.preventDefault();
      this.#toggle(false);
      start(this.request());
    });
    $("dice").onclick = () => {
      $("seed").value = String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
      start(this.request());
    };
    $("setup-toggle").onclick = () => this.#toggle(!$("setup").classList.contains("open"));
    $("preset").onchange = () => this.#limits(true);
  }

  #toggle(open) {
    $("setup").classList.toggle("open", open);
    $("setup-toggle").setAttribute("aria-expanded", String(open));
  }

  ready({ presets, policies }) {
    this.#presets = presets;
    const group = (label, list) => list.length && h("optgroup", { label }, list.map((p) => h("option", { value: p.name, title: p.about }, p.title)));
    $("preset").replaceChildren(...[group("Scenarios", presets.filter((p) => !p.tour)), group("Tour", presets.filter((p) => p.tour))].filter(Boolean));
    $("policy").replaceChildren(...policies.map((p) => h("option", { value: p.name, title: p.about }, p.title ?? p.name.replaceAll("_", " "))));
    this.#limits(true);
  }

  get first() {
    return this.#presets.find((p) => !p.tour) ?? this.#presets[0];
  }

  preset(name) {
    return this.#presets.find((p) => p.name === name);
  }

  request() {
    const seed = /^[0-9]{1,20}$/.test($("seed").value) ? $("seed").value : "1";
    $("seed").value = seed;
    return {
      do: "preset", name: $("preset").value, nodes: Number($("nodes").value) || 0, seed,
      faults: Number($("faults").value), policy: $("policy").value,
    };
  }

  // show sets the fields to what runs; name is "" for a text that is no preset's.
  show(request) {
    if (request.name !== undefined) {
      let own = $("preset").querySelector("option[value='']");
      if (request.name === "" && !own) $("preset").append(own = h("option", { value: "" }, "your text"));
      if (request.name !== "") own?.remove();
      $("preset").value = request.name;
      this.#limits(false);
    }
    if (request.seed !== undefined) $("seed").value = request.seed;
    if (request.nodes) $("nodes").value = request.nodes;
    if (request.faults !== undefined) $("faults").value = FAULTS.reduce((best, [v]) => (Math.abs(v - request.faults) < Math.abs(best - request.faults) ? v : best), "0");
    if (request.policy) $("policy").value = request.policy;
  }

  // limits sets what the chosen preset leaves open.
  #limits(fresh) {
    const p = this.preset($("preset").value);
    const nodes = p?.nodes;
    $("nodes").disabled = !nodes;
    $("nodes").min = 1;
    $("nodes").max = 1000;
    if (nodes) {
      $("nodes").min = nodes.min;
      $("nodes").max = nodes.max;
      if (fresh) $("nodes").value = nodes.default;
    }
    $("faults").disabled = !p?.faults;
    $("policy").disabled = !p || p.policy === false || !nodes;
  }
}

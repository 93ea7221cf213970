// The page: what comes from the server goes to its parts; what is chosen is kept here.

import { $, h, replace, say } from "./dom.js";
import { tabs } from "./tabs.js";
import { Feed } from "./feed.js";
import { Ring, linkKey } from "./ring.js";
import { Charts } from "./charts.js";
import { Timeline } from "./timeline.js";
import { Card } from "./card.js";
import { Tables } from "./tables.js";
import { BANDS, FAST, bytes, percent, short, time } from "./numbers.js";

let state = null;
let paused = false;
let choice = { node: null, link: null };

const on = {
  node(name, focus) {
    choose({ node: choice.node === name && !focus ? null : name, link: null });
    if (focus) card.focus();
  },
  link(a, b) {
    choose({ node: null, link: linkKey({ a, b }) });
  },
  none() {
    const name = choice.node;
    choose({ node: null, link: null });
    document.querySelector(name ? `[data-node="${CSS.escape(name)}"]` : "#ring [tabindex='0']")?.focus();
  },
  async act(action, node, peer) {
    try {
      const did = await feed.act(action, node, peer);
      alertBox("");
      say(`${did}: ${[node, peer].filter(Boolean).join(" – ")}`);
    } catch (e) {
      alertBox(e.message);
    }
  },
};

const ring = new Ring(on);
const charts = new Charts();
const timeline = new Timeline();
const card = new Card(on);
const tables = new Tables(on);
const feed = new Feed({
  hello(hello) {
    card.may = tables.may = { cut: hello.cut, actions: hello.actions };
    $("title").textContent = hello.title;
    document.title = `${hello.title ? `${hello.title}, ` : ""}asyncmsgr live`;
    timeline.begin(hello.events);
  },
  state(s) {
    timeline.take(s.events, paused);
    if (s.every === 0) charts.clear(); // it had stopped looking
    charts.take(s);
    status("live", "Live");
    state = s;
    if (!paused) draw();
  },
  lost(why) {
    status("lost", `Not connected: ${why}`);
  },
});

function status(kind, words) {
  const box = $("status");
  if (box.dataset.state === "live" && kind === "lost") say(words);
  box.dataset.state = kind;
  if (box.textContent !== words) box.textContent = words;
}

function choose(next) {
  choice = next;
  draw();
}

function alertBox(words) {
  $("alert").hidden = !words;
  $("alert").firstElementChild.textContent = words;
}

// tiles are the numbers that say whether all is well.
function tiles(s) {
  const t = s.total;
  const missing = t.connections - t.ready;
  const all = [
    ["Messages", `${short(s.rates.sent)}/s`, `${short(s.rates.received)}/s received`],
    ["Bytes", `${bytes(s.rates.sentBytes)}/s`, `${bytes(s.rates.receivedBytes)}/s received`],
    ["Connections up", short(t.ready), missing > 0 ? `${short(missing)} are not` : `all, of ${short(t.messengers)} messenger${t.messengers === 1 ? "" : "s"}`, missing > 0],
    ["Send to end", time(s.latency.sendToAck.p50), `99 of 100 in ${time(s.latency.sendToAck.p99)}`],
    ["Wait for dispatch", time(s.latency.queueWait.p50), t.long.length ? `${t.long.length} callbacks run for long` : `99 of 100 in ${time(s.latency.queueWait.p99)}`, t.long.length > 0],
    ["Processor", s.process.cpu < 0 ? "–" : percent(s.process.cpu), `of a core; heap ${bytes(s.process.heap)}`],
  ];
  if (s.calls) all.push(["Calls", `${short(s.calls.begun)}/s`, ...good(s.calls, `${short(s.calls.out)} out; ${short(s.calls.handled)}/s handled`)]);
  if (s.streams) all.push(["Streams", short(s.streams.open), ...good(s.streams, `${bytes(s.streams.sent)}/s sent, ${bytes(s.streams.received)}/s received`)]);
  return all;
}

// good is what a tile says beneath, and whether that is bad.
const good = (x, words) => (x.failed > 0 ? [`${short(x.failed)}/s failed`, true] : [words, false]);

function draw() {
  if (!state) return;
  replace($("tiles"), tiles(state).map(([name, value, more, bad]) => h("div", { class: "tile" }, h("dt", {}, name),
    h("dd", {}, h("b", { class: "num" }, value), h("small", { class: bad ? "num bad" : "num" }, more)))));
  $("empty").hidden = state.nodes.length > 0;
  ring.draw(state, choice);
  card.draw(state, choice);
  charts.draw(state);
  timeline.draw(state.at);
  tables.draw(state, choice);
  document.body.dataset.ready = "true";
}

$("pause").onclick = () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  draw();
};
$("alert").querySelector("button").onclick = () => alertBox("");
$("legend").append(
  ...[...BANDS, FAST].map((b) => h("li", {}, h("i", { class: `swatch ${b.css}` }), b.name)),
  h("li", {}, h("i", { class: "swatch out" }), "to send"),
  h("li", { class: "hint" }, "Rim: what is dispatched, by priority; bars: what waits; lines: messages a second, red when cut"));
tabs(["nodes", "links", "sessions", "groups"], (name) => tables.show(name));

// For tests, and for who opens the console.
globalThis.live = { get state() { return state; }, get choice() { return choice; }, ring };

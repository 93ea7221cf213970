// The tables say in words and numbers what the picture shows, and do all that it does.

import { $, h, replace } from "./dom.js";
import { bytes, short, sum, time } from "./numbers.js";
import { linkKey } from "./ring.js";

const columns = (...names) => h("thead", {}, h("tr", {}, names.map((n) => h("th", { scope: "col", class: n.startsWith("#") ? "n" : false }, n.replace("#", "")))));
const number = (text) => h("td", { class: "n" }, text);

export class Tables {
  #on;
  #find = "";
  #state = null;
  #choice = null;
  #shown = "nodes";
  may = { cut: false, actions: [] };

  // on: {node(name), link(a, b), act(action, node, peer)}
  constructor(on) {
    this.#on = on;
    this.#find = "";
    const find = h("input", { type: "text", id: "find", placeholder: "osd.1", oninput: (e) => { this.#find = e.target.value.trim().toLowerCase(); this.#draw(); } });
    $("sessions-panel").append(h("label", { class: "field" }, "Find ", find), h("div", { id: "sessions-table" }));
  }

  show(name) {
    this.#shown = name;
    this.#draw();
  }

  draw(state, choice) {
    this.#state = state;
    this.#choice = choice;
    this.#draw();
  }

  #draw() {
    if (!this.#state) return;
    ({ nodes: () => this.#nodes(), links: () => this.#links(), sessions: () => this.#sessions(), groups: () => this.#groups() })[this.#shown]();
  }

  #nodes() {
    const { nodes } = this.#state;
    replace($("nodes-panel"), h("table", {}, h("caption", {}, "Nodes"),
      columns("Node", "State", "#Connections up", "#Sent/s", "#Received/s", "#For dispatch", "#To send", "#Lost transports", "Do"),
      h("tbody", {}, nodes.map((n) => {
        const chosen = n.name === this.#choice.node;
        return h("tr", { class: chosen ? "chosen" : false },
          h("th", { scope: "row" }, h("button", { type: "button", class: "small", "aria-pressed": String(chosen), "data-key": `n ${n.name}`, onclick: () => this.#on.node(n.name) }, n.folded ? `${n.type} ×${short(n.folded)}` : n.name)),
          h("td", { class: n.condition ? "bad" : false }, n.condition || (n.here ? "in this process" : "a peer")),
          number(`${short(n.ready)} of ${short(n.conns)}`), number(short(n.sent)), number(short(n.received)),
          number(short(sum(n.queue))), number(n.out ? `${short(n.out)}, ${bytes(n.outBytes)}` : "0"), number(short(n.faults)),
          h("td", {}, this.may.actions.filter((a) => n.can?.includes(a.name)).map((a) => h("button", {
            type: "button", class: "danger", "aria-label": `${a.label} ${n.name}`, "data-key": `${a.name} ${n.name}`, onclick: () => this.#on.act(a.name, n.name, ""),
          }, a.label))));
      }))));
  }

  #links() {
    const { links, nodes } = this.#state;
    const folded = new Set(nodes.filter((n) => n.folded).map((n) => n.name));
    const sorted = [...links].sort((a, b) => (a.up < a.conns) === (b.up < b.conns) ? b.ab + b.ba - a.ab - a.ba : a.up < a.conns ? -1 : 1);
    replace($("links-panel"), h("table", {}, h("caption", {}, "What nodes have with each other"),
      columns("Between", "#Sessions up", "#There/s", "#Back/s", "#To send", "#Lost transports", "#Reconnected", "#Sent again", "Do"),
      h("tbody", {}, sorted.map((l) => {
        const chosen = this.#choice.link === linkKey(l);
        return h("tr", { class: chosen ? "chosen" : false },
          h("th", { scope: "row" }, h("button", { type: "button", class: "small", "aria-pressed": String(chosen), "data-key": `l ${linkKey(l)}`, onclick: () => this.#on.link(l.a, l.b) }, `${l.a} – ${l.b}`)),
          h("td", { class: l.up < l.conns ? "n bad" : "n" }, `${short(l.up)} of ${short(l.conns)}`), number(short(l.ab)), number(short(l.ba)), number(short(l.held)),
          number(short(l.faults)), number(short(l.resumed)), number(short(l.replayed)),
          h("td", {}, this.may.cut && !folded.has(l.a) && !folded.has(l.b) ? this.#cut(l.a, l.b, `c ${linkKey(l)}`) : null));
      }))));
  }

  #cut(a, b, key) {
    return h("button", { type: "button", class: "danger", "aria-label": `Cut ${a} – ${b}`, "data-key": key, onclick: () => this.#on.act("cut", a, b) }, "Cut");
  }

  #sessions() {
    const { sessions, total } = this.#state;
    const found = sessions.filter((s) => !this.#find || `${s.node} ${s.peer} ${s.state} ${s.error ?? ""}`.toLowerCase().includes(this.#find));
    replace($("sessions-table"), h("table", {},
      h("caption", {}, `${found.length} of ${short(total.connections)} connections: those in trouble, then the busiest`),
      columns("Connection", "State", "#Sent/s", "#Received/s", "#Bytes/s", "#To send", "#Acknowledged in", "#Lost", "#Sent again", "Trouble", "Do"),
      h("tbody", {}, found.map((s) => h("tr", {},
        h("th", { scope: "row" }, `${s.node} → ${s.peer}`),
        h("td", {}, s.state), number(short(s.sent)), number(short(s.received)), number(bytes(s.bytes)), number(short(s.held)),
        number(time(s.ackTime)), number(short(s.faults)), number(short(s.replayed)), h("td", { class: "trouble" }, trouble(s)),
        h("td", {}, this.may.cut ? this.#cut(s.node, s.peer, `s ${s.node} ${s.id}`) : null))))));
  }

  #groups() {
    replace($("groups-panel"), h("table", {}, h("caption", {}, "All connections, by type of the peer and state"),
      columns("Peers", "State", "#Connections", "#Sent/s", "#Received/s", "#Bytes/s", "#To send", "#Lost transports"),
      h("tbody", {}, this.#state.groups.map((g) => h("tr", {}, h("th", { scope: "row" }, g.peer), h("td", {}, g.state),
        number(short(g.conns)), number(short(g.sent)), number(short(g.received)), number(bytes(g.bytes)), number(short(g.held)), number(short(g.faults)))))));
  }
}

// trouble is what keeps a session from working, or did.
function trouble(s) {
  if (s.stalled) return `nothing was acknowledged for ${time(s.stalled)}`;
  if (s.waitsFor) return `not read from: no room in ${s.waitsFor}`;
  if (s.step) return s.error ? `${s.step}; ${s.error}` : s.step;
  return s.error ? `${time(s.errorAgo)} ago: ${s.error}` : "";
}

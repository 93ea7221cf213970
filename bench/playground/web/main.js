// The page: it puts the parts together and passes between them what happens.

import { $, say, seconds, many } from "./dom.js";
import { Engine } from "./engine.js";
import { Player, SPEEDS, speedName } from "./player.js";
import { Scene } from "./scene.js";
import { Choice } from "./choice.js";
import { Selection } from "./selection.js";
import { Lists, Events } from "./lists.js";
import { Editor } from "./editor.js";
import { Tour } from "./tour.js";
import { Setup } from "./setup.js";
import { Notice, alertBox, dead } from "./notice.js";
import { TOOLS, lineFor, partition } from "./tools.js";
import { showTab } from "./tabs.js";
import { wire } from "./controls.js";
import { Timeline } from "./timeline.js";
import { decode } from "./share.js";

const WORDS_EVERY = 200; // the words beside the picture change so often, in milliseconds
const LATE = "This link cannot be read";

function main() {
  if (typeof WebAssembly !== "object") {
    return dead("This browser has no WebAssembly, or it is switched off (some do that in their strictest mode). The simulator is Go compiled to WebAssembly and needs it. Without a browser the same scenarios run with: msgr sim");
  }
  if (typeof Worker !== "function") return dead("This browser has no Web Workers, in which the simulator runs.");
  const engine = new Engine("worker.js", (why) => dead(`The simulator has stopped: ${why}`));
  const page = new Page(engine);
  globalThis.playground = page; // for the console
  page.begin();
}

class Page {
  constructor(engine) {
    this.scene = new Scene($("still"), $("canvas"));
    this.choice = new Choice(() => this.chosen());
    this.tool = TOOLS[0];
    this.player = new Player(engine, {
      state: (s) => this.state(s), text: (t) => this.text(t), error: (e, request) => this.error(e, request),
      playing: (on) => this.playing(on),
    });
    this.selection = new Selection($("selection"), { act: (line) => this.act(line), clear: () => this.choice.clear() });
    this.lists = new Lists($("list-panel"), {
      node: (name) => this.choice.setNode(name, this.player.state), session: (s) => this.choice.setSession(s),
      group: (name, on) => this.choice.toggle(name, on), partition: () => this.part(),
    });
    this.events = new Events($("events"));
    this.tour = new Tour($("tour-panel"), (p) => this.startPreset({ do: "preset", name: p.name, seed: "1", nodes: 0, faults: 0, policy: "" }, { tour: true }));
    this.setup = new Setup((request) => this.startPreset(request));
    this.editor = new Editor(this.player, (text, seed) => this.startText(text, seed));
    this.notice = new Notice(this.scene, this.player);
    this.timeline = new Timeline(this.player, (to) => this.seek(to));
    wire(this);
  }

  async begin() {
    const { ready } = await this.player.ask({ do: "hello" });
    this.ready = ready;
    this.setup.ready(ready);
    this.tour.ready(ready.presets);
    addEventListener("hashchange", () => this.fromLink());
    await this.fromLink();
    document.body.dataset.ready = "true";
    const frame = (now) => {
      this.frame(now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  // fromLink starts what the fragment of the address says, or the default.
  async fromLink() {
    alertBox(null);
    let link = null;
    try {
      link = await decode(location.hash);
    } catch (err) {
      alertBox(`${LATE}: ${err.message}. This is the default instead.`);
    }
    if (link?.text !== undefined && await this.startText(link.text, link.seed, link)) return;
    if (link?.preset && this.setup.preset(link.preset)) {
      const { preset: name, nodes, seed, faults, policy } = link;
      if (await this.startPreset({ do: "preset", name, nodes, seed, faults, policy }, link)) return;
    } else if (link?.preset) alertBox(`${LATE}: there is no scenario “${link.preset.slice(0, 40)}”. This is the default instead.`);
    const p = this.setup.first;
    await this.startPreset({ do: "preset", name: p.name, nodes: p.nodes?.default ?? 0, seed: "1", faults: 0, policy: this.ready.policies[0]?.name ?? "" }, { keep: true });
  }

  async startPreset(request, { tour = false, at = 0, keep = false } = {}) {
    if (!keep) alertBox(null);
    const p = this.setup.preset(request.name);
    if (!p) return false;
    if (!tour) this.tour.leave();
    const answer = await this.player.run(request);
    if (answer.error) {
      alertBox(answer.error.message);
      return false;
    }
    this.setup.show({ ...request, nodes: answer.state.nodes.length });
    this.begun(p.speed ?? 0.1);
    if (at) await this.player.seek(at);
    else this.player.setPlaying(!matchMedia("(prefers-reduced-motion: reduce)").matches);
    return true;
  }

  // startText runs a text; a text of a link that is wrong is shown, and something else runs.
  async startText(text, seed, link) {
    if (!link) alertBox(null);
    const answer = await this.player.run({ do: "start", text, seed });
    if (answer.error) {
      if (link) {
        const { line, column, message } = answer.error;
        alertBox(`${LATE}: line ${line}, column ${column} of its scenario: ${message}. This is the default instead.`);
      }
      return false;
    }
    this.tour.leave();
    this.setup.show({ name: "", seed: answer.text.seed, nodes: answer.state.nodes.length });
    this.begun(this.player.speed);
    if (link?.at) await this.player.seek(link.at);
    else this.player.setPlaying(true);
    return true;
  }

  begun(speed) {
    this.player.sought = false;
    this.player.stepped = 0;
    this.choice.forget(this.player.state);
    this.choice.clear();
    this.setSpeed(SPEEDS.reduce((best, s) => (Math.abs(s - speed) < Math.abs(best - speed) ? s : best), SPEEDS[0]));
    say(`${many(this.player.state.nodes.length, "node")}, ${many(this.player.state.sessions.length, "session")}.`);
  }

  state(s) {
    this.scene.take(s);
    this.events.take(s);
    this.notice.take(s);
    this.fresh = true;
  }

  text(reply) {
    this.timeline.acts(reply.acts ?? []);
    this.editor.take(reply, !reply.acts?.length);
  }

  error(e, request) {
    if (request.do === "start") {
      if (request.text !== $("text").value) return; // a link's, which is told above
      showTab("text");
      this.editor.fail(e);
      return;
    }
    if (request.do === "act") this.notice.tell(`${request.line}: ${e.message}`);
    else if (request.do !== "preset") alertBox(e.message);
  }

  async act(line) {
    const answer = await this.player.act(line);
    if (answer.error) return;
    this.tour.acted(line, this.player.at);
    if (this.player.state.violation) return; // which is told
    const words = line === "check prefix" ? "So far all is in order: nothing came twice, nothing is missing in between." : line;
    this.notice.tell(words, `${words}, at ${seconds(this.player.at)}.`);
  }

  part() {
    const line = partition(this.choice.group, this.player.state);
    if (line) this.act(line);
    else this.notice.tell("A group with nodes within and others without is needed.");
  }

  seek(to) {
    this.player.sought = true;
    return this.player.seek(to);
  }

  // use applies the tool to what was clicked.
  use(target) {
    const { state } = this.player;
    if (!state) return;
    const node = target.node && state.nodes.find((n) => n.name === target.node);
    const line = lineFor(this.tool, { node, session: target.session }, state);
    if (node) this.choice.setNode(node.name, state);
    else if (target.session) this.choice.setSession(target.session);
    else this.choice.clear();
    if (line) this.act(line);
    else if ((node || target.session) && this.tool !== TOOLS[0] && this.tool.id !== "part") {
      this.notice.tell(`${this.tool.name}: ${this.tool.about}.`);
    }
  }

  chosen() {
    this.scene.choose(this.choice);
    this.fresh = true;
    this.wordsAt = 0;
  }

  playing(on) {
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
    $("play").querySelector("use").setAttribute("href", on ? "#i-pause" : "#i-play");
  }

  setSpeed(speed) {
    this.player.speed = speed;
    $("speed").value = SPEEDS.indexOf(speed);
    $("speed").setAttribute("aria-valuetext", speedName(speed));
    $("speed-out").textContent = speedName(speed);
  }

  faster(by) {
    const i = Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.player.speed) + by));
    this.setSpeed(SPEEDS[i]);
    say(`Speed ${speedName(SPEEDS[i])}`);
  }

  frame(now) {
    this.player.tick(now);
    const { state } = this.player;
    if (!state) return;
    this.scene.draw(this.player.shown, now);
    this.timeline.show();
    if (now - (this.wordsAt ?? 0) < WORDS_EVERY || !this.fresh) return;
    this.wordsAt = now;
    this.fresh = false;
    this.selection.show(state, this.choice);
    this.lists.show(state, this.choice);
    this.events.show();
    this.tour.look(state, this.player);
    $("rate").textContent = `${state.deliveries ?? 0} dispatched, ${this.scene.flights.size} under way`;
  }

  setTool(tool) {
    this.tool = tool;
    for (const b of $("tools").children) {
      const on = b.dataset.tool === tool.id;
      b.setAttribute("aria-checked", String(on));
      b.tabIndex = on ? 0 : -1;
    }
  }

  // enter is a click on what is chosen; without a tool it goes to the buttons.
  enter() {
    const { choice, player } = this;
    if (this.tool.id === "part") return this.part();
    const session = choice.session && player.state.sessions.find((s) => s.a === choice.session.a && s.b === choice.session.b);
    if (this.tool !== TOOLS[0] && (choice.node || session)) return this.use({ node: choice.node, session });
    this.selection.show(player.state, choice);
    this.selection.focus();
  }
}

main();

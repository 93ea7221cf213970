// The controls: what buttons, sliders, keys and the pointer call.

import { $, h, say } from "./dom.js";
import { SPEEDS } from "./player.js";
import { Pointer } from "./pointer.js";
import { Keyboard } from "./keyboard.js";
import { TOOLS } from "./tools.js";
import { alertBox } from "./notice.js";
import { openHelp } from "./help.js";
import { showTab, tabs } from "./tabs.js";
import { drawLegend } from "./legend.js";

// wire connects the controls with a page.
export function wire(page) {
  const step = () => {
    page.player.stepped = (page.player.stepped ?? 0) + 1;
    return page.player.step();
  };
  const play = () => page.player.setPlaying(!page.player.playing);
  const back = () => page.seek(page.player.at - Math.max(1e5, 500e6 * Math.min(page.player.speed, 10)));
  const help = () => openHelp(page.ready, page.keyboard.on, (on) => page.keyboard.set(on));
  $("play").onclick = play;
  $("step").onclick = step;
  $("rewind").onclick = () => page.seek(0);
  $("help").onclick = help;
  $("share").onclick = () => page.editor.share($("share"));
  $("alert").querySelector("button").onclick = () => alertBox(null);
  $("speed").max = SPEEDS.length - 1;
  $("speed").oninput = () => page.setSpeed(SPEEDS[$("speed").value]);
  $("skip").onclick = (e) => {
    e.preventDefault();
    showTab("list");
    $("list-panel").focus();
  };
  tabs(["tour", "list", "text", "events"], () => { page.fresh = true; page.wordsAt = 0; });
  drawLegend($("legend"), page.scene);
  $("tools").append(...TOOLS.map((t) => h("button", {
    type: "button", role: "radio", "data-tool": t.id, title: `${t.about} (${t.key})`, onclick: () => page.setTool(t),
  }, t.name)));
  $("heal").onclick = () => page.act("heal");
  $("tools").addEventListener("keydown", (e) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
    if (!by) return;
    e.preventDefault();
    page.setTool(TOOLS[(TOOLS.indexOf(page.tool) + by + TOOLS.length) % TOOLS.length]);
    $("tools").querySelector("[aria-checked=true]").focus();
  });
  page.setTool(TOOLS[0]);
  new Pointer($("canvas"), page.scene, {
    click: (target) => page.use(target), hover: (target) => page.choice.setHover(target),
    lasso: (names) => {
      page.choice.setGroup(names);
      if (page.tool.id === "part") page.part();
    },
    sessions: () => page.player.state?.sessions ?? [],
  });
  const { choice, player } = page;
  page.keyboard = new Keyboard({
    " ": play, ".": step, ",": back, Home: () => page.seek(0), "[": () => page.faster(-1), "]": () => page.faster(1),
    "?": help, h: () => page.act("heal"), g: () => choice.node && choice.toggle(choice.node), Escape: () => choice.clear(),
    ...Object.fromEntries(TOOLS.map((t) => [t.key, () => { page.setTool(t); say(`Tool ${t.name}: ${t.about}`); }])),
  }, $("canvas"), {
    ArrowRight: () => choice.nextNode(player.state, 1), ArrowLeft: () => choice.nextNode(player.state, -1),
    ArrowDown: () => choice.nextSession(player.state, 1), ArrowUp: () => choice.nextSession(player.state, -1),
    Enter: () => page.enter(),
  });
}

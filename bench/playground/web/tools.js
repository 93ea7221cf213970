import { skewed } from "./dom.js";

// Tools are what a click on the picture does. Each has a line of a scenario for a node, for a
// session, or for both; the same lines are behind the buttons of what is chosen.

const other = (state, name) => state.nodes.find((n) => n.name === name)?.state ?? "up";
const held = (s) => s?.cut || s?.stalled;

// TOOLS in the order of the bar: key, name, what it is for.
export const TOOLS = [
  { id: "choose", key: "1", name: "Choose", about: "choose a node or a session; drag around nodes to group them" },
  {
    id: "cut", key: "2", name: "Cut", about: "reset a session's connection, or all of a node",
    node: (n) => `cut ${n.name}`, session: (s) => `cut ${s.a} ${s.b}`,
  },
  {
    id: "stall", key: "3", name: "Stall", about: "a session's packets stand still, or go on",
    session: (s) => (held(s) ? `release ${s.a} ${s.b}` : `stall ${s.a} ${s.b}`),
  },
  { id: "part", key: "4", name: "Partition", about: "drag around nodes: they are parted from the others" },
  {
    id: "kill", key: "5", name: "Kill", about: "end a node's process, or restart it",
    node: (n, state) => (other(state, n.name) === "dead" ? `restart ${n.name}` : `kill ${n.name}`),
  },
  {
    id: "pause", key: "6", name: "Pause", about: "a node's process stands still, or goes on",
    node: (n) => (n.state === "paused" ? `resume ${n.name}` : `pause ${n.name}`),
  },
  {
    id: "clock", key: "7", name: "Clock", about: "a node's clock is an hour ahead, or right again",
    node: (n) => (skewed(n) ? `clock ${n.name}` : `clock ${n.name} skew=1h`),
  },
];

// lineFor is the line that a tool makes of what is under the pointer, or null.
export function lineFor(tool, { node, session }, state) {
  if (node && tool.node) return tool.node(node, state);
  if (session && tool.session) return tool.session(session, state);
  return null;
}

// partition parts a group from all others; null when one side is empty.
export function partition(group, state) {
  const inGroup = state.nodes.map((n) => n.name).filter((n) => group.has(n));
  const rest = state.nodes.map((n) => n.name).filter((n) => !group.has(n));
  if (!inGroup.length || !rest.length) return null;
  return `partition ${inGroup.join(" ")} | ${rest.join(" ")}`;
}

// nodeActions are the buttons of a node: words, line, dangerous.
export function nodeActions(n) {
  const a = n.name;
  if (n.state === "dead") return [["Restart", `restart ${a}`]];
  return [
    ["Cut all", `cut ${a}`],
    n.state === "paused" ? ["Resume", `resume ${a}`] : ["Pause", `pause ${a}`],
    n.state === "stuck" ? ["Free dispatcher", `free ${a}`] : ["Stick dispatcher", `stick ${a}`],
    skewed(n) ? ["Clock right", `clock ${a}`] : ["Clock +1 h", `clock ${a} skew=1h`],
    skewed(n) ? null : ["Clock fast", `clock ${a} drift=200ms`],
    ["Kill", `kill ${a}`, true],
    ["Crash", `crash ${a}`, true],
  ].filter(Boolean);
}

// sessionActions are the buttons of a session.
export function sessionActions(s) {
  const ab = `${s.a} ${s.b}`;
  return [
    ["Cut", `cut ${ab}`],
    held(s) ? ["Release", `release ${ab}`] : ["Stall", `stall ${ab}`],
    ["Part", `partition ${s.a} | ${s.b}`],
    [`Block ${s.a} → ${s.b}`, `oneway ${ab}`],
    [`Send ${s.a} → ${s.b}`, `send ${ab} 10 size=1000`],
    [`Send ${s.b} → ${s.a}`, `send ${s.b} ${s.a} 10 size=1000`],
    [`Urgent ${s.a} → ${s.b}`, `send ${ab} 10 size=100 prio=196`],
    ["Mark down", `mark_down ${ab}`, true],
  ];
}

// A worker that answers as the engine does, without one: what is seen is a formula of the
// time. The tests of the page alone use it, for what the real one does seldom: a violation,
// an end, fifty nodes with as many packets as the page draws.
"use strict";

const LATENCY = 60e6;
const TAGS = ["MESSAGE", "MESSAGE", "MESSAGE", "ACK", "MESSAGE", "KEEPALIVE2", "MESSAGE", "ACK", "HELLO", "SESSION_RECONNECT", "DIAL", ""];
const PRIOS = [127, 63, 127, 196, 63, 127, 255];

let run = { nodes: [], seed: "1", text: "", acts: [], at: 0, last: 0, events: [], every: 8e6 };

const mix = (k) => {
  let x = Math.imul(k ^ 0x9e3779b9, 0x85ebca6b) ^ Number(BigInt(run.seed) & 0xffffffn);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
};

function frame(k, at) {
  const n = run.nodes.length;
  const x = mix(k);
  const a = x % n;
  const hop = 1 + ((x >>> 8) % Math.min(3, n - 1));
  const tag = TAGS[(x >>> 4) % TAGS.length];
  const sent = k * run.every;
  const due = sent + LATENCY * (0.7 + ((x >>> 12) % 60) / 100);
  const f = {
    id: String(k), a: run.nodes[a], b: run.nodes[(a + hop) % n], tag, n: 1,
    prio: tag === "MESSAGE" ? PRIOS[x % PRIOS.length] : 0, size: 10 ** (2 + (x % 4)), sent, due, held: false,
  };
  const stalled = run.acts.some((s) => s.line === `stall ${f.a} ${f.b}` || s.line === `stall ${f.b} ${f.a}`);
  if (stalled) f.held = true;
  if (due <= at && !stalled) f.end = due;
  if (x % 50 === 0 && due - LATENCY / 3 <= at) Object.assign(f, { end: due - LATENCY / 3, lost: true });
  return f;
}

function state(fresh) {
  const { at, nodes, acts } = run;
  const frames = [];
  for (let k = Math.max(0, Math.ceil((run.last - LATENCY * 1.3) / run.every)); k * run.every <= at && frames.length < 2000; k++) {
    const f = frame(k, at);
    if (f.end === undefined || f.end > run.last) frames.push(f);
  }
  const has = (line) => acts.some((s) => s.line === line);
  const sessions = [];
  nodes.forEach((a, i) => {
    for (let hop = 1; hop <= 3 && i + hop < nodes.length + (nodes.length > 3 ? hop : 0); hop++) {
      const [x, y] = [a, nodes[(i + hop) % nodes.length]];
      if (x === y || sessions.some((s) => s.a === y && s.b === x)) continue;
      sessions.push({
        a: x, b: y, state: mix(i * 7 + hop) % 17 ? "ready" : "connecting", kept: [(mix(i) >>> 3) % 4, (mix(i + 9) >>> 3) % 12], queued: [0, 0],
        cut: has(`stall ${x} ${y}`),
      });
    }
  });
  const violation = run.text.includes("violate") && at >= 1e9 ? {
    message: "L1: a sent b a message that arrived twice", at: 1e9, chart: "sequenceDiagram",
    rows: nodes.slice(0, 3).flatMap((n, i) => [
      { at: 0.9e9 + i * 1e6, from: n, to: nodes[(i + 1) % nodes.length], text: "MESSAGE 17 prio 127" },
      { at: 0.95e9 + i * 1e6, from: nodes[(i + 1) % nodes.length], to: n, text: "ACK 17", lost: i === 1 },
      { at: 1e9 + i * 1e6, from: n, text: "dispatched 17 again" },
    ]),
  } : null;
  const events = fresh ? run.events : run.events.splice(0);
  run.events = [];
  const reply = {
    type: "state", at, fresh, deliveries: Math.floor(at / run.every), sent: Math.floor(at / run.every), more: 0, frames, sessions,
    nodes: nodes.map((name, i) => ({
      name, state: has(`kill ${name}`) ? "dead" : has(`pause ${name}`) ? "paused" : has(`stick ${name}`) ? "stuck" : "up",
      queue: { 63: mix(i) % 9, 127: mix(i + 1) % 5, 196: mix(i + 2) % 3 }, out: { 127: mix(i + 3) % 12 }, skew: has(`clock ${name} skew=1h`) ? 3600e9 : 0,
    })),
    events, faults: acts.map((s) => s.line).filter((l) => /^(stall|partition)/.test(l)), ended: violation ? "violation" : "", violation,
  };
  run.last = at;
  return reply;
}

const text = () => ({ type: "text", text: run.text, whole: run.text, seed: run.seed, at: run.at, acts: run.acts, end: 60e9 });

function start(text, seed, nodes, every) {
  run = { nodes, seed: String(seed ?? 1), text, acts: [], at: 0, last: 0, events: [{ at: 0, text: "the run begins", kind: "note" }], every };
}

function answer(q) {
  switch (q.do) {
    case "hello":
      return [{
        type: "ready", version: "mock", policies: [{ name: "lossless_peer", about: "" }, { name: "lossy_client", about: "" }],
        steps: [{ verb: "cut", usage: "cut a b", about: "resets what connects a and b" }],
        presets: [{ name: "ring", title: "A ring with traffic", about: "", nodes: { min: 2, max: 50, default: 8 }, faults: true, speed: 0.1 },
          ...["lossless", "replay", "race", "priority", "pressure", "reset"].map((n, i) => ({ name: `tour-${n}`, title: n, about: "", nodes: null, tour: i + 1, speed: 0.1 }))],
      }];
    case "preset": {
      const n = q.nodes || 2;
      start(`# ${q.name}\nnodes ${n} prefix=n policy=${q.policy || "lossless_peer"}\ntraffic ring every=8ms\n`, q.seed, Array.from({ length: n }, (_, i) => `n${i + 1}`), n > 30 ? 0.1e6 : 8e6);
      return [text(), state(true)];
    }
    case "start": {
      const lines = q.text.split("\n");
      const bad = lines.findIndex((l) => /^\s*frobnicate/.test(l));
      if (bad >= 0) return [{ type: "error", line: bad + 1, column: lines[bad].search(/\S/) + 1, message: "unknown step \"frobnicate\"" }];
      start(q.text, q.seed, ["a", "b", "c"], 8e6);
      return [text(), state(true)];
    }
    case "advance":
      run.at = Math.max(run.at, run.text.includes("violate") ? Math.min(q.to, 1e9) : Math.min(q.to, run.at + 1e9));
      return [state(false)];
    case "step":
      run.at = (Math.floor(run.at / run.every) + 1) * run.every;
      return [state(false)];
    case "seek":
      run.at = q.to;
      run.last = Math.max(0, q.to - LATENCY);
      return [state(true)];
    case "act":
      run.acts.push({ at: run.at, line: q.line });
      run.text += `at ${run.at / 1e9}s\n${q.line}\n`;
      run.events.push({ at: run.at, text: q.line, kind: "act" });
      return [text(), state(false)];
    case "text":
      return [text()];
    case "hash":
      return [{ type: "hash", hash: "00000000deadbeef", at: run.at, deliveries: 0 }];
  }
  return [{ type: "error", message: `unknown request ${q.do}` }];
}

self.onmessage = (e) => self.postMessage({ id: e.data.id, replies: answer(e.data) });

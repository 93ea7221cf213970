// The shapes of nodes, sessions and losses. All take a context in CSS pixels, but for
// drawLoss, which is drawn on the scaled canvas.

import { skewed } from "./dom.js";
import { BANDS, byBand } from "./palette.js";

const sum = (x) => (Array.isArray(x) ? x : [x ?? 0, 0]);

// drawSession draws the line of a session, how it fares, and beads at each end for the
// messages that are kept there until they are acknowledged.
export function drawSession(g, c, layout, s, a, b, { chosen, near, hover }) {
  const ready = s.state === "ready" || s.state === "open";
  g.save();
  if (chosen || hover) {
    g.strokeStyle = c.accent;
    g.globalAlpha = chosen ? 0.3 : 0.18;
    g.lineWidth = 9;
    g.lineCap = "round";
    line(g, a, b);
    g.globalAlpha = 1;
    g.lineCap = "butt";
  }
  g.lineWidth = layout.dense && !near && !chosen ? 0.8 : 1.5;
  g.strokeStyle = layout.dense && !near && !chosen ? c.sessionWeak : c.session;
  if (!ready) g.setLineDash(s.state === "standby" ? [1.5, 4] : [6, 5]);
  if (s.cut) {
    g.strokeStyle = c.bad;
    g.setLineDash([4, 5]);
  }
  line(g, a, b);
  g.setLineDash([]);
  if (s.cut) barrier(g, c, a, b, layout.dense ? 4 : 7);
  if (layout.at.size <= 6 || near || chosen) {
    const [fromA, fromB] = sum(s.kept);
    const [waitA, waitB] = sum(s.queued);
    beads(g, c, layout, a, b, fromA, waitA);
    beads(g, c, layout, b, a, fromB, waitB);
  }
  g.restore();
}

function line(g, a, b) {
  g.beginPath();
  g.moveTo(a.x, a.y);
  g.lineTo(b.x, b.y);
  g.stroke();
}

function barrier(g, c, a, b, r) {
  const x = (a.x + b.x) / 2;
  const y = (a.y + b.y) / 2;
  const angle = Math.atan2(b.y - a.y, b.x - a.x) + Math.PI / 2;
  g.lineWidth = 3;
  g.strokeStyle = c.bad;
  g.beginPath();
  g.moveTo(x - Math.cos(angle) * r * 1.5, y - Math.sin(angle) * r * 1.5);
  g.lineTo(x + Math.cos(angle) * r * 1.5, y + Math.sin(angle) * r * 1.5);
  g.stroke();
}

// beads are what one end keeps: squares beside its lane, full ones for what was written, empty
// ones for what waits to be; and a number when there are many.
function beads(g, c, layout, from, to, kept, waiting) {
  const n = kept + waiting;
  if (!n) return;
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const ux = dx / length;
  const uy = dy / length;
  const size = few(layout) ? 6 : 4;
  const step = size + 2;
  const side = few(layout) ? 17 : 12;
  const at = (k) => {
    const d = from.radius + 8 + k * step;
    return [from.x + ux * d - uy * side, from.y + uy * d + ux * side];
  };
  g.fillStyle = g.strokeStyle = c.soft;
  g.lineWidth = 1;
  const drawn = Math.min(n, few(layout) ? 16 : 8, Math.max(1, Math.floor((length / 2 - from.radius - 14) / step)));
  for (let k = 0; k < drawn; k++) {
    const [x, y] = at(k);
    if (k < kept) g.fillRect(x - size / 2, y - size / 2, size, size);
    else g.strokeRect(x - size / 2 + 0.5, y - size / 2 + 0.5, size - 1, size - 1);
  }
  if (n > drawn) {
    const [x, y] = at(drawn + 0.7);
    text(g, c, String(n), x, y, few(layout) ? 12 : 10, c.soft);
  }
}

const few = (layout) => layout.at.size <= 4;

// drawNode draws a node, what its state is, its name, and its queues as bars that point outwards.
export function drawNode(g, c, layout, n, p, { chosen, grouped, hover }) {
  const r = p.radius;
  g.save();
  g.translate(p.x, p.y);
  if (chosen || hover) {
    g.fillStyle = c.accent;
    g.globalAlpha = chosen ? 0.35 : 0.18;
    disc(g, r + 7);
    g.fill();
    g.globalAlpha = 1;
  }
  disc(g, r);
  g.fillStyle = n.state === "dead" ? c.bg : c.node;
  g.fill();
  g.lineWidth = layout.dense ? 1.4 : 2;
  g.strokeStyle = n.state === "dead" ? c.bad : c.nodeLine;
  if (n.state === "dead") g.setLineDash([3, 3]);
  if (n.state === "paused") g.setLineDash([7, 4]);
  g.stroke();
  g.setLineDash([]);
  if (grouped) {
    g.lineWidth = 3;
    g.strokeStyle = c.accent;
    disc(g, r + 3.5);
    g.stroke();
  }
  glyph(g, c, n.state, r);
  g.restore();
  bars(g, c, layout, n, p);
  label(g, c, layout, n, p);
}

function disc(g, r) {
  g.beginPath();
  g.arc(0, 0, r, 0, 2 * Math.PI);
}

// glyph is the state of a node as a sign within it.
function glyph(g, c, state, r) {
  const s = r * 0.45;
  g.lineWidth = Math.max(1.5, r * 0.14);
  g.globalAlpha = r > 12 ? 0.4 : 1;
  switch (state) {
    case "dead":
      g.strokeStyle = c.bad;
      g.beginPath();
      g.moveTo(-s * 1.4, -s * 1.4);
      g.lineTo(s * 1.4, s * 1.4);
      g.moveTo(s * 1.4, -s * 1.4);
      g.lineTo(-s * 1.4, s * 1.4);
      g.stroke();
      break;
    case "paused":
      g.fillStyle = c.highest;
      g.fillRect(-s * 1.1, -s * 1.3, s * 0.8, s * 2.6);
      g.fillRect(s * 0.3, -s * 1.3, s * 0.8, s * 2.6);
      break;
    case "stuck":
      g.strokeStyle = c.highest;
      for (const k of [-1, 0, 1]) {
        g.beginPath();
        g.moveTo(-s * 1.5, k * s);
        g.lineTo(s * 1.5, k * s);
        g.stroke();
      }
  }
  g.globalAlpha = 1;
}

// bars are the queues: what waits for the dispatcher (nearer to the clock hand's way), and
// what waits to be acknowledged or written. Their length is the logarithm of the number.
function bars(g, c, layout, n, p) {
  const [outX, outY] = [Math.cos(p.angle), Math.sin(p.angle)];
  const width = Math.max(2.5, Math.min(6, p.radius * 0.4));
  const from = p.radius + 5;
  [["queue", -1], ["out", 1]].forEach(([what, side]) => {
    const q = byBand(n[what]);
    if (!q.total) return;
    const length = Math.min(26, 4 + 5 * Math.log2(q.total));
    let at = from;
    for (const b of BANDS) {
      if (!q[b]) continue;
      const part = (length * q[b]) / q.total;
      const [x, y] = [p.x - outY * side * width * 0.75, p.y + outX * side * width * 0.75];
      g.strokeStyle = c[b];
      g.globalAlpha = what === "out" ? 0.55 : 1;
      g.lineWidth = width;
      g.beginPath();
      g.moveTo(x + outX * at, y + outY * at);
      g.lineTo(x + outX * (at + part), y + outY * (at + part));
      g.stroke();
      at += part;
    }
    g.globalAlpha = 1;
  });
}

function label(g, c, layout, n, p) {
  if (p.radius >= 14) {
    const size = n.name.length > 4 ? 11 : 13;
    text(g, c, n.name, p.x, p.y, size, n.state === "dead" ? c.soft : c.nodeInk, 600);
    const skew = skewed(n);
    if (skew) text(g, c, `◷ ${skew}`, p.x, p.y + (Math.sin(p.angle) > 0.3 ? -1 : 1) * (p.radius + 11), 11, c.bad, 600);
    return;
  }
  // Small nodes have their names on the inner side, where no bars are.
  const d = p.radius + 10;
  text(g, c, n.name, p.x - Math.cos(p.angle) * d * 1.1, p.y - Math.sin(p.angle) * d, 10, c.soft);
}

function text(g, c, s, x, y, size, colour, weight = 500) {
  g.font = `${weight} ${size}px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  g.fillStyle = colour;
  g.fillText(s, x, y + 0.5);
}

// drawLoss is a frame that did not arrive: a cross that fades.
export function drawLoss(g, c, scale, x, y, strength) {
  const r = (5 + 4 * (1 - strength)) * scale;
  g.globalAlpha = strength;
  g.strokeStyle = c.bad;
  g.lineWidth = 2 * scale;
  g.beginPath();
  g.moveTo(x * scale - r, y * scale - r);
  g.lineTo(x * scale + r, y * scale + r);
  g.moveTo(x * scale + r, y * scale - r);
  g.lineTo(x * scale - r, y * scale + r);
  g.stroke();
  g.globalAlpha = 1;
}

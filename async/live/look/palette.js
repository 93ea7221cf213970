// What frames look like: the shape says which kind of frame it is, the colour of a message
// its priority. Shapes differ as well as colours, for those who see no difference of colour.

const vars = {
  bg: "--bg", ink: "--ink", soft: "--soft", line: "--line", accent: "--accent", bad: "--bad", good: "--good", panel: "--panel",
  node: "--node", nodeInk: "--node-ink", nodeLine: "--node-line", session: "--session", sessionWeak: "--session-weak",
  low: "--prio-low", default: "--prio-default", high: "--prio-high", highest: "--prio-highest",
  handshake: "--tag-handshake", recovery: "--tag-recovery", small: "--tag-small",
};

// colours reads the custom properties of the page, which follow light and dark.
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.entries(vars).map(([k, v]) => [k, style.getPropertyValue(v).trim()]));
}

// band is the name of a priority: those of msgr are 63 low, 127 default, 196 high, 255 highest;
// 0 is the default.
export function band(prio) {
  if (prio === 0) return "default";
  if (prio >= 255) return "highest";
  if (prio >= 196) return "high";
  if (prio >= 127) return "default";
  return "low";
}
export const BANDS = ["highest", "high", "default", "low"];

// byBand sums {prio: count} over the bands.
export function byBand(queue) {
  const out = { highest: 0, high: 0, default: 0, low: 0, total: 0 };
  for (const [prio, n] of Object.entries(queue ?? {})) {
    out[band(Number(prio))] += n; // "" is 0
    out.total += n;
  }
  return out;
}

// kindOf is the kind of a frame, which is its shape.
export function kindOf(tag) {
  if (tag === "MESSAGE") return "message";
  if (tag === "ACK") return "ack";
  if (tag.startsWith("KEEPALIVE")) return "keepalive";
  if (tag === "DIAL" || tag === "ACCEPT") return "dial";
  if (/RECONNECT|RESET|RETRY|WAIT/.test(tag)) return "recovery";
  if (tag === "" || tag === "FIN" || tag === "RST") return "bytes";
  return "handshake";
}

const polygon = (g, points) => {
  g.beginPath();
  points.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
  g.closePath();
};
const disc = (g, r) => {
  g.beginPath();
  g.arc(0, 0, r, 0, 2 * Math.PI);
};

// drawMark draws a frame at 0, 0 with about the radius r.
export function drawMark(g, c, kind, prioBand, r) {
  g.lineWidth = Math.max(1.4, r * 0.34);
  switch (kind) {
    case "message":
      g.fillStyle = g.strokeStyle = c[prioBand];
      if (prioBand === "low") {
        disc(g, r * 0.86);
        g.fillStyle = c.bg;
        g.fill();
        g.stroke();
        break;
      }
      disc(g, r);
      g.fill();
      if (prioBand === "default") break;
      disc(g, r + g.lineWidth * 1.15);
      g.lineWidth *= 0.75;
      g.stroke();
      if (prioBand === "highest") {
        g.fillStyle = c.bg;
        disc(g, r * 0.38);
        g.fill();
      }
      break;
    case "ack":
      g.strokeStyle = c.small;
      g.beginPath();
      g.moveTo(-r * 0.75, 0);
      g.lineTo(-r * 0.15, r * 0.6);
      g.lineTo(r * 0.8, -r * 0.6);
      g.stroke();
      break;
    case "keepalive":
      g.strokeStyle = c.small;
      disc(g, r * 0.6);
      g.stroke();
      break;
    case "dial":
      g.strokeStyle = c.handshake;
      g.beginPath();
      g.moveTo(-r * 0.8, 0);
      g.lineTo(r * 0.8, 0);
      g.moveTo(0, -r * 0.8);
      g.lineTo(0, r * 0.8);
      g.stroke();
      break;
    case "handshake":
      g.fillStyle = c.handshake;
      polygon(g, [[-r * 0.8, -r * 0.8], [r * 0.8, -r * 0.8], [r * 0.8, r * 0.8], [-r * 0.8, r * 0.8]]);
      g.fill();
      break;
    case "recovery":
      g.fillStyle = c.recovery;
      polygon(g, [[0, -r * 1.2], [r * 1.2, 0], [0, r * 1.2], [-r * 1.2, 0]]);
      g.fill();
      break;
    default:
      g.fillStyle = c.small;
      disc(g, r * 0.45);
      g.fill();
  }
}

// legend is what the legend shows: words, kind, band.
export const legend = [
  ["message, low priority", "message", "low"], ["default", "message", "default"],
  ["high", "message", "high"], ["highest", "message", "highest"],
  ["acknowledgement", "ack"], ["keepalive", "keepalive"], ["attempt to connect", "dial"],
  ["handshake", "handshake"], ["reconnect, retry, reset", "recovery"], ["other bytes", "bytes"],
];

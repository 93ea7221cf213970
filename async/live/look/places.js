// Where things are in the picture, and what is under a point.

// places lays nodes out on an ellipse that fills the rectangle.
export function places(names, width, height) {
  const n = names.length;
  const dense = n > 16;
  const radius = Math.max(5, Math.min(24, (Math.PI * Math.min(width, height)) / (n * 3.4), width / 20));
  const margin = radius + (width < 500 ? 32 : 40);
  const rx = Math.max(20, width / 2 - margin - (dense ? 10 : 0));
  const ry = Math.max(20, height / 2 - margin);
  // Two nodes stand side by side, others begin at the top.
  const first = n === 2 ? Math.PI : -Math.PI / 2;
  const wide = n <= 3 ? Math.min(rx, ry * 1.9) : rx;
  const at = new Map();
  names.forEach((name, i) => {
    const angle = first + (2 * Math.PI * i) / n;
    at.set(name, { name, angle, radius, x: width / 2 + wide * Math.cos(angle), y: height / 2 + ry * Math.sin(angle) });
  });
  return { at, radius, dense, width, height };
}

// lane is the way of frames from a to b: beside the line of the session, so that the two
// directions do not meet.
export function lane(a, b, offset) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const length = Math.hypot(dx, dy) || 1;
  const ux = dx / length;
  const uy = dy / length;
  const gap = a.radius + 3;
  return {
    x: a.x + ux * gap - uy * offset, y: a.y + uy * gap + ux * offset,
    dx: dx - 2 * ux * gap, dy: dy - 2 * uy * gap, ux, uy, length: Math.max(1, length - 2 * gap),
  };
}

// nodeAt is the name of the node at a point, or null.
export function nodeAt(layout, x, y, slack) {
  let best = null;
  let distance = layout.radius + slack;
  for (const p of layout.at.values()) {
    const d = Math.hypot(p.x - x, p.y - y);
    if (d <= distance) {
      best = p.name;
      distance = d;
    }
  }
  return best;
}

// sessionAt is the session whose line is nearest to a point, within slack, or null.
export function sessionAt(layout, sessions, x, y, slack) {
  let best = null;
  let distance = slack;
  for (const s of sessions) {
    const a = layout.at.get(s.a);
    const b = layout.at.get(s.b);
    if (!a || !b) continue;
    const d = toSegment(a, b, x, y);
    if (d <= distance) {
      best = s;
      distance = d;
    }
  }
  return best;
}

function toSegment(a, b, x, y) {
  const dx = b.x - a.x;
  const dy = b.y - a.y;
  const t = Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(a.x + t * dx - x, a.y + t * dy - y);
}

// inside lists the nodes within a polygon.
export function inside(layout, polygon) {
  const names = [];
  for (const p of layout.at.values()) {
    let odd = false;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [xi, yi] = polygon[i];
      const [xj, yj] = polygon[j];
      if (yi > p.y !== yj > p.y && p.x < ((xj - xi) * (p.y - yi)) / (yj - yi) + xi) odd = !odd;
    }
    if (odd) names.push(p.name);
  }
  return names;
}

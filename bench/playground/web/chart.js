// A sequence chart: who sent what to whom in a window of time, as SVG. Lifelines are columns,
// rows are moments.

import { seconds } from "./dom.js";

const NS = "http://www.w3.org/2000/svg";
const ROW = 24;
const LEFT = 104;

function s(tag, attributes, text) {
  const e = document.createElementNS(NS, tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
}

// chart draws rows {at, from, to, text}; a row without to is a note over from's line. at marks a
// moment, that of a violation.
export function chart(rows, at, colours) {
  const hosts = [...new Set(rows.flatMap((r) => [r.from, r.to]).filter(Boolean))];
  const column = Math.max(150, Math.min(360, 900 / Math.max(1, hosts.length)));
  const width = LEFT + column * hosts.length;
  const height = 44 + ROW * (rows.length + 1);
  const x = (host) => LEFT + column * (hosts.indexOf(host) + 0.5);
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Sequence chart" });
  for (const host of hosts) {
    svg.append(s("line", { x1: x(host), y1: 34, x2: x(host), y2: height - 6, stroke: colours.sessionWeak, "stroke-width": 1.5 }),
      s("text", { x: x(host), y: 22, "text-anchor": "middle", "font-weight": 650, "font-size": 14, fill: colours.ink }, host));
  }
  let marked = at === undefined;
  rows.forEach((r, i) => {
    const y = 58 + ROW * i;
    if (!marked && r.at >= at) {
      marked = true;
      svg.append(s("line", { x1: 0, y1: y - ROW * 0.7, x2: width, y2: y - ROW * 0.7, stroke: colours.bad, "stroke-width": 2, "stroke-dasharray": "6 4" }));
    }
    svg.append(s("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end", fill: colours.soft, "font-size": 11 }, seconds(r.at)));
    if (r.from && r.to && r.from !== r.to) arrow(svg, x(r.from), x(r.to), y, r, colours);
    else {
      const mid = r.from ? x(r.from) : LEFT + (width - LEFT) / 2;
      svg.append(s("circle", { cx: mid, cy: y, r: 3, fill: colours.bad }),
        s("text", { x: mid + 8, y: y + 4, fill: colours.ink, "font-size": 12 }, clip(r.text, 40)));
    }
  });
  return svg;
}

function arrow(svg, x1, x2, y, r, colours) {
  const back = x2 < x1 ? -1 : 1;
  const colour = r.lost ? colours.bad : colours.nodeLine;
  svg.append(s("line", { x1, y1: y, x2: x2 - back * 7, y2: y, stroke: colour, "stroke-width": 1.3, "stroke-dasharray": r.lost ? "4 3" : "none" }),
    s("path", { d: `M${x2 - back} ${y} l${-back * 8} -4 v8 z`, fill: colour }));
  const words = s("text", { x: (x1 + x2) / 2, y: y - 4, "text-anchor": "middle", fill: colours.ink, "font-size": 11.5 }, clip(r.text, Math.floor(Math.abs(x2 - x1) / 6.4)));
  const whole = s("title", {}, r.text);
  words.append(whole);
  svg.append(words);
}

const clip = (text, max) => (text.length > max ? `${text.slice(0, Math.max(1, max - 1))}…` : text);

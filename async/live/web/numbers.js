// How numbers are written: short, and the same everywhere.

import { span } from "./dom.js";

// short writes 1234567 as 1.2 M.
export function short(x) {
  const n = Math.abs(x);
  if (n >= 1e9) return `${(x / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(x / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(x / 1e3).toFixed(n >= 1e5 ? 0 : 1)} k`;
  return n >= 100 || Number.isInteger(x) ? Math.round(x).toLocaleString("en-GB") : x.toFixed(1);
}

// bytes writes 1234567 as 1.2 MB.
export function bytes(x) {
  if (x >= 1e9) return `${(x / 1e9).toFixed(1)} GB`;
  if (x >= 1e6) return `${(x / 1e6).toFixed(1)} MB`;
  if (x >= 1e3) return `${(x / 1e3).toFixed(x >= 1e5 ? 0 : 1)} kB`;
  return `${Math.round(x)} B`;
}

// time writes nanoseconds with two digits: 1.3 ms.
export function time(ns) {
  return ns > 0 ? span(Number(ns.toPrecision(2))) : "–";
}

export const percent = (x) => `${(100 * x).toFixed(x < 0.0995 ? 1 : 0)} %`;

// clock is the time of day of an event.
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

// The bands of priorities, as the server counts them, and the names of their colours; FAST is what
// is dispatched at once, whatever its priority.
export const BANDS = [
  { name: "events", css: "events" }, { name: "high", css: "high" },
  { name: "normal", css: "normal" }, { name: "low", css: "low" },
];
export const FAST = { name: "at once", css: "fast" };

export const sum = (list) => list.reduce((a, b) => a + b, 0);

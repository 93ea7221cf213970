// The legend: each mark beside its words.

import { h } from "./dom.js";
import { drawMark, legend } from "./palette.js";

export function drawLegend(box, scene) {
  const draw = () => {
    const scale = Math.max(1, Math.min(2, devicePixelRatio || 1));
    box.querySelector("div").replaceChildren(...legend.map(([words, kind, band]) => {
      const c = h("canvas", { width: 26 * scale, height: 18 * scale, "aria-hidden": "true" });
      const g = c.getContext("2d");
      g.translate(13 * scale, 9 * scale);
      drawMark(g, scene.colours, kind, band ?? "", 5 * scale);
      return h("span", {}, c, words);
    }), h("span", {}, "■ □ beside a node: kept until acknowledged; waits to be written"), h("span", {}, "bars: what waits, by priority (pale: to be sent)"));
  };
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(draw));
  if (matchMedia("(min-width: 761px)").matches) box.open = true;
}

// What the mouse, a finger or a pen does on the picture: a click uses the tool on what is
// under it, a drag draws a lasso.

import { nodeAt, sessionAt, inside } from "./places.js";

const DRAG = 8; // pixels before a click is a drag
const POINTS_MAX = 1000;

export class Pointer {
  #canvas;
  #scene;
  #on;
  #down = null;

  // on: {click(target), lasso(names), hover(target), sessions()}; a target is {node, session}.
  constructor(canvas, scene, on) {
    this.#canvas = canvas;
    this.#scene = scene;
    this.#on = on;
    canvas.addEventListener("pointerdown", (e) => this.#start(e));
    canvas.addEventListener("pointermove", (e) => this.#move(e));
    canvas.addEventListener("pointerup", (e) => this.#end(e));
    canvas.addEventListener("pointercancel", () => this.#drop());
    canvas.addEventListener("pointerleave", () => { if (!this.#down) on.hover({}); });
  }

  #point(e) {
    const box = this.#canvas.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  }

  #target(x, y, coarse) {
    const { layout } = this.#scene;
    if (!layout) return {};
    const node = nodeAt(layout, x, y, coarse ? 14 : 6);
    if (node) return { node };
    const session = sessionAt(layout, this.#on.sessions(), x, y, coarse ? 16 : 7);
    return session ? { session } : {};
  }

  #start(e) {
    if (e.button !== 0) return;
    this.#down = { at: this.#point(e), coarse: e.pointerType !== "mouse" };
    this.#canvas.setPointerCapture(e.pointerId);
  }

  #move(e) {
    const [x, y] = this.#point(e);
    const down = this.#down;
    if (!down) {
      const target = this.#target(x, y, false);
      this.#canvas.style.cursor = target.node || target.session ? "pointer" : "default";
      return this.#on.hover(target);
    }
    const far = Math.hypot(x - down.at[0], y - down.at[1]) > DRAG;
    if (!this.#scene.lasso && far) this.#scene.lasso = [down.at];
    if (this.#scene.lasso && this.#scene.lasso.length < POINTS_MAX) this.#scene.lasso.push([x, y]);
  }

  #end(e) {
    const down = this.#down;
    this.#down = null;
    if (!down) return;
    const lasso = this.#scene.lasso;
    this.#scene.lasso = null;
    if (lasso) return this.#on.lasso(inside(this.#scene.layout, lasso));
    this.#on.click(this.#target(...this.#point(e), down.coarse));
  }

  #drop() {
    this.#down = null;
    this.#scene.lasso = null;
  }
}

// The keys. Those of a single letter can be switched off, and do nothing in a text field.

const STORE = "asyncmsgr-keys";

export class Keyboard {
  on = true;
  #keys;

  // keys: {" ": f, ".": f, ...}; canvasKeys only count while the picture has the focus.
  constructor(keys, canvas, canvasKeys) {
    this.#keys = keys;
    try {
      this.on = localStorage.getItem(STORE) !== "off";
    } catch {
      // Without storage the keys are on.
    }
    document.addEventListener("keydown", (e) => this.#press(e));
    canvas.addEventListener("keydown", (e) => {
      const f = canvasKeys[e.key];
      if (!f || e.ctrlKey || e.metaKey || e.altKey) return;
      e.preventDefault();
      e.stopPropagation();
      f(e);
    });
  }

  set(on) {
    this.on = on;
    try {
      localStorage.setItem(STORE, on ? "on" : "off");
    } catch {
      // It holds until the page is closed.
    }
  }

  #press(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    if (!this.on && e.key.length === 1) return;
    const t = e.target;
    const typed = t.matches("textarea, select, input:not([type=range]):not([type=checkbox])");
    if (typed) return;
    // A button has its own space and Enter, a slider its Home.
    if (e.key === " " && t.matches("button, summary, [type=checkbox]")) return;
    if (e.key === "Home" && t.matches("[type=range]")) return;
    const f = this.#keys[e.key];
    if (!f) return;
    e.preventDefault();
    f(e);
  }
}

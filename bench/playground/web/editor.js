// The scenario's text: shown as it grows, edited, run, copied, shared, saved.

import { $, copy, say, span } from "./dom.js";
import { encode } from "./share.js";

export class Editor {
  #text = $("text");
  #lines = $("lines");
  #error = $("text-error");
  #player;
  #seed = "1";
  #own = ""; // what the engine said last
  #errorLine = 0;

  // run(text, seed) starts a text.
  constructor(player, run) {
    this.#player = player;
    this.#text.addEventListener("input", () => this.#number());
    this.#text.addEventListener("scroll", () => { this.#lines.scrollTop = this.#text.scrollTop; });
    $("run-text").onclick = () => {
      this.#clearError();
      const text = this.#text.value;
      run(text, /^\s*seed\s/m.test(text) ? "" : $("seed").value);
    };
    $("copy-text").onclick = async () => flash($("copy-text"), await copy((await this.#now()).text, "The scenario"));
    $("copy-link").onclick = () => this.share($("copy-link"));
    $("save-text").onclick = () => this.#save();
    $("hash-now").onclick = () => this.#hash();
  }

  get edited() {
    return this.#text.value !== this.#own;
  }

  // take shows a text of the engine, unless something was edited that has not been run.
  take(reply, fresh) {
    this.#seed = String(reply.seed);
    $("command").textContent = `msgr sim playground.txt --seed ${this.#seed}`;
    $("hash").textContent = "–";
    $("hash-at").textContent = "this time";
    const text = reply.whole ?? reply.text;
    const edited = this.edited;
    this.#own = text;
    if (edited && !fresh) return;
    const end = this.#text.scrollHeight - this.#text.scrollTop - this.#text.clientHeight < 40;
    this.#text.value = text;
    this.#clearError();
    if (end && !fresh) this.#text.scrollTop = this.#text.scrollHeight;
  }

  // fail shows an error of the text with its line and column, and puts the cursor there.
  fail(error) {
    const where = error.line ? `Line ${error.line}, column ${error.column}: ` : "";
    this.#error.textContent = where + error.message + (error.hint ? ` – ${error.hint}` : "");
    this.#error.hidden = false;
    this.#errorLine = error.line ?? 0;
    this.#number();
    if (!error.line) return;
    const lines = this.#text.value.split("\n");
    const start = lines.slice(0, error.line - 1).reduce((sum, l) => sum + l.length + 1, 0);
    const from = start + Math.max(0, (error.column ?? 1) - 1);
    const word = /^\S*/.exec(this.#text.value.slice(from))[0].length;
    this.#text.focus();
    this.#text.setSelectionRange(from, from + word);
  }

  // show replaces the text, as if it had been typed.
  show(text) {
    this.#text.value = text;
    this.#clearError();
  }

  async share(button) {
    const reply = await this.#now();
    try {
      const fragment = await encode({ seed: reply.seed, at: this.#player.at, text: reply.whole ?? reply.text });
      history.replaceState(null, "", fragment);
      flash(button, await copy(location.href, "The link"));
    } catch (err) {
      this.fail({ message: err.message });
      say(err.message);
    }
  }

  async #now() {
    return (await this.#player.ask({ do: "text" })).text;
  }

  async #save() {
    const { text } = await this.#now();
    const a = document.createElement("a");
    a.href = `data:text/plain;charset=utf-8,${encodeURIComponent(text)}`;
    a.download = "playground.txt";
    a.click();
  }

  async #hash() {
    const { hash } = await this.#player.ask({ do: "hash" });
    if (!hash) return;
    $("hash").textContent = hash.hash;
    $("hash-at").textContent = span(hash.at);
    say(`The hash is ${hash.hash}.`);
  }

  #clearError() {
    this.#error.hidden = true;
    this.#errorLine = 0;
    this.#number();
  }

  #number() {
    const n = this.#text.value.split("\n").length;
    const parts = [];
    for (let i = 1; i <= Math.min(n, 5000); i++) {
      if (i !== this.#errorLine) {
        parts.push(`${i}\n`);
        continue;
      }
      const b = document.createElement("b");
      b.textContent = String(i);
      parts.push(b, "\n");
    }
    // A spare line, so that it scrolls as far as the text, which may have a scroll bar.
    this.#lines.replaceChildren(...parts, "\n\n");
    this.#lines.scrollTop = this.#text.scrollTop;
  }
}

// flash says on a button for a moment what became of the click.
function flash(button, ok) {
  button.dataset.words ??= button.textContent;
  button.textContent = ok ? "Copied" : "Not copied";
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = setTimeout(() => { button.textContent = button.dataset.words; }, 1500);
}

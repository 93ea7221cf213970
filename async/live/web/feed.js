// The stream of states from the server, and the requests to act.

const AGAIN = 4000; // ms until it is tried again

export class Feed {
  #on;
  #token = "";
  #source = null;

  // on: {hello(h), state(s), lost(why)}
  constructor(on) {
    this.#on = on;
    this.#open();
  }

  #open() {
    const source = new EventSource("watch");
    this.#source = source;
    source.addEventListener("hello", (e) => {
      const hello = JSON.parse(e.data);
      this.#token = hello.token ?? "";
      this.#on.hello(hello);
    });
    source.addEventListener("state", (e) => this.#on.state(JSON.parse(e.data)));
    source.addEventListener("error", () => {
      // The browser tries again by itself, but not after an answer that says no.
      const refused = source.readyState === EventSource.CLOSED;
      this.#on.lost(refused ? "refused: too many pages watch, or it was closed" : "no answer");
      if (!refused) return;
      setTimeout(() => { if (this.#source === source) this.#open(); }, AGAIN);
    });
  }

  // act asks for an action, and says what was done; it throws an error that says why not.
  async act(action, node, peer) {
    const answer = await fetch("act", {
      method: "POST", headers: { "X-Live-Token": this.#token, "Content-Type": "application/json" },
      body: JSON.stringify({ action, node, peer }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text.trim().replace(/^live: /, ""));
    return JSON.parse(text).did;
  }
}

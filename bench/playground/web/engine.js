// Engine is the page's side of the worker: requests go out one at a time, each is
// answered by one object that has the replies by their type.

export class Engine {
  #worker;
  #next = 1;
  #waiting = null; // {id, resolve}
  #queue = [];
  #dead = null;

  // onFatal is called once, with a reason, when no more answers will come.
  constructor(url, onFatal) {
    this.#worker = new Worker(url);
    const die = (why) => {
      if (this.#dead) return;
      this.#dead = why;
      onFatal(why);
    };
    this.#worker.onmessage = (e) => {
      if (e.data.fatal) return die(e.data.fatal);
      const waiting = this.#waiting;
      if (!waiting || e.data.id !== waiting.id) return;
      this.#waiting = null;
      const answer = {};
      for (const reply of e.data.replies) answer[reply.type] = reply;
      waiting.resolve(answer);
      this.#send();
    };
    this.#worker.onerror = (e) => die(e.message || "the worker could not be loaded");
    this.#worker.onmessageerror = () => die("an answer could not be read");
  }

  // ask resolves with {state, text, error, ...}: the replies by type.
  ask(request) {
    return new Promise((resolve) => {
      this.#queue.push({ request, resolve });
      this.#send();
    });
  }

  // idle says whether a request would be worked on at once.
  get idle() {
    return !this.#waiting && this.#queue.length === 0 && !this.#dead;
  }

  #send() {
    if (this.#waiting || this.#dead || this.#queue.length === 0) return;
    const { request, resolve } = this.#queue.shift();
    const id = this.#next++;
    this.#waiting = { id, resolve };
    this.#worker.postMessage({ ...request, id });
  }
}

// Player is the clock of the page: it turns real time into virtual time, asks the engine
// to keep up, and says which virtual time is to be drawn. Times are in nanoseconds.

// What one request may cost in real milliseconds.
const BUDGET = 10;
// So many answers without any progress end a search for a time.
const STILL_MAX = 100;
// The engine is kept this much real time ahead of what is drawn, so that marks move evenly.
const AHEAD = 80;
// It is asked again after so long at the earliest: marks move between two answers by themselves.
const PAUSE = 30;

export const SPEEDS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 100, Infinity];

export function speedName(speed) {
  return speed === Infinity ? "max" : `${speed}×`;
}

export class Player {
  playing = false;
  speed = 0.1;
  shown = 0; // what is drawn
  at = 0; // where the engine is; never less than shown
  known = 0; // the latest time that the engine has been at in this run
  end = 0; // when the text's own steps are over, 0: unknown
  state = null;
  #engine;
  #on;
  #last = 0;
  #asked = 0;
  #seekTo = null;
  #seeking = null; // a promise
  #run = 0; // its number

  // on: {state(state), text(text), error(error, request), playing(bool)}
  constructor(engine, on) {
    this.#engine = engine;
    this.#on = on;
  }

  // run asks for something that begins a run: start or preset. It resolves with the answer.
  async run(request) {
    this.#seekTo = null;
    this.#run++;
    const answer = await this.#engine.ask(request);
    if (!answer.error) {
      this.known = this.at = this.shown = 0;
      this.end = 0;
    }
    this.#take(answer, request);
    return answer;
  }

  // act does one step of a scenario now, or when the time is reached that is sought.
  async act(line) {
    await this.#seeking;
    const answer = await this.#engine.ask({ do: "act", line });
    if (!answer.error) this.known = 0; // what was known of the future is no more
    this.#take(answer, { do: "act", line });
    return answer;
  }

  async step() {
    this.setPlaying(false);
    const request = { do: "step" };
    this.#take(await this.#engine.ask(request), request);
    this.shown = this.at;
  }

  // seek goes to any time from 0 on, by replaying from the seed when it is in the past.
  // Of many calls only the last is carried out. It resolves when the time is reached.
  seek(to) {
    this.#seekTo = Math.max(0, Math.round(to));
    this.#seeking ??= this.#seekAll().finally(() => { this.#seeking = null; });
    return this.#seeking;
  }

  async #seekAll() {
    while (this.#seekTo !== null) {
      const target = this.#seekTo;
      const run = this.#run;
      this.#seekTo = null;
      let request = { do: "seek", to: target, budget: 3 * BUDGET };
      for (let still = 0; still < STILL_MAX;) {
        const before = this.at;
        const answer = await this.#engine.ask(request);
        if (run !== this.#run) break; // another one has begun, which has taken the answer's place
        this.#take(answer, request);
        this.shown = this.at;
        if (answer.error || this.at >= target || this.#seekTo !== null || this.state?.ended) break;
        still = this.at === before ? still + 1 : 0;
        request = { do: "advance", to: target, budget: 3 * BUDGET };
      }
    }
  }

  ask(request) {
    return this.#engine.ask(request);
  }

  setPlaying(playing) {
    if (this.playing === playing) return;
    this.playing = playing;
    this.#on.playing(playing);
  }

  // tick is called once a frame with the real time in milliseconds; it moves shown.
  tick(now) {
    const dt = Math.min(now - this.#last, 100);
    this.#last = now;
    if (this.#seeking || !this.state) return;
    if (this.speed === Infinity) {
      this.shown = this.at;
      if (this.playing && this.#engine.idle) this.#advance(this.at + 3600e9);
      return;
    }
    const rate = this.speed * 1e6; // virtual nanoseconds in a real millisecond
    this.shown = Math.min(this.shown + dt * rate, this.at);
    const to = Math.round(this.shown + AHEAD * rate);
    if (!this.playing || to <= this.at || now - this.#asked < PAUSE || !this.#engine.idle) return;
    this.#asked = now;
    this.#advance(to);
  }

  async #advance(to) {
    const request = { do: "advance", to, budget: BUDGET };
    this.#take(await this.#engine.ask(request), request);
  }

  #take(answer, request) {
    if (answer.text) {
      this.end = answer.text.end ?? this.end;
      this.#on.text(answer.text);
    }
    if (answer.state) {
      const fresh = answer.state.fresh;
      this.state = answer.state;
      this.at = answer.state.at;
      if (fresh || this.shown > this.at) this.shown = this.at;
      this.known = Math.max(this.known, this.at);
      if (answer.state.ended) this.setPlaying(false);
      this.#on.state(answer.state);
    }
    if (answer.error) {
      this.setPlaying(false);
      this.#on.error(answer.error, request);
    }
  }
}

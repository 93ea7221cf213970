// Flights are the frames that are drawn: those of the last states, until they arrived or were
// lost at the time that is shown.

const MAX = 4000; // more are not drawn
const FADE = 700; // how long a loss is seen, in real milliseconds

export class Flights {
  #all = new Map();
  lost = []; // {f, since}: losses that are still seen

  clear() {
    this.#all.clear();
    this.lost = [];
  }

  // take merges a state of the engine.
  take(state) {
    if (state.fresh) this.clear();
    const seen = new Set();
    for (const f of state.frames ?? []) {
      seen.add(f.id);
      const old = this.#all.get(f.id);
      if (!old && this.#all.size >= MAX) continue;
      f.due ??= Infinity; // what is held
      this.#all.set(f.id, f);
    }
    for (const f of this.#all.values()) {
      if (seen.has(f.id) || f.end !== undefined) continue;
      f.end = Math.min(f.due, state.at);
      f.lost = !state.more && f.due > state.at;
    }
  }

  // visible calls draw(frame, progress) for each frame under way at a virtual time; progress is
  // from 0 to 1. now is the real time, for losses.
  visible(shown, now, draw) {
    for (const f of this.#all.values()) {
      if (f.end !== undefined && f.end <= shown) {
        this.#all.delete(f.id);
        if (f.lost && this.lost.length < 100) this.lost.push({ f, progress: progress(f, f.end), since: now });
        continue;
      }
      if (f.sent > shown) continue;
      draw(f, f.held ? undefined : progress(f, shown));
    }
    this.lost = this.lost.filter((l) => now - l.since < FADE);
  }

  fading(now, draw) {
    for (const l of this.lost) draw(l.f, l.progress, 1 - (now - l.since) / FADE);
  }

  get size() {
    return this.#all.size;
  }
}

function progress(f, at) {
  if (f.lost && f.due === Infinity) return 0.5;
  if (!(f.due > f.sent)) return 1;
  return Math.max(0, Math.min(1, (at - f.sent) / (f.due - f.sent)));
}

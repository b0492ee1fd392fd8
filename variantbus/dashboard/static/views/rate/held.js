// Keys that come while their picture is still on its way: each counts as soon as that is seen. No page, no clock.

const PATIENCE = 5000; // ms; who has waited longer looks at something else by now

/** Answers that wait for a picture, the oldest first; `now()` returns a time in ms. */
export class Held {
  constructor(now = () => performance.now()) {
    Object.assign(this, { now, waiting: [] });
  }

  /** Take an answer. */
  hold(answer) {
    this.waiting.push({ answer, at: this.now() });
  }

  /** Return the oldest answer that is not too old, and forget it; undefined if there is none. */
  take() {
    this.waiting = this.waiting.filter((one) => this.now() - one.at < PATIENCE);
    return this.waiting.shift()?.answer;
  }

  /** Take the newest answer back; return whether there was one. */
  undo() {
    return Boolean(this.waiting.pop());
  }

  /** Forget them all. */
  drop() {
    this.waiting = [];
  }
}

// Which picture is rated now, which were before, and which come next. No page, no request: `ask` is given.

const PASSED = 100; // pictures that a request names at most, so that its address is no longer than proxies take
const READY = 4; // pictures that are loaded in advance, beside the one that the service has chosen

/**
 * The course of a person through the pictures of an experiment.
 *
 * `all()` returns the pictures `{ sha256, … }` in the order in which they come where nobody chooses; `isRated(sha256)`
 * says which are done. `ask(passed)` resolves to the hash of the picture whose stars tell most, but for those that are
 * passed, or to null; without it they come in order. `changed()` is called when another picture is shown.
 */
export class Course {
  constructor({ all, isRated, ask, changed }) {
    Object.assign(this, { all, isRated, ask, changed });
    this.restart();
  }

  restart() {
    this.trail = []; // hashes of what was shown, in that order
    this.place = -1; // in it; -1: nothing is shown
    this.passed = new Set(); // what a person does not want to rate now
    this.chosen = null; // by the service, to come next
    this.isAsking = false;
    this.isStarting = false;
    this.round = (this.round ?? 0) + 1; // answers of an earlier one are nothing to us
  }

  /** Return the hash of the picture that is shown, or null. */
  get shown() {
    return this.trail[this.place] ?? null;
  }

  /** Return the hashes of the pictures that come next, the likeliest first. */
  coming() {
    const all = this.all().map(({ sha256 }) => sha256);
    const isOpen = (one) => one !== this.shown && !this.passed.has(one) && !this.isRated(one);
    const start = this.ask ? 0 : all.indexOf(this.shown) + 1; // in order: from here to the end, and then from the first
    const left = [...all.slice(start), ...all.slice(0, start)].filter(isOpen);
    const following = this.trail.slice(this.place + 1).find(isOpen); // where somebody has gone back
    const chosen = left.includes(this.chosen) ? this.chosen : null;
    return [...new Set([following, chosen, ...left.slice(0, READY)].filter(Boolean))];
  }

  /** Show the following picture, or nothing where none is left. */
  async next() {
    if (this.isStarting) return;
    const round = this.round;
    if (this.ask && !this.chosen && this.shown === null) {
      this.isStarting = true;
      await this.choose();
      if (round !== this.round) return;
      this.isStarting = false;
    }
    this.show(this.coming()[0] ?? null);
  }

  /** Leave the shown picture as it is, and show another one; one step forward where somebody has gone back. */
  pass() {
    if (this.place < this.trail.length - 1) return this.show(this.trail[this.place + 1]);
    if (this.shown && !this.isRated(this.shown)) this.passed.add(this.shown);
    this.show(this.coming()[0] ?? null);
  }

  /** Show the picture before; return whether there is one. */
  back() {
    const to = this.place < 0 ? this.trail.length - 1 : this.place - 1;
    if (to < 0) return false;
    this.show(this.trail[to]);
    return true;
  }

  /** Ask for those again that were passed. */
  again() {
    this.passed.clear();
    this.next();
  }

  /** Show a picture, wherever it stands, or nothing. */
  show(sha256) {
    if (sha256 !== null && !this.trail.includes(sha256)) this.trail.push(sha256);
    this.place = sha256 === null ? -1 : this.trail.indexOf(sha256);
    if (this.chosen === sha256) this.chosen = null;
    this.changed();
    if (this.ask && sha256 !== null) this.choose();
  }

  /** Let the service choose what comes behind the shown picture. */
  async choose() {
    if (this.isAsking) return;
    this.isAsking = true;
    const round = this.round;
    const [shown, passed] = [this.shown, [...this.passed].slice(-PASSED)];
    const found = await this.ask(shown ? [...passed, shown] : passed);
    if (round !== this.round) return;
    this.isAsking = false;
    this.chosen = found;
    if (shown !== this.shown) return this.choose(); // somebody was faster
    this.changed();
  }
}

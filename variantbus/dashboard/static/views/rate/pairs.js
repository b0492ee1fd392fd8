// Which two pictures are compared now, and which come next. No page, no request: `ask` is given.

const AHEAD = 2; // pairs that are known, and loaded, before they come
const PASSED = 50;

/**
 * The questions of an experiment: which of two pictures is better?
 *
 * `ask(passed)` resolves to the pair `{ left, right }` to show next, but for those that are passed; to null where there is
 * none, and to undefined where nobody answers.
 * `changed()` is called when another pair is shown.
 */
export class Pairs {
  constructor({ ask, changed }) {
    Object.assign(this, { ask, changed });
    this.restart();
  }

  restart() {
    this.shown = null;
    this.ahead = [];
    this.passed = []; // pairs that a person does not want to judge now
    this.isAsking = false;
    this.isEmpty = false; // there is no pair
    this.round = (this.round ?? 0) + 1; // answers of an earlier one are nothing to us
  }

  /** Show the pair that comes next, as soon as it is known. */
  next() {
    this.show(this.ahead.shift() ?? null);
  }

  /** Leave the shown pair unanswered, and show another one. */
  pass() {
    if (this.shown) this.passed.push(this.shown);
    this.next();
  }

  /** Show a pair; what was to come stays. */
  show(pair) {
    this.shown = pair;
    this.changed();
    this.fill();
  }

  /** Ask until enough is known of what comes; pairs that are shown or known do not come again. */
  async fill() {
    if (this.isAsking) return;
    this.isAsking = true;
    const round = this.round;
    while (!this.shown || this.ahead.length < AHEAD) {
      const known = [...this.passed, this.shown, ...this.ahead].filter(Boolean);
      const found = await this.ask(known.slice(-PASSED));
      if (round !== this.round) return;
      this.isEmpty = found === null && !this.shown;
      if (!found || (this.shown && known.some((one) => isSame(one, found)))) break; // nobody answers, or there are no others
      if (this.shown) this.ahead.push(found);
      else this.shown = found;
      this.changed();
    }
    this.isAsking = false;
    if (!this.shown) this.changed();
  }
}

function isSame(one, other) {
  const names = [one.left.sha256, one.right.sha256];
  return names.includes(other.left.sha256) && names.includes(other.right.sha256);
}

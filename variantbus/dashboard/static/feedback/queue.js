// Judgements on their way: sent in order, one after the other, and again while nobody answers. No page, no service.

const PAUSE = 1000; // ms before it is tried again

/**
 * A queue of entries `{ experiment, what, body }`, in the order in which a person said them.
 *
 * `send(entry)` resolves to a reply, or throws an Error: one with `isAway` says that nobody answered, and the entry is
 * sent again, which must do no harm; any other is a refusal, and the entry is dropped. `keep(entries)` stores what
 * waits, `changed()` is called when that is something else, and `ended({ entry, reply, error })` once for each entry.
 */
export class JudgementQueue {
  constructor({ send, keep, changed, ended, pause = PAUSE }) {
    Object.assign(this, { send, keep, changed, ended, pause });
    this.waiting = []; // the first one may be under way
    this.trouble = ""; // why the first one is still there, "" if nothing is wrong
    this.isSending = false;
    this.wake = null; // ends the pause
  }

  /** Take an entry. */
  add(entry) {
    this.waiting.push(entry);
    this.told();
    this.run();
  }

  /** Drop the newest entry for which `fits` returns true, if it was never sent; return whether there was one. */
  drop(fits) {
    const at = this.waiting.findLastIndex((entry) => fits(entry) && !entry.isSent);
    if (at < 0) return false;
    this.waiting.splice(at, 1);
    this.told();
    return true;
  }

  /** Go on at once, as whoever was away is back. */
  hurry() {
    this.wake?.();
    this.run();
  }

  async run() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.waiting.length) await this.step(this.waiting[0]);
    this.isSending = false;
  }

  async step(entry) {
    const isAgain = entry.isSent;
    entry.isSent = true;
    let end;
    try {
      end = { entry, reply: await this.send(entry) };
    } catch (error) {
      if (error.isAway) return this.later(error);
      end = { entry, error, isAgain };
    }
    this.waiting.shift();
    this.trouble = "";
    this.told();
    this.ended(end);
  }

  /** Wait for a while; what is not known to have been carried out stays the first one. */
  async later(error) {
    this.trouble = error.message;
    this.told();
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, this.pause);
    });
  }

  told() {
    this.keep(this.waiting);
    this.changed();
  }
}

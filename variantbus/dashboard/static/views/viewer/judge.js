// Stars and notes for the picture that is seen; a note that is typed waits for its stars, also while other pictures are seen.

import { complain, say } from "../../base/toast.js";
import { note, rate, ratingOf, reject, undoLast } from "../../feedback/judging.js";

const drafts = new Map(); // hash -> a note that is typed and not sent yet

/** Make the judge of an experiment. `seen()` returns the picture that stars are for, or null; `leave()` leaves the note. */
export function judgeOf(id, { seen, leave }) {
  /** Give stars; the note that is typed, or that was there before, stays with them. */
  function give(stars) {
    judge((sha256, text) => rate(id, sha256, stars, text));
  }

  function refuse() {
    judge((sha256, text) => reject(id, sha256, text));
  }

  function judge(send) {
    const image = seen();
    if (!image) return complain("There is no picture here to rate.");
    const text = drafts.get(image.sha256);
    drafts.delete(image.sha256);
    send(image.sha256, text);
  }

  function undo() {
    if (undoLast(id) === null) say("There are no stars to take back.");
  }

  function typed(text) {
    const image = seen();
    if (image) drafts.set(image.sha256, text);
  }

  /** Send a changed note of a picture that has stars; of another one it waits for them. */
  function send() {
    const sha256 = seen()?.sha256;
    const text = drafts.get(sha256);
    if (text === undefined || !ratingOf(sha256)) return;
    drafts.delete(sha256);
    if (text !== ratingOf(sha256).note) note(id, sha256, text);
  }

  /** Enter keeps the note, Escape leaves it as it was. */
  function key(event) {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") drafts.delete(seen()?.sha256);
    else send();
    leave();
  }

  return { give, refuse, undo, typed, send, key, draftOf: (image) => drafts.get(image?.sha256) };
}

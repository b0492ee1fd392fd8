// The state: loaded once as a snapshot and updated by events. Views are notified of changes, once a frame.

import { ExperimentList } from "./list.js";
import { cellKey } from "./open.js";

export { cellKey };

/** The data of all views. `open` is the experiment that is shown, with its variants and cells. */
export const state = { list: new ExperimentList(() => notify("experiments")), open: null, system: [], rejected: [], isConnected: false, isLoaded: false, error: "" };

const NAMES = { learning: "learning service" };
const watchers = new Set();
const raters = new Set();
let changes = new Set();

/** Call a function with each set of changes; return the function that stops this. */
export function watch(told) {
  watchers.add(told);
  return () => watchers.delete(told);
}

/** Tell the views of a change. */
export function notify(what) {
  if (!changes.size) {
    // a hidden page has no frames, but must be up to date too
    const later = document.hidden ? (done) => setTimeout(done, 200) : requestAnimationFrame;
    later(() => {
      const told = changes;
      changes = new Set();
      for (const watcher of [...watchers]) watcher(told);
    });
  }
  changes.add(what);
}

/** Return the repeats of the open experiment, as many as were planned or seen: the seeds of one block after another. */
export function repeats() {
  return state.open?.repeats() ?? [];
}

/**
 * Return the pictures of the open experiment by variant and seed; one that several jobs of a variant made counts once.
 *
 * It is the same array until a picture comes or goes, and not to be changed. `shuffle` of each is a number, always the same,
 * by which those who rate blind sort them.
 */
export function pictures() {
  return state.open?.pictures() ?? [];
}

/** Call a function with each rating that holds now, and the one that did before, undefined if there was none. */
export function onRating(told) {
  raters.add(told);
}

/** Take what holds of a picture now. */
export function takeRating(body) {
  const before = state.open.ratings.get(body.sha256);
  for (const told of raters) told(body, before);
  if (body.stars === null) state.open.ratings.delete(body.sha256);
  else state.open.ratings.set(body.sha256, body);
  notify("ratings");
}

/** Take a comparison, or that one is taken back: it has no outcome then. */
export function takeComparison(body) {
  const open = state.open;
  const at = open.comparisons.findLastIndex((one) => one.compared_at === body.compared_at && one.left === body.left && one.right === body.right);
  if (body.outcome === null) open.comparisons = open.comparisons.filter((_, place) => place !== at);
  else if (at < 0) open.comparisons = [...open.comparisons, body];
  notify("ratings");
}

/** Return whether all that is shown is up to date, a word for it, and a sentence that says what is missing, or "". */
export function live() {
  if (!state.isConnected) return { isLive: false, text: "connecting …", sentence: state.isLoaded ? "The dashboard's server does not answer. This page goes on by itself as soon as it does." : "" };
  const away = state.system.filter((one) => !one.answers).map((one) => NAMES[one.service] ?? one.service);
  if (away.length) {
    const what = `The ${away.join(" and the ")} ${away.length > 1 ? "do" : "does"} not answer.`;
    const then = state.isLoaded ? "What is shown may be old; it is brought up to date by itself." : "This page goes on by itself as soon as it does.";
    return { isLive: false, text: "waiting …", sentence: `${what} ${then}` };
  }
  if (state.isLoaded) return { isLive: true, text: "live", sentence: "" };
  return { isLive: false, text: "loading …", sentence: state.error && `${state.error}. This page goes on by itself as soon as it can.` };
}

// What a person says of pictures, from the key to the disk of the learning service: nothing is lost, nothing counts twice.

import { isShared, of, post } from "../data/api.js";
import { complain, say } from "../base/toast.js";
import { notify, onRating, state, takeComparison, takeRating, watch } from "../data/state.js";
import { objectiveNow, objectiveText } from "./objective.js";
import { JudgementQueue } from "./queue.js";

const KEY = "judgements that wait";
const TOGETHER = 60_000; // ms in which two people may look at the same picture
const DIGITS = 1e6; // a judgement is known by its time: two are never said in the same microsecond
const OBJECTIVES = { rate: "stars", compare: "preference" };
const hinted = new Set(); // experiments of which it was said that something else decides
const listeners = new Set();
const elsewhere = new Map(); // hash -> { stars, at } of what somebody else said of a picture while this page was open
const said = new Map(); // experiment -> times of what this page has said of it, the oldest first
let last = 0;

const queue = new JudgementQueue({
  send: ({ experiment, what, body }) => post(of(experiment, what), body),
  keep: (waiting) => (waiting.length ? sessionStorage.setItem(KEY, JSON.stringify(waiting)) : sessionStorage.removeItem(KEY)),
  changed: () => notify("ratings"),
  ended,
});

/** Give a picture stars; `note` is what is written about it from now on, by default what was. */
export function rate(experiment, sha256, stars, note = ratingOf(sha256)?.note ?? "") {
  const other = elsewhere.get(sha256);
  queue.add({ experiment, what: "rate", body: { image: sha256, stars, note, rated_at: now(experiment) } });
  if (other && performance.now() - other.at < TOGETHER) tellOf(other);
  elsewhere.delete(sha256);
}

/** Note what somebody else says of a picture, and tell a person here who has just rated it, too. What is older holds again. */
function heard({ sha256, stars, rated_at }, before) {
  if (said.get(state.open.id)?.includes(rated_at)) return;
  const other = { stars, at: performance.now() };
  if (stars === null || rated_at < before?.rated_at) elsewhere.delete(sha256);
  else if (rated_at === before?.rated_at) return; // each value that made the picture tells it
  else if (waitingHere().some((one) => one.what === "rate" && one.body.image === sha256)) tellOf(other);
  else elsewhere.set(sha256, other);
}

function tellOf({ stars }) {
  say(`Somebody else had just given this picture ${stars === 1 ? "1 star" : `${stars} stars`}. Yours count now; Undo brings theirs back.`);
}

/** Give a picture one star, and a note that it was rejected, unless it has one. */
export function reject(experiment, sha256, note = ratingOf(sha256)?.note) {
  rate(experiment, sha256, 1, note || "rejected");
}

/** Write another note about a picture that has stars; return whether it has. */
export function note(experiment, sha256, text) {
  const holds = ratingOf(sha256);
  if (holds && holds.note !== text) rate(experiment, sha256, holds.stars, text);
  return Boolean(holds);
}

/** Say which of two pictures is better: `left`, `right`, `tie` or `both_bad`. */
export function compare(experiment, left, right, outcome) {
  queue.add({ experiment, what: "compare", body: { left, right, outcome, compared_at: now(experiment) } });
}

/** Take the newest rating of a picture back, so that an earlier one holds again. */
export function undoRating(experiment, sha256) {
  if (queue.drop((one) => one.what === "rate" && isOf(one, experiment, sha256))) return;
  const holds = ratingOf(sha256);
  if (holds) queue.add({ experiment, what: "undo", body: { image: sha256, rated_at: holds.rated_at } });
}

/** Take a comparison back, as it is in `comparisons()`. */
export function undoComparison(experiment, { left, right, compared_at }) {
  const isIt = ({ what, body }) => what === "compare" && body.compared_at === compared_at && body.left === left;
  if (queue.drop(isIt)) return;
  queue.add({ experiment, what: "undo-comparison", body: { left, right, compared_at } });
}

/** Take the newest rating of this page back, and not one that somebody else gave meanwhile; return its picture, null if there is none. */
export function undoLast(experiment) {
  const newest = lastOf(experiment, ratings(), "rated_at");
  if (newest) undoRating(experiment, newest.sha256);
  return newest?.sha256 ?? null;
}

/** Return what holds of a picture, also if it waits to be sent: `{ sha256, stars, note, rated_at }`, or undefined. */
export function ratingOf(sha256) {
  const entry = waitingHere().findLast((one) => isOf(one, state.open?.id, sha256));
  const known = state.open?.ratings.get(sha256);
  if (!entry) return known;
  if (entry.what === "rate") return { sha256, stars: entry.body.stars, note: entry.body.note, rated_at: entry.body.rated_at };
  return known?.rated_at === entry.body.rated_at ? undefined : known;
}

/** Return the ratings of the open experiment, oldest first, with those that wait. */
export function ratings() {
  const names = new Set([...(state.open?.ratings.keys() ?? []), ...waitingHere().map((one) => one.body.image).filter(Boolean)]);
  const found = [...names].map(ratingOf).filter(Boolean);
  return found.sort((one, other) => one.rated_at - other.rated_at);
}

/** Return the comparisons of the open experiment, oldest first, with those that wait. */
export function comparisons() {
  const found = [...(state.open?.comparisons ?? [])];
  for (const { what, body } of waitingHere()) {
    const at = found.findIndex((one) => isSame(one, body));
    if (what === "compare" && at < 0) found.push(body);
    if (what === "undo-comparison" && at >= 0) found.splice(at, 1);
  }
  return found;
}

/** Return the comparison that `u` takes back: the newest one of this page. */
export function lastComparison(experiment) {
  return lastOf(experiment, comparisons(), "compared_at");
}

/** Return how many judgements of any experiment wait, and why, "" if they are just on their way. */
export function waiting() {
  return { count: queue.waiting.length, trouble: queue.trouble };
}

/** Return what waits of an experiment, the oldest first: `{ what, body }`. */
export function entriesOf(experiment) {
  return queue.waiting.filter((one) => one.experiment === experiment);
}

/** Call a function with `{ entry, reply, error }` when a judgement is kept or refused; return what stops this. */
export function onJudged(told) {
  listeners.add(told);
  return () => listeners.delete(told);
}

function ended({ entry, reply, error, isAgain }) {
  const isDone = error?.status === 404 && isAgain && entry.what.startsWith("undo"); // the first time it was carried out
  if (error && !isDone) complain(error.message);
  if (reply && state.open?.id === entry.experiment) {
    if (reply.outcome === undefined) takeRating(reply);
    else takeComparison({ ...reply, outcome: entry.what === "compare" ? reply.outcome : null });
  }
  if (reply?.hint) hint(entry);
  for (const told of [...listeners]) told({ entry, reply, error: isDone ? undefined : error });
}

/** Say once that judgements do not decide an experiment; a view that says it in another way calls this first. */
export function hint({ experiment, what }, isSaid = false) {
  if (hinted.has(experiment)) return;
  hinted.add(experiment);
  if (isSaid || state.open?.id !== experiment || !OBJECTIVES[what]) return;
  say(`Kept, but this experiment is decided by ${objectiveText(objectiveNow())}. You can change that under Rate.`);
}

/** Return the newest of some judgements that was said here; where none is, the newest of those that were there before. */
function lastOf(experiment, all, time) {
  const times = said.get(experiment) ?? [];
  return all.findLast((one) => times.includes(one[time])) ?? all.findLast((one) => !times.length || one[time] < times[0]);
}

/** Return the time of what is said of an experiment now, by which it is known from then on. */
function now(experiment) {
  last = Math.max(Date.now() / 1000, last + 1 / DIGITS);
  const time = Math.round(last * DIGITS) / DIGITS;
  said.set(experiment, [...(said.get(experiment) ?? []), time]);
  return time;
}

function waitingHere() {
  return entriesOf(state.open?.id);
}

function isOf(entry, experiment, sha256) {
  return entry.experiment === experiment && ["rate", "undo"].includes(entry.what) && entry.body.image === sha256;
}

function isSame(one, other) {
  return one.compared_at === other.compared_at && one.left === other.left && one.right === other.right;
}

// what waited when this page was left or loaded again; a page that only shows would lose it
if (!isShared) for (const entry of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) queue.add(entry);
onRating(heard);
watch((changes) => (changes.has("system") || changes.has("connection")) && queue.waiting.length && queue.hurry());
addEventListener("beforeunload", (event) => queue.trouble && event.preventDefault()); // a tab that is closed keeps nothing

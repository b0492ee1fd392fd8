// What an answer means for a person: the winner and its rival, a headline in plain words, and the one thing to do next.

import { openJobs } from "./facts.js";
import { counted, isChosen, isMinimized, namedValue } from "./scores.js";

const EXPECTED = 0.5; // chance to be best, from which a leader is called the probable best
const MANY = 10; // from here on a guessed number is rounded
const NAMED = 3; // equal values in a headline
const MOST_SEEDS = 3; // that are added by one press

/** Return the estimates with their places in the plan as `index`. */
function placed(made) {
  return made.estimates.map((one, index) => ({ ...one, index }));
}

/** Return the recommended value, or else the one that leads, and the likeliest other one; each is null if there is none. */
export function rivals(made) {
  const sign = isMinimized(made) ? -1 : 1;
  const tried = placed(made).filter((one) => one.n && one.mean !== null);
  const better = (one, other) => sign * (other.mean - one.mean);
  const possible = tried.filter((one) => one.p_best === null || one.p_best > 0); // not what is too slow to count
  const winner = tried.find((one) => isChosen(made, one)) ?? [...(possible.length ? possible : tried)].sort(better)[0] ?? null;
  const others = tried.filter((one) => one.index !== winner?.index);
  others.sort((one, other) => (other.p_best ?? 0) - (one.p_best ?? 0) || better(one, other));
  return { winner, rival: others[0] ?? null };
}

/** Return a headline of a few plain words, such as "cfg_scale 4.5 is best". */
export function headline(made, winner, variable) {
  if (!winner || made?.tier === "none") return "No answer yet";
  const name = namedValue(winner.value, variable);
  if (made.tier === "few") return `${name} leads so far`;
  if (made.tier === "some") return winner.p_best >= EXPECTED ? `${name} is probably best` : `${name} leads, but it is close`;
  const equals = made.equals ?? [];
  if (!equals.length) return `${name} is best`;
  if (equals.length === made.estimates.filter((one) => one.n).length) return "It makes no difference";
  if (equals.length > NAMED) return `${equals.length} values are equally good`;
  const names = equals.map((one) => namedValue(one, ""));
  return `${variable ? `${variable} ` : ""}${names.slice(0, -1).join(", ")} and ${names.at(-1)} are equally good`;
}

/** Return about how many more observations would decide, in words; "" where that is not known. */
export function moreText(made) {
  if (!made.more) return "";
  const count = made.more < MANY ? made.more : Math.round((made.more / MANY) * 2) * (MANY / 2);
  return `about ${counted(count, made.objective).replace(" ", " more ")} would decide`;
}

/**
 * Return the one thing that helps now: `{ act, ... }`, or null where there is nothing to do but wait.
 *
 * `act` is "retry", "decide" (with `to`, what can decide instead), "rate", "seeds" (with `seeds`), "again", "look", or "apply".
 * `now` is `{ made, status, isOfPeople, open, metrics }`: `open` is how many pictures nobody has judged, `metrics` what jobs report.
 */
export function helps({ made, status, isOfPeople, open, metrics }) {
  const { completed, failed } = status.totals;
  const left = openJobs(status);
  const isDecided = made?.tier === "strong";
  if (!completed) return left ? { act: "look" } : failed ? { act: "retry" } : { act: "look" };
  if (isDecided && made.value !== null) return { act: "apply" };
  if (made?.problem && made.tier === "none") return instead(made, isOfPeople, metrics, open);
  if (isOfPeople && (open || made?.objective === "preference")) return { act: "rate" };
  if (left || status.search?.state === "searching") return { act: "look" };
  if (made?.value && made.tier === "some" && !made.more) return { act: "apply" }; // more would not decide
  return status.search ? { act: "again" } : { act: "seeds", seeds: seedsFor(made) };
}

/** Return what can decide where the objective has nothing to go by. */
function instead(made, isOfPeople, metrics, open) {
  if (isOfPeople) return metrics.length ? { act: "decide", to: metrics[0] } : { act: "look" };
  if (open) return { act: "decide", to: "stars" };
  return metrics.length ? { act: "decide", to: metrics[0] } : { act: "decide", to: "seconds" };
}

/** Return how many more seeds of each value would probably decide. */
function seedsFor(made) {
  const close = (made?.estimates ?? []).filter((one) => (one.p_best ?? 0) >= 0.05).length || 2;
  return Math.min(MOST_SEEDS, Math.max(1, Math.ceil((made?.more ?? 2 * close) / close)));
}
